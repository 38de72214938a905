"""Has a job ended, and how?

A job's state follows from its batches. Whoever ends a batch asks; the job's ETag lets only one of
them move it, and asking again changes nothing.
"""

import datetime
import textwrap
from collections.abc import Sequence
from typing import Protocol

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, frames, jobs, whole_jobs
from blendrop.usecases import announce

log = structlog.stdlib.get_logger(__name__)

_ACTIVE = frozenset({jobs.JobState.QUEUED, jobs.JobState.RENDERING, jobs.JobState.PAUSED})
_REASONS_SHOWN = 3
_NAMED = 500  # characters of failed frames


class World(Protocol):
    """What settling jobs needs of the world."""

    @property
    def jobs(self) -> ports.JobTable:
        """The rows of jobs."""
        ...

    @property
    def share(self) -> ports.FrameShare:
        """Where their frames are."""
        ...

    @property
    def due_jobs(self) -> ports.DueJobs:
        """The queue of those that are to be announced."""
        ...

    @property
    def clock(self) -> ports.Clock:
        """The time."""
        ...


async def job(world: World, job_id: str, *, by: str) -> jobs.Job:
    """Move a job on if all of its batches have ended, and return it as it then stands."""
    table = world.jobs
    standing = await table.get_job(job_id)
    # While it is `submitted`, rows of batches may still be missing: whoever completes the
    # submission asks again.
    if standing.row.state not in _ACTIVE:
        return standing.row
    if await table.has_batches(job_id, states=batches.OPEN):
        return standing.row
    rows = [one.row async for one in table.batches_of(job_id)]
    if not whole_jobs.all_ended(standing.row, rows):
        # Never completed by what is not there: the sweeper adds and reopens what it must have.
        log.warning("job_lacks_batches", job=job_id, reason="rows are missing or cancelled")
        return standing.row
    failed = [row for row in rows if row.state is batches.BatchState.FAILED]
    taken_over = sum(row.taken_over for row in rows)
    ended = _ended(standing.row, failed, world.clock.now(), taken_over=taken_over)
    await world.share.clear_unfinished(job_id)
    try:
        await table.replace_job(ended, etag=standing.etag, event=ended.event(by=by))
    except errors.ConflictError:
        return (await table.get_job(job_id)).row
    report = log.error if failed else log.info
    report(f"job_{ended.state}", job=job_id, reason=ended.reason)
    await announce.begin(world.due_jobs, ended)
    return ended


def _ended(
    job: jobs.Job, failed: Sequence[batches.Batch], now: datetime.datetime, *, taken_over: int
) -> jobs.Job:
    if not failed:
        reason = f"all {job.frame_count} frames are rendered and verified"
        if taken_over:
            reason += f"; {taken_over} of them were taken over, from job {job.taken_from}"
        return job.moved(jobs.JobState.COMPLETED, reason=reason, now=now)
    failures = sorted(
        (failure for batch in failed for failure in batch.failures), key=lambda one: one.frame
    )
    named = textwrap.shorten(
        frames.canonical(failure.frame for failure in failures).replace(",", ", "),
        _NAMED,
        placeholder=" …",
    )
    details = [
        f"Frame {one.frame}, after {one.attempts} attempts: {one.reason}. {one.remedy}."
        for one in failures[:_REASONS_SHOWN]
    ]
    if len(failures) > _REASONS_SHOWN:
        details.append(f"And {len(failures) - _REASONS_SHOWN} more.")
    return job.moved(
        jobs.JobState.FAILED,
        reason=f"{len(failures)} of {job.frame_count} frames failed: {named}. {' '.join(details)}",
        now=now,
    )


async def failed(world: World, job_id: str, *, reason: str, by: str) -> None:
    """Fail a job of which no frame can be rendered, unless it has ended already."""
    while True:
        standing = await world.jobs.get_job(job_id)
        if standing.row.ended:
            return
        ended = standing.row.moved(jobs.JobState.FAILED, reason=reason, now=world.clock.now())
        try:
            await world.jobs.replace_job(ended, etag=standing.etag, event=ended.event(by=by))
        except errors.ConflictError:
            continue
        log.error("job_failed", job=job_id, reason=reason)
        await announce.begin(world.due_jobs, ended)
        return
