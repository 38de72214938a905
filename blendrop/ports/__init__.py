"""What do the use cases ask of the world?

Every wait of a method is bounded by its adapter. Whatever an adapter's SDK raises, it raises one of
`blendrop.errors` instead: `UnavailableError` for what may pass, `ConflictError` for an ETag that no
longer holds, `NotFoundError` for what is not there.
"""

from blendrop.ports.clock import Clock
from blendrop.ports.frames import (
    ExtraFile,
    FrameShare,
    ImageVerifier,
    PreviewMaker,
    RenderedFrame,
    Renderer,
    SceneReport,
)
from blendrop.ports.queues import BatchQueue, Delivery, DueJobs, QueueDepth, QueueDepths, QueueKind
from blendrop.ports.scenes import SceneFiles, SceneStore, StoredScene
from blendrop.ports.tables import (
    JobTable,
    KnownRequest,
    OpenListing,
    RateCounters,
    Versioned,
    WorkerTable,
)
from blendrop.ports.telling import HttpService, Progress, Span, Spans, StorageCalls, StorageService
from blendrop.ports.webhooks import Webhooks

__all__ = [
    "BatchQueue",
    "Clock",
    "Delivery",
    "DueJobs",
    "ExtraFile",
    "FrameShare",
    "HttpService",
    "ImageVerifier",
    "JobTable",
    "KnownRequest",
    "OpenListing",
    "PreviewMaker",
    "Progress",
    "QueueDepth",
    "QueueDepths",
    "QueueKind",
    "RateCounters",
    "RenderedFrame",
    "Renderer",
    "SceneFiles",
    "SceneReport",
    "SceneStore",
    "Span",
    "Spans",
    "StorageCalls",
    "StorageService",
    "StoredScene",
    "Versioned",
    "Webhooks",
    "WorkerTable",
]
