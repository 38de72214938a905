"""Which adapter carries out which port? The only place that chooses."""

import datetime
import functools
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blendrop import ports, settings
from blendrop.adapters import (
    azure_batch_queue,
    azure_clients,
    azure_due_jobs,
    azure_job_table,
    azure_queue_depths,
    azure_rate_counters,
    azure_scenes,
    azure_worker_table,
    frame_folder,
    system_clock,
    trace_contexts,
)
from blendrop.domain import circuit_breaker
from blendrop.redaction import Redactor
from blendrop.usecases.announce import Announcing
from blendrop.usecases.control import Control
from blendrop.usecases.due import Attending
from blendrop.usecases.farm import Watching
from blendrop.usecases.show import Showing
from blendrop.usecases.submit import Submission

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter

    from blendrop.usecases.ledger import Ledger
    from blendrop.usecases.render_frames import Rendering


@dataclass(frozen=True)
class Storage:
    """The storage account's services, with the clients that reach them."""

    clients: azure_clients.Clients
    scenes: ports.SceneStore
    jobs: ports.JobTable
    queue: ports.BatchQueue
    due_jobs: ports.DueJobs
    workers: ports.WorkerTable
    depths: ports.QueueDepths


def storage(
    connection: settings.StorageConnection, *, calls: ports.StorageCalls | None = None
) -> Storage:
    """Return the storage account; no call is made before the first use. `calls` hears of each."""
    clients = azure_clients.Clients(
        connection_string=connection.connection_string,
        blob_address=connection.address("blob"),
        queue_address=connection.address("queue"),
        table_address=connection.address("table"),
        client_id=connection.client_id,
        calls=calls,
    )
    return Storage(
        clients=clients,
        scenes=azure_scenes.AzureSceneStore(clients, container=settings.SCENES_CONTAINER),
        jobs=azure_job_table.AzureJobTable(clients, table=settings.JOBS_TABLE),
        queue=azure_batch_queue.AzureBatchQueue(
            clients,
            queues={"normal": settings.BATCHES_QUEUE, "high": settings.HIGH_QUEUE},
            poison_queue=settings.POISON_QUEUE,
            clock=system_clock.SystemClock(),
        ),
        due_jobs=azure_due_jobs.AzureDueJobs(clients, queue=settings.DUE_JOBS_QUEUE),
        workers=azure_worker_table.AzureWorkerTable(clients, table=settings.WORKERS_TABLE),
        depths=azure_queue_depths.AzureQueueDepths(
            clients,
            queues={
                **dict.fromkeys(settings.BATCH_QUEUES, ports.QueueKind.BATCHES),
                **dict.fromkeys(settings.NEWS_QUEUES, ports.QueueKind.NEWS),
                **dict.fromkeys(settings.POISON_QUEUES, ports.QueueKind.PARKED),
            },
        ),
    )


def clock() -> ports.Clock:
    """Return the machine's clock."""
    return system_clock.SystemClock()


def spans(
    chosen: settings.Settings, redactor: Redactor, *, resource: Mapping[str, str]
) -> trace_contexts.TraceContexts:
    """Return what keeps traces; `resource` says who keeps them, by OpenTelemetry's names."""
    if not chosen.collector and not chosen.insights:
        return trace_contexts.TraceContexts()
    # Loaded only where spans go somewhere: it would cost each cold start its time.
    from blendrop.adapters import otel_spans, telemetry_exporters  # noqa: PLC0415

    ways = (
        (telemetry_exporters.spans_to_collector, chosen.collector),
        (telemetry_exporters.spans_to_insights, chosen.insights),
    )
    return otel_spans.OtelSpans(
        [functools.partial(exporter, address) for exporter, address in ways if address],
        resource=resource,
        share=chosen.trace_share,
        redactor=redactor,
    )


def metric_exporters(chosen: settings.Settings) -> "Sequence[MetricExporter]":
    """Return what sends metrics to where they are configured to go."""
    if not chosen.collector and not chosen.insights:
        return ()
    from blendrop.adapters import telemetry_exporters  # noqa: PLC0415 loaded where used

    ways = (
        (telemetry_exporters.metrics_to_collector, chosen.collector),
        (telemetry_exporters.metrics_to_insights, chosen.insights),
    )
    return [exporter(address) for exporter, address in ways if address]


