"""Whose are the seconds of a worker, and its calls of the storage?

Every second belongs to one batch or to nobody, and to nothing twice, also where two batches overlap
in a worker: each write of a batch's row takes what has passed since the last one.

- While a batch is held: its own.
- From the start of the process until Blender is warm: the first batch's.
- Waiting: the batch's that comes next, or the last one's when the worker leaves, up to the time for
  which Container Apps keeps a worker ready that has nothing to do.
- What is longer, a worker that never had a batch, and one that was killed: nobody's.
"""

import collections
from dataclasses import dataclass

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, usage

log = structlog.stdlib.get_logger(__name__)

_KEPT_READY = 300.0  # seconds: the cool-down of a container app that scales to zero


@dataclass(frozen=True)
class Charge:
    """What was taken out of the ledger to be written on a row."""

    used: usage.Usage
    calls: collections.Counter[str]


class Ledger(ports.StorageCalls):
    """What one worker has used and not written down yet; told of each call of the storage."""

    def __init__(self, machine: usage.Machine, clock: ports.Clock, *, age: float = 0.0) -> None:
        self.charged_seconds = 0.0  # to batches, of the worker's life so far
        self._machine = machine
        self._clock = clock
        self._until = clock.elapsed() - age  # all before was taken
        self._kept = 0.0  # seconds before, to be taken whatever comes
        self._calls: collections.Counter[str] = collections.Counter()
        self._held: set[tuple[str, int]] = set()
        self._last: tuple[str, int] | None = None

    def called(
        self,
        service: ports.StorageService,
        operation: str,
        status: int,  # noqa: ARG002 billed all the same
        count: int = 1,
    ) -> None:
        """Count calls, in the class that they are billed in."""
        if kind := usage.billed_as(service, operation):
            self._calls[kind] += count

    def warm(self) -> None:
        """What has passed was needed to start, and is not waiting."""
        now = self._clock.elapsed()
        self._kept += now - self._until
        self._until = now

    def before(self, batch: batches.Batch, *, until: float) -> Charge:
        """Take what passed before a batch; from now on, it is held."""
        charge = self._waited(until)
        self._last = (batch.job, batch.number)
        self._held.add(self._last)
        return charge

    def since_last(self) -> usage.Usage:
        """Return what has passed and is not taken yet; it stays."""
        seconds = max(self._clock.elapsed() - self._until, 0.0) + self._kept
        return self._machine.used_for(seconds, self._calls)

    def held(self) -> Charge:
        """Take what passed until now, while a batch was held."""
        now = self._clock.elapsed()
        seconds = max(now - self._until, 0.0)
        self._until = max(now, self._until)
        return self._taken(seconds, self._calls)

    def let_go(self, batch: batches.Batch) -> None:
        """A batch is no longer held."""
        self._held.discard((batch.job, batch.number))

    def put_back(self, charge: Charge) -> None:
        """What was taken could not be written down."""
        self.charged_seconds -= charge.used.worker_seconds
        self._kept += charge.used.worker_seconds
        self._calls.update(charge.calls)

    async def leave(self, jobs: ports.JobTable) -> None:
        """Write what passed since the last batch on its row, if there is one and it can be."""
        if self._last is None:
            return
        charge = self._waited(self._clock.elapsed())
        try:
            while True:
                standing = await jobs.get_batch(*self._last)
                if standing.row.state is batches.BatchState.RENDERING:
                    break  # another worker's by now, who would write over it
                waited = standing.row.waited_for(charge.used)
                try:
                    await jobs.replace_batch(waited, etag=standing.etag)
                except errors.ConflictError:
                    continue
                return
        except errors.BlendropError as failed:
            log.info("last_wait_not_charged", reason=str(failed))
        self.put_back(charge)

    def _waited(self, until: float) -> Charge:
        if self._held:
            return Charge(usage.Usage(), collections.Counter())  # what passed is another batch's
        waited = max(until - self._until, 0.0)
        counted = min(waited, _KEPT_READY)
        self._until = max(until, self._until)
        share = counted / waited if waited else 1.0
        calls = collections.Counter({kind: int(n * share) for kind, n in self._calls.items()})
        return self._taken(counted, calls)

    def _taken(self, seconds: float, calls: collections.Counter[str]) -> Charge:
        seconds, self._kept = seconds + self._kept, 0.0
        taken, self._calls = collections.Counter(calls), collections.Counter()
        self.charged_seconds += seconds
        return Charge(self._machine.used_for(seconds, taken), taken)
