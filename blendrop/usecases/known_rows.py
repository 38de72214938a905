"""Which rows need a worker not read again from batch to batch of the same job?

Nothing rests on what is remembered but a claim, which carries the ETag of the batch's row: if the
row is another by now the claim is refused, and everything is read anew. A job that was cancelled or
deleted took its batches with it, so that their ETags tell; that it was paused, a lease learns at
its first renewal (`lease.py`).
"""

import datetime
from dataclasses import dataclass, field

from blendrop import errors, ports
from blendrop.domain import batches, jobs

# Rows of one job that are read at once. With as many workers they take turns in them, and yet the
# call costs hardly more than for one row.
_READ_AHEAD = 32


@dataclass
class KnownRows:
    """The job that this worker rendered last, and those of its batches that nobody had tried."""

    length: datetime.timedelta  # for which a job's row is good enough for a claim
    _job: ports.Versioned[jobs.Job] | None = None
    _read: float = 0.0  # the clock's elapsed time when the job's row was asked for
    _untried: dict[int, ports.Versioned[batches.Batch]] = field(default_factory=dict)

    def forget(self) -> None:
        """Read everything anew from here on."""
        self._job = None
        self._untried = {}

    def note(self, job: ports.Versioned[jobs.Job]) -> None:
        """Take over a job's row as it was written just now."""
        if self._job is not None and self._job.row.id == job.row.id:
            self._job = job

    async def job(
        self, table: ports.JobTable, job_id: str, *, now: float
    ) -> tuple[ports.Versioned[jobs.Job], float]:
        """Return a job's row, and the elapsed time as of which it holds. Raises NotFoundError."""
        known = self._job
        if known is None or known.row.id != job_id:
            self.forget()
        elif now - self._read <= self.length.total_seconds():
            return known, self._read
        self._job, self._read = await table.get_job(job_id), now
        return self._job, now

    async def batch(
        self, table: ports.JobTable, job_id: str, number: int
    ) -> tuple[ports.Versioned[batches.Batch], bool]:
        """Return a batch's row, and whether it was read just now. Raises NotFoundError."""
        if self._job is None or self._job.row.id != job_id:
            self.forget()
        if (known := self._untried.pop(number, None)) is not None:
            return known, False
        rows = await table.batches_from(job_id, number, count=_READ_AHEAD)
        if not rows or rows[0].row.number != number:
            raise errors.NotFoundError(f"cannot read batch {number} of job {job_id}: it is gone")
        self._untried = {
            one.row.number: one for one in rows[1:] if one.row.state is batches.BatchState.PLANNED
        }
        return rows[0], True