def rate_counters(store: Storage) -> ports.RateCounters:
    """Return what counts how often clients ask."""
    return azure_rate_counters.AzureRateCounters(
        store.clients, table=settings.RATE_LIMITS_TABLE, clock=clock()
    )


def submission(
    store: Storage, chosen: settings.FunctionSettings, traces: ports.Spans
) -> Submission:
    """Return what submitting scenes needs."""
    return Submission(
        scenes=store.scenes,
        jobs=store.jobs,
        queue=store.queue,
        due_jobs=store.due_jobs,
        share=frame_folder.FrameFolder(chosen.frame_share),
        clock=system_clock.SystemClock(),
        limits=chosen.limits,
        spans=traces,
        settling=datetime.timedelta(seconds=chosen.settling_seconds),
    )


def showing(store: Storage, chosen: settings.FunctionSettings) -> Showing:
    """Return what looking at jobs needs."""
    return Showing(
        jobs=store.jobs,
        share=frame_folder.FrameFolder(chosen.frame_share),
        clock=system_clock.SystemClock(),
        prices=chosen.prices,
    )


def control(store: Storage, chosen: settings.FunctionSettings, traces: ports.Spans) -> Control:
    """Return what steering jobs needs."""
    return Control(
        jobs=store.jobs,
        queue=store.queue,
        spans=traces,
        due_jobs=store.due_jobs,
        share=frame_folder.FrameFolder(chosen.frame_share),
        clock=system_clock.SystemClock(),
    )


def attending(store: Storage, chosen: settings.FunctionSettings, traces: ports.Spans) -> Attending:
    """Return what attending to due jobs needs."""
    from blendrop.adapters import webhook_client  # noqa: PLC0415 only that one function needs it

    announcing = Announcing(
        jobs=store.jobs,
        due_jobs=store.due_jobs,
        webhooks=webhook_client.HttpWebhooks(own_hosts=chosen.own_hosts),
        clock=system_clock.SystemClock(),
        secret=chosen.webhook_secret,
    )
    return Attending(submission=submission(store, chosen, traces), announcing=announcing)


def watching(store: Storage) -> Watching:
    """Return what looking at the farm needs."""
    return Watching(
        jobs=store.jobs,
        queue=store.queue,
        depths=store.depths,
        workers=store.workers,
        clock=system_clock.SystemClock(),
    )


def rendering(
    store: Storage,
    chosen: settings.WorkerSettings,
    *,
    scenes: ports.SceneFiles,
    renderer: ports.Renderer,
    stopping: Callable[[], bool],
    progress: ports.Progress,
    traces: ports.Spans,
    ledger: "Ledger",
    calls: ports.StorageCalls,
) -> "Rendering":
    """Return what rendering batches needs."""
    # Only workers render, and decode images: the functions start without what that takes.
    from blendrop.adapters import frame_images  # noqa: PLC0415
    from blendrop.usecases.known_rows import KnownRows  # noqa: PLC0415
    from blendrop.usecases.lease import RENEWALS_PER_LEASE  # noqa: PLC0415
    from blendrop.usecases.render_frames import Rendering  # noqa: PLC0415

    images = frame_images.OpenImageIOVerifier()
    return Rendering(
        worker=worker_name(chosen),
        jobs=store.jobs,
        queue=store.queue,
        due_jobs=store.due_jobs,
        scenes=scenes,
        share=frame_folder.FrameFolder(chosen.frame_share, calls),
        renderer=renderer,
        verifier=images,
        previews=images,
        clock=system_clock.SystemClock(),
        stopping=stopping,
        lease=(lease := datetime.timedelta(seconds=chosen.lease_seconds)),
        known=KnownRows(lease / RENEWALS_PER_LEASE),
        frame_attempts=chosen.frame_attempts,
        retry_delay=datetime.timedelta(seconds=chosen.retry_seconds),
        breaker=circuit_breaker.CircuitBreaker(
            first_frames=chosen.breaker_frames, share=chosen.breaker_share
        ),
        largest_image=chosen.image_pixels,
        batch_seconds=chosen.batch_seconds,
        progress=progress,
        spans=traces,
        ledger=ledger,
        prices=chosen.prices,
    )


def worker_name(chosen: settings.WorkerSettings) -> str:
    """Return what the worker is called: the name it was given, or its host's."""
    return chosen.worker_name or socket.gethostname()
