"""What does Prometheus read of the farm as a whole?

The only place where these metrics have their names; what each worker counts by itself is in
`container_worker/metrics.py`. All are gauges of what is so at this moment, since an instance of the
function app, and what it could have counted, is gone again soon.
"""

from collections.abc import Iterable

import prometheus_client

from blendrop import ports
from blendrop.usecases import farm

content_type = prometheus_client.CONTENT_TYPE_LATEST

_Series = Iterable[tuple[str, float]]  # value of the label, and of the gauge


class FarmMetrics:
    """The numbers of one moment, in a registry of their own."""

    def __init__(
        self, numbers: farm.FarmNumbers, *, worker_hour_price: float, currency: str
    ) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        parked = ports.QueueKind.PARKED
        self._by_label(
            "blendrop_queue_messages",
            "Messages that wait, are held, or come back after a delay.",
            "queue",
            ((one.queue, one.messages) for one in numbers.queues if one.kind is not parked),
        )
        self._by_label(
            "blendrop_poison_messages",
            "Messages that nobody could carry out, and that wait for a person.",
            "queue",
            ((one.queue, one.messages) for one in numbers.queues if one.kind is parked),
        )
        self._one(
            "blendrop_oldest_message_seconds",
            "Age of the oldest batch that a worker could take now; 0 if there is none.",
            numbers.oldest_waiting_seconds,
        )
        self._by_label(
            "blendrop_jobs",
            "Jobs that have not ended, by state; unread: more than are looked at.",
            "state",
            numbers.open_jobs.items(),
        )
        self._one(
            "blendrop_jobs_failed",
            "Jobs that failed within the last hour, of the newest hundred.",
            numbers.jobs_failed,
        )
        self._by_label(
            "blendrop_workers", "Workers that live, by state.", "state", numbers.workers.items()
        )
        self._one(
            "blendrop_workers_waiting",
            "Workers that wait for the storage, or for room on the frame share.",
            numbers.workers_waiting,
        )
        self._one(
            "blendrop_workers_lost",
            "Workers that fell silent within the last hour, without a word.",
            numbers.workers_lost,
        )
        self._one(
            "blendrop_workers_unfit",
            "Workers that left within the last hour because they could not go on.",
            numbers.workers_unfit,
        )
        self._by_label(
            "blendrop_worker_hour_price",
            "What a worker costs in an hour; 0 is not known.",
            "currency",
            [(currency, worker_hour_price)],
        )

    def text(self) -> bytes:
        """Return everything, as Prometheus reads it."""
        return prometheus_client.generate_latest(self._registry)

    def _one(self, name: str, meaning: str, value: float) -> None:
        prometheus_client.Gauge(name, meaning, registry=self._registry).set(value)

    def _by_label(self, name: str, meaning: str, label: str, series: _Series) -> None:
        gauge = prometheus_client.Gauge(name, meaning, (label,), registry=self._registry)
        for of, value in series:
            gauge.labels(of).set(value)
