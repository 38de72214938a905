"""Is a job held because it is to cost more than it may?

A worker looks at the end of a batch. Only if the frames of that batch cost more than those of the
job may on average does it read the other rows; without `max_cost` no call is made.
"""

import structlog

from blendrop import errors
from blendrop.domain import batches, costs, jobs
from blendrop.usecases import pausing
from blendrop.usecases.render_frames import Rendering

log = structlog.stdlib.get_logger(__name__)

_MAY_WAIT = frozenset({jobs.JobState.QUEUED, jobs.JobState.RENDERING})


async def keep_within(world: Rendering, held: batches.Batch, job: jobs.Job) -> None:
    """Hold the job if it is projected to cost more than it may, and something is left of it.

    `held` is the batch that this worker is about to release, `job` the row as it was claimed for.
    """
    limit = job.settings.max_cost
    if limit is None:
        return
    batch = held.held_for(world.ledger.since_last())
    if not costs.may_pass(world.prices, batch, limit, frame_count=job.frame_count):
        return
    others = [
        one.row async for one in world.jobs.batches_of(job.id) if one.row.number != batch.number
    ]
    left = batch.frames_done < len(batch.frame_numbers())
    if not left and not any(one.state in batches.OPEN for one in others):
        return  # past its last batch there is nothing to save
    cost = costs.of_batches(world.prices, [batch, *others], frame_count=job.frame_count)
    if await _hold(world, job.id, cost):
        await pausing.ask_workers(world.jobs, job.id, but=batch.number)


async def _hold(world: Rendering, job_id: str, cost: costs.Cost) -> bool:
    """Pause the job, unless it waits, has ended, or may cost as much by now."""
    # Before the first frame nothing is projected; what was spent is the least that it can be.
    expected = cost.so_far if cost.projected is None else cost.projected
    while True:
        standing = await world.jobs.get_job(job_id)
        limit = standing.row.settings.max_cost
        if standing.row.state not in _MAY_WAIT or limit is None or expected <= limit:
            return False
        reason = (
            f"it is projected to cost {expected:.4g} {cost.currency}, and may cost {limit:.4g} "
            f"(max_cost); {cost.so_far:.4g} are spent. Resume it with a higher max_cost, or cancel "
            "it"
        )
        paused = standing.row.moved(jobs.JobState.PAUSED, reason=reason, now=world.clock.now())
        paused = paused.model_copy(update={"held_at": expected})
        try:
            await world.jobs.replace_job(
                paused, etag=standing.etag, event=paused.event(by=world.worker)
            )
        except errors.ConflictError:
            continue
        log.warning("job_held", job=job_id, reason=reason)
        return True
