"""How does a person steer a job: cancel, pause, resume, retry, change its priority, delete it?

Everything here may be asked for twice, and cut off at any point and asked for again. What is cut
off between the rows and the messages the sweeper makes good. A worker learns of it from its
batch's row, at its next renewal.
"""

import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, events, jobs, priorities
from blendrop.usecases import announce, mend, pausing, send

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Control:
    """What steering jobs needs of the world."""

    jobs: ports.JobTable
    queue: ports.BatchQueue
    due_jobs: ports.DueJobs
    share: ports.FrameShare
    clock: ports.Clock
    spans: ports.Spans = field(default_factory=ports.Spans)


async def cancel(world: Control, job_id: str, *, by: str) -> jobs.Job:
    """Stop a job for good; frames that are done stay.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: it has ended otherwise.
    """

    def cancelled(job: jobs.Job, now: datetime.datetime) -> jobs.Job:
        return job.moved(jobs.JobState.CANCELLED, reason=f"{by} cancelled it", now=now)

    job = await _moved(world, job_id, jobs.JobState.CANCELLED, cancelled, by=by)
    await announce.begin(world.due_jobs, job)
    # Taken from a worker, a batch ends its lease: the next renewal is refused, and Blender ended.
    await _change(
        world, job_id, batches.OPEN, lambda one: one.released(batches.BatchState.CANCELLED)
    )
    return job


async def pause(world: Control, job_id: str, *, by: str) -> jobs.Job:
    """Let a job wait; workers finish the frames they have in hand.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: it has ended, or is being submitted.
    """

    def paused(job: jobs.Job, now: datetime.datetime) -> jobs.Job:
        return job.moved(jobs.JobState.PAUSED, reason=f"{by} paused it", now=now)

    job = await _moved(world, job_id, jobs.JobState.PAUSED, paused, by=by)
    await pausing.ask_workers(world.jobs, job_id)
    return job


async def resume(
    world: Control, job_id: str, *, by: str, max_cost: float | None = None
) -> jobs.Job:
    """Let a paused job go on, and cost as much as `max_cost` from now on, if that is given.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: it is not paused, and does not go on already; or it was held since it is to
            cost more than it may.
    """
    standing = await _standing(world, job_id)
    if standing.row.state in (jobs.JobState.QUEUED, jobs.JobState.RENDERING):
        if max_cost not in (None, standing.row.settings.max_cost):
            raise errors.ConflictError(
                f"job {job_id} is {standing.row.state}: pause it before you change its max_cost"
            )
        return standing.row

    def resumed(job: jobs.Job, now: datetime.datetime) -> jobs.Job:
        if job.state is not jobs.JobState.PAUSED:
            raise errors.ConflictError(f"job {job.id} is {job.state}, and not paused")
        limit = job.settings.max_cost if max_cost is None else max_cost
        if job.held_at is not None and limit is not None and limit < job.held_at:
            raise errors.ConflictError(
                f"job {job.id} is projected to cost {job.held_at:.4g}, and may cost {limit:.4g}: "
                "resume it with a max_cost above what is projected, or cancel it"
            )
        settings = job.settings.model_copy(update={"max_cost": limit})
        job = job.model_copy(update={"settings": settings})
        return job.moved(jobs.JobState.QUEUED, reason=f"{by} resumed it", now=now)

    job = await _moved(world, job_id, jobs.JobState.QUEUED, resumed, by=by)
    await _send_open(world, job)
    return job


async def retry(world: Control, job_id: str, *, by: str) -> jobs.Job:
    """Render what a failed or cancelled job lacks; what is done stays.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: it has not ended, or nothing of it is missing.
    """
    standing = await _standing(world, job_id)
    job = standing.row
    if not job.ended:
        return job
    if job.state is jobs.JobState.COMPLETED:
        raise errors.ConflictError(f"job {job.id} is completed: no frame of it is missing")
    if not job.batch_count:
        raise errors.ConflictError(
            f"job {job.id} has no frames to render: {job.reason} Mend that, and submit it anew"
        )
    # Rows of batches first: as long as the job counts as ended, nobody renders them.
    await _change(
        world,
        job_id,
        {batches.BatchState.FAILED, batches.BatchState.CANCELLED},
        batches.Batch.begun_anew,
    )

    def retried(job: jobs.Job, now: datetime.datetime) -> jobs.Job:
        return job.moved(jobs.JobState.QUEUED, reason=f"{by} asked to try again", now=now)

    await world.jobs.list_open(job_id)
    job = await _moved(world, job_id, jobs.JobState.QUEUED, retried, by=by)
    await mend.batches_of(world.jobs, job)
    await _send_open(world, job)
    return job


