"""What has this worker done so far, in numbers that Prometheus scrapes and a collector is sent?

Instruments are OpenTelemetry's, named by its conventions; Prometheus shows them with underscores
and the unit, like `blendrop_worker_frames_total`. docs/observe.md lists them.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import prometheus_client
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from blendrop import ports
from blendrop.usecases import render

_FRAME_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)  # seconds
_LOAD_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900)  # seconds
_WAIT_BUCKETS = (0.5, 1, 5, 10, 30, 60, 120, 300, 900, 3600, 14400, 86400)  # seconds
_EXPORT_MILLISECONDS = 30_000
_CLOSING_SECONDS = 1.0  # a process that was asked to leave has little time


class Metrics(ports.StorageCalls):
    """The instruments of one worker, in a registry of their own; it counts storage calls itself."""

    content_type = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(
        self,
        exporters: Sequence[MetricExporter] = (),
        *,
        resource: Mapping[str, str] | None = None,
    ) -> None:
        # Boundaries are given as floats, since Prometheus' labels show them as they are.
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        prometheus = PrometheusMetricReader(
            disable_target_info=True, scope_info_enabled=False, registry=self._registry
        )
        exporting = [
            PeriodicExportingMetricReader(one, export_interval_millis=_EXPORT_MILLISECONDS)
            for one in exporters
        ]
        self._provider = MeterProvider(
            [prometheus, *exporting],
            resource=Resource.create(dict(resource or {})),
            shutdown_on_exit=False,
        )
        meter = self._provider.get_meter("blendrop")
        self.frames = meter.create_counter(
            "blendrop.worker.frames",
            "{frame}",
            "Frames by result, and why those failed that did.",
        )
        self.messages = meter.create_counter(
            "blendrop.worker.batches", "{message}", "Messages of batches by what became of them."
        )
        self.redeliveries = meter.create_counter(
            "blendrop.worker.redeliveries",
            "{message}",
            "Messages that had been delivered before, to whichever worker.",
        )
        self.queue_wait = meter.create_histogram(
            "blendrop.worker.queue.wait",
            "s",
            "Time from sending a message until its first delivery.",
            explicit_bucket_boundaries_advisory=[*map(float, _WAIT_BUCKETS)],
        )
        self.frame_seconds = meter.create_histogram(
            "blendrop.worker.frame.render",
            "s",
            "Time that Blender took for a frame that is done.",
            explicit_bucket_boundaries_advisory=[*map(float, _FRAME_BUCKETS)],
        )
        self.wasted = meter.create_counter(
            "blendrop.worker.wasted", "s", "Time spent on attempts at frames that failed."
        )
        self.load_seconds = meter.create_histogram(
            "blendrop.worker.scene.load",
            "s",
            "Time that Blender took to open a scene.",
            explicit_bucket_boundaries_advisory=[*map(float, _LOAD_BUCKETS)],
        )
        self.scenes = meter.create_counter(
            "blendrop.worker.scene.lookups",
            "{scene}",
            "Scenes asked of the worker's disk: a hit lay there, a miss was downloaded.",
        )
        self.renewals = meter.create_counter(
            "blendrop.worker.lease.renewals", "{renewal}", "Renewals of leases by result."
        )
        self.leases_lost = meter.create_counter(
            "blendrop.worker.leases.lost",
            "{lease}",
            "Batches that became someone else's while they were rendered here.",
        )
        self._storage_calls = meter.create_counter(
            "blendrop.worker.storage.calls",
            "{call}",
            "Requests to the storage account by service, operation and HTTP status; 0: no answer.",
        )
        self.busy = meter.create_gauge(
            "blendrop.worker.busy", description="1 while the worker holds a batch."
        )
        self._memory: Callable[[], int] = int  # 0
        meter.create_observable_gauge(
            "blendrop.worker.blender.memory",
            [self._observed_memory],
            "By",
            "Memory of the Blender that runs; 0 while none does.",
        )
        # So that what has not happened yet is 0, and not missing.
        self.busy.set(0)
        self.frames.add(0, {"result": "done", "failure_class": ""})
        for outcome in render.Outcome:
            self.messages.add(0, {"outcome": str(outcome)})
        for result in ("renewed", "failed"):
            self.renewals.add(0, {"result": result})
        for result in ("hit", "miss"):
            self.scenes.add(0, {"result": result})
        for counter in (self.leases_lost, self.redeliveries, self.wasted):
            counter.add(0)

    def called(
        self, service: ports.StorageService, operation: str, status: int, count: int = 1
    ) -> None:
        """So many requests were sent; `operation` is like Put Message, status 0 means no answer."""
        call = {"service": service, "operation": operation, "status": str(status)}
        self._storage_calls.add(count, call)

    def watch_memory(self, memory: Callable[[], int]) -> None:
        """Let the gauge of Blender's memory ask when it is looked at."""
        self._memory = memory

    def _observed_memory(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self._memory())

    def text(self) -> bytes:
        """Return everything, as Prometheus reads it."""
        return prometheus_client.generate_latest(self._registry)

    def close(self) -> None:
        """Send what is left, for as long as there is time."""
        # By a thread that nobody waits for any longer: an exporter cannot be interrupted.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)


class AllTold(ports.StorageCalls):
    """Tells several of every request to the storage account."""

    def __init__(self, *listeners: ports.StorageCalls) -> None:
        self._listeners = listeners

    def called(
        self, service: ports.StorageService, operation: str, status: int, count: int = 1
    ) -> None:
        """So many requests were sent."""
        for listener in self._listeners:
            listener.called(service, operation, status, count)
