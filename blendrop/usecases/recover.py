"""What did a crash leave half done, and what puts it right?

The sweep runs on a timer. It looks at the jobs that have not ended, and every repair is something
that could have happened anyway, so that sweeping twice, or beside a worker, changes nothing:

- a job half submitted: its submission is run again;
- a message lost: it is sent again, and whoever finds its batch done or held leaves it alone;
- a batch that has no row, or was cancelled though its job goes on: it is added, or reopened;
- a job whose batches have all ended: it is settled;
- an announcement lost: it is set off again;
- a job that has ended: batches that are still open are cancelled, what workers that were killed
  left half copied is removed, and it leaves the list of jobs that have not ended, which nobody else
  takes it off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, events, jobs
from blendrop.usecases import announce, mend, send, settle, submit

log = structlog.stdlib.get_logger(__name__)

_SWEEPER = "the sweeper"


@dataclass
class Swept:
    """How often a sweep repaired what."""

    submissions: int = 0
    messages: int = 0
    settled: int = 0
    cancelled: int = 0  # batches of ended jobs
    announcements: int = 0
    unlisted: int = 0


@dataclass(frozen=True)
class _Waiting:
    """An active job with those of its batches that have not ended."""

    job: ports.Versioned[jobs.Job]
    open_batches: Sequence[batches.Batch]


async def sweep(world: submit.Submission) -> Swept:
    """Look at every open job once, and repair what is wrong with it."""
    swept = Swept()
    table, queue = world.jobs, world.queue
    # Counted before the rows are read: batches that end in between only make it look too high.
    depth = await queue.depth()
    waiting: list[_Waiting] = []
    for listing in await table.open_jobs():
        try:
            standing = await table.get_job(listing.job)
        except errors.NotFoundError:
            # It is listed before its row is added, so that none is ever missed.
            log.info("open_job_missing", job=listing.job, reason="it is listed but has no row yet")
            continue
        if standing.row.ended:
            await _close(world, standing.row, listing, swept)
        elif (found := await _repaired(world, standing, swept)) is not None:
            waiting.append(found)
    if depth < sum(len(one.open_batches) for one in waiting):
        for one in waiting:
            await _send_again(world, one, swept)
    log.info("swept", **vars(swept), depth=depth)
    return swept


async def _close(
    world: submit.Submission, job: jobs.Job, listing: ports.OpenListing, swept: Swept
) -> None:
    """Cancel what an ended job has left open, clear up after it, and take it off the list."""
    async for one in world.jobs.batches_of(job.id, states=batches.OPEN):
        cancelled = one.row.released(batches.BatchState.CANCELLED)
        try:
            await world.jobs.replace_batch(cancelled, etag=one.etag)
        except errors.ConflictError:
            return  # its worker wrote at that moment: the next sweep looks again
        swept.cancelled += 1
    due = job.announcement.due
    if due is not None:
        if world.clock.now() - due > world.settling:
            await announce.begin(world.due_jobs, job)
            swept.announcements += 1
            log.warning("announcement_set_off", job=job.id, reason="its message was lost")
        return
    if world.clock.now() - job.changed < world.settling:
        return  # a worker may still hold a batch of it, and leave a half copied file
    try:
        await world.share.clear_unfinished(job.id)
    except errors.UnavailableError as away:
        log.warning("unfinished_files_left", job=job.id, reason=str(away))
        return
    await world.jobs.unlist(listing)
    swept.unlisted += 1


async def _repaired(
    world: submit.Submission, standing: ports.Versioned[jobs.Job], swept: Swept
) -> _Waiting | None:
    """Repair what concerns this job alone; return it if it should have messages."""
    job, table = standing.row, world.jobs
    now = world.clock.now()
    if now - job.changed < world.settling:
        return None
    if job.state is jobs.JobState.SUBMITTED:
        await submit.finish(world, await table.add_job(job))
        swept.submissions += 1
        log.warning("submission_finished", job=job.id, reason="it had been cut off half way")
        return None
    if job.state is jobs.JobState.PAUSED:
        return None
    rows = await mend.batches_of(table, job)
    open_batches = [row for row in rows if row.state in batches.OPEN]
    if not open_batches:
        settled = await settle.job(world, job.id, by=_SWEEPER)
        swept.settled += 1
        log.warning("job_settled", job=job.id, state=settled.state, reason="nobody had settled it")
        return None
    return _Waiting(standing, open_batches)


async def _send_again(world: submit.Submission, waiting: _Waiting, swept: Swept) -> None:
    """Send a message for every batch that no worker holds: some of theirs were lost."""
    job, now = waiting.job.row, world.clock.now()
    orphans = [one for one in waiting.open_batches if not one.held_by_another("", now)]
    if not orphans:
        return
    reason = f"{len(orphans)} messages that may have been lost were sent again"
    event = events.JobEvent(
        at=now, kind=events.EventKind.MESSAGES_SENT_AGAIN, reason=reason, by=_SWEEPER
    )
    changed = job.model_copy(update={"changed": now})
    try:
        await world.jobs.replace_job(changed, etag=waiting.job.etag, event=event)
    except errors.ConflictError:
        return  # it moved on in the meantime: the next sweep looks again
    await send.batches(world, job, orphans)
    swept.messages += len(orphans)
    log.warning("messages_sent_again", job=job.id, messages=len(orphans))