async def change_priority(
    world: Control, job_id: str, priority: priorities.Priority, *, by: str
) -> jobs.Job:
    """Serve a job sooner or later than others.

    Raises:
        NotFoundError: there is no such job.
        ConflictError: it has ended.
    """
    while True:
        standing = await _standing(world, job_id)
        job, now = standing.row, world.clock.now()
        if job.settings.priority == priority:
            return job
        if job.ended:
            raise errors.ConflictError(f"job {job.id} is {job.state} already")
        settings = job.settings.model_copy(update={"priority": priority})
        changed = job.model_copy(update={"settings": settings, "changed": now})
        event = events.JobEvent(
            at=now,
            kind=events.EventKind.PRIORITY_CHANGED,
            reason=f"{by} gave it {priority} priority",
            by=by,
        )
        try:
            job = (await world.jobs.replace_job(changed, etag=standing.etag, event=event)).row
        except errors.ConflictError:
            continue
        # Workers drop what they find on the queue of another priority.
        if job.state is not jobs.JobState.PAUSED:
            await _send_open(world, job)
        return job


async def delete(world: Control, job_id: str, *, by: str) -> None:
    """Remove an ended job with its frames; a job that is gone already is no error.

    Raises:
        ConflictError: it has not ended, or a worker still holds a batch of it.
    """
    try:
        standing = await world.jobs.get_job(job_id)
    except errors.NotFoundError:
        return
    job, now = standing.row, world.clock.now()
    if not job.ended:
        raise errors.ConflictError(f"job {job.id} is {job.state}: cancel it first")
    async for one in world.jobs.batches_of(job_id, states={batches.BatchState.RENDERING}):
        if one.row.held_by_another("", now):
            raise errors.ConflictError(
                f"worker {one.row.worker} may hold batch {one.row.number} of job {job_id} until "
                f"{one.row.lease_until}: try again then"
            )
    # Messages may still come: they find a row that says so, and nothing is rendered anew.
    gone = job.model_copy(update={"deleted": True, "changed": now, "reason": f"{by} deleted it"})
    await world.jobs.replace_job(gone, etag=standing.etag)
    await world.share.remove_job(job_id)
    await world.jobs.remove_job(job)
    log.info("job_deleted", job=job_id, reason=gone.reason)


async def _standing(world: Control, job_id: str) -> ports.Versioned[jobs.Job]:
    standing = await world.jobs.get_job(job_id)
    if standing.row.deleted:
        raise errors.NotFoundError(f"job {job_id} was deleted")
    return standing


async def _moved(
    world: Control,
    job_id: str,
    to: jobs.JobState,
    change: Callable[[jobs.Job, datetime.datetime], jobs.Job],
    *,
    by: str,
) -> jobs.Job:
    """Change a job's state, whatever workers write meanwhile; if it is in that state, leave it."""
    while True:
        standing = await _standing(world, job_id)
        if standing.row.state is to:
            return standing.row
        changed = change(standing.row, world.clock.now())
        try:
            written = await world.jobs.replace_job(
                changed, etag=standing.etag, event=changed.event(by=by)
            )
        except errors.ConflictError:
            continue
        log.info("job_steered", job=job_id, state=to, by=by)
        return written.row


async def _change(
    world: Control,
    job_id: str,
    states: Collection[batches.BatchState],
    change: Callable[[batches.Batch], batches.Batch],
) -> None:
    """Change every batch that is in one of `states`, whatever workers write meanwhile."""
    async for one in world.jobs.batches_of(job_id, states=states):
        standing = one
        while standing.row.state in states:
            try:
                await world.jobs.replace_batch(change(standing.row), etag=standing.etag)
                break
            except errors.ConflictError:
                standing = await world.jobs.get_batch(job_id, standing.row.number)


async def _send_open(world: Control, job: jobs.Job) -> None:
    """Send a message for every batch that has not ended; one that is held finds that out."""
    rows = [one.row async for one in world.jobs.batches_of(job.id, states=batches.OPEN)]
    await send.batches(world, job, rows)
