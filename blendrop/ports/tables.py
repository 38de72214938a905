"""Which rows does the farm keep, and how do they change?"""

import datetime
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from blendrop.domain import (
    batches,
    events,
    jobs,
    workers,
)

Row = TypeVar("Row", jobs.Job, batches.Batch)


@dataclass(frozen=True)
class Versioned(Generic[Row]):
    """A row as it was read, with the ETag that a change of it must carry."""

    row: Row
    etag: str


@dataclass(frozen=True)
class OpenListing:
    """A row that lists a job as not ended, as it was read."""

    job: str
    etag: str


@dataclass(frozen=True)
class KnownRequest:
    """Which job a repeatable request made, and of which body."""

    job: str
    digest: str  # of the request's body


class JobTable(Protocol):
    """The rows of jobs and batches, and the lists of jobs by time and of those not ended."""

    async def add_job(
        self, job: jobs.Job, *, event: events.JobEvent | None = None
    ) -> Versioned[jobs.Job]:
        """Add a job and list it; if it is there already, return the row that stands.

        It is listed as open before it is there, so that the sweeper misses none; running it again
        mends a list that an earlier, interrupted call left without the job.
        """
        ...

    async def get_job(self, job_id: str) -> Versioned[jobs.Job]:
        """Return a job. Raises NotFoundError."""
        ...

    async def replace_job(
        self, job: jobs.Job, *, etag: str, event: events.JobEvent | None = None
    ) -> Versioned[jobs.Job]:
        """Change a job's row and write the event, if nobody has since. Raises ConflictError."""
        ...

    async def remember_request(self, key: str, request: KnownRequest) -> KnownRequest:
        """Note which job a request makes; return what was noted first under that key."""
        ...

    async def latest_of(self, frames_key: str) -> str:
        """Return the job that was noted last to have frames of that key; empty if none was."""
        ...

    async def note_latest(self, frames_key: str, job_id: str) -> None:
        """Note that a job has frames of that key, or is about to."""
        ...

    async def add_batches(self, job_batches: Sequence[batches.Batch]) -> None:
        """Add the batches of one job; those that are there already stay as they are."""
        ...

    async def get_batch(self, job_id: str, number: int) -> Versioned[batches.Batch]:
        """Return a batch. Raises NotFoundError."""
        ...

    async def replace_batch(
        self, batch: batches.Batch, *, etag: str, event: events.JobEvent | None = None
    ) -> Versioned[batches.Batch]:
        """Change a batch's row and write the event, if nobody has since. Raises ConflictError."""
        ...

    async def split_batch(
        self, kept: batches.Batch, tails: Sequence[batches.Batch], *, etag: str
    ) -> Versioned[batches.Batch]:
        """Change a batch's row and add what was cut off it, at most 99: all of it, or nothing.

        Raises:
            ConflictError: someone has changed the row since, or a tail is there already.
        """
        ...

    def batches_of(
        self, job_id: str, *, states: Collection[batches.BatchState] = ()
    ) -> AsyncIterator[Versioned[batches.Batch]]:
        """Yield a job's batches by number; only those in one of `states`, if any are named."""
        ...

    async def batches_from(
        self, job_id: str, number: int, *, count: int
    ) -> Sequence[Versioned[batches.Batch]]:
        """Return those of a job's batches that have `number` or one of the `count - 1` after it."""
        ...

    async def has_batches(self, job_id: str, *, states: Collection[batches.BatchState]) -> bool:
        """Tell whether a job has a batch in one of `states`, without reading them all."""
        ...

    def events_of(self, job_id: str) -> AsyncIterator[events.JobEvent]:
        """Yield what happened to a job, oldest first."""
        ...

    async def list_jobs(self, *, page_size: int, token: str = "") -> tuple[Sequence[jobs.Job], str]:
        """Return a page of jobs, newest first, and the token of the next page or an empty one."""
        ...

    async def list_open(self, job_id: str) -> None:
        """List a job as one that has not ended."""
        ...

    async def open_jobs(self) -> Sequence[OpenListing]:
        """Return the jobs that are listed as not ended."""
        ...

    async def unlist(self, listing: OpenListing) -> None:
        """Take a job off the list of those not ended, unless it was listed anew since."""
        ...

    async def remove_job(self, job: jobs.Job) -> None:
        """Remove a job's batches, events and listings; its own row stays."""
        ...


class WorkerTable(Protocol):
    """The rows in which workers say that they live, and what they are at."""

    async def put(self, worker: workers.Worker) -> None:
        """Write what a worker says of itself, in place of what it said before."""
        ...

    async def all_workers(self) -> Sequence[workers.Worker]:
        """Return every row, in no particular order."""
        ...

    async def remove(self, worker: workers.Worker) -> None:
        """Remove a worker's row; one that is gone already is well."""
        ...


class RateCounters(Protocol):
    """How often each client has asked in each window of time, over all instances together."""

    async def add(self, counter: str, amount: int, *, ends: datetime.datetime) -> int:
        """Count on; return the count up to and including this.

        No two calls, of whichever processes, are given the same number, and together they are given
        every number from 1 on; after an answer that got lost on the way some may be left out. A
        counter counts from nothing again when its window ends at another time.

        Raises:
            UnavailableError: the storage is away.
        """
        ...

    async def forget(self, *, before: datetime.datetime) -> int:
        """Remove the counters of windows that ended before then; return how many those were."""
        ...
