"""What has this worker done so far, in numbers that Prometheus scrapes?"""

from collections.abc import Callable

import prometheus_client

from blendrop import ports

_FRAME_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)  # seconds
_LOAD_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900)  # seconds


class Metrics(ports.StorageCalls):
    """The counters of one worker, in a registry of their own."""

    content_type = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self.frames = prometheus_client.Counter(
            "blendrop_worker_frames",
            "Frames by result, and why those failed that did.",
            ("result", "failure_class"),
            registry=registry,
        )
        self.messages = prometheus_client.Counter(
            "blendrop_worker_batches",
            "Messages of batches by what became of them.",
            ("outcome",),
            registry=registry,
        )
        self.frame_seconds = prometheus_client.Histogram(
            "blendrop_worker_frame_render_seconds",
            "Time that Blender took for a frame that is done.",
            buckets=_FRAME_BUCKETS,
            registry=registry,
        )
        self.load_seconds = prometheus_client.Histogram(
            "blendrop_worker_scene_load_seconds",
            "Time that Blender took to open a scene.",
            buckets=_LOAD_BUCKETS,
            registry=registry,
        )
        self.renewals = prometheus_client.Counter(
            "blendrop_worker_lease_renewals",
            "Renewals of leases by result.",
            ("result",),
            registry=registry,
        )
        self.leases_lost = prometheus_client.Counter(
            "blendrop_worker_leases_lost",
            "Batches that became someone else's while they were rendered here.",
            registry=registry,
        )
        self.busy = prometheus_client.Gauge(
            "blendrop_worker_busy", "1 while the worker holds a batch.", registry=registry
        )
        self._memory = prometheus_client.Gauge(
            "blendrop_worker_blender_memory_bytes",
            "Memory of the Blender that runs; 0 while none does.",
            registry=registry,
        )
        self._storage_calls = prometheus_client.Counter(
            "blendrop_worker_storage_calls",
            "Requests to the storage account, as it bills them.",
            ("service", "operation", "status"),
            registry=registry,
        )
        # So that what has not happened yet is 0, and not missing.
        self.frames.labels("done", "")
        for result in ("renewed", "failed"):
            self.renewals.labels(result)

    def called(self, service: ports.StorageService, operation: str, status: int) -> None:
        """A request was sent to the storage account, and answered so; 0: it was not."""
        self._storage_calls.labels(service, operation, str(status)).inc()

    def watch_memory(self, memory: Callable[[], int]) -> None:
        """Let the gauge of Blender's memory ask when it is scraped."""
        self._memory.set_function(memory)

    def text(self) -> bytes:
        """Return everything, as Prometheus reads it."""
        return prometheus_client.generate_latest(self._registry)
