"""Which workers are there, and why is nothing rendering?"""

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import pydantic
import structlog

from blendrop import errors, ports
from blendrop.domain import farm_state, jobs, workers

log = structlog.stdlib.get_logger(__name__)

_KEPT = datetime.timedelta(days=1)  # the row of a worker that is thought dead
_DEAD_SHOWN = 100  # of those: an event-driven job leaves one for each start
_JOBS_READ = 50  # open jobs that reasons are looked for in
_CALLS_AT_ONCE = 8


@dataclass(frozen=True)
class Watching:
    """What looking at the farm needs of the world."""

    jobs: ports.JobTable
    queue: ports.BatchQueue
    workers: ports.WorkerTable
    clock: ports.Clock


class WorkerView(workers.Worker):
    """A worker as every face shows it."""

    live: bool
    why_dead: str  # why it is thought dead, for a person; empty while it lives


class WorkersView(pydantic.BaseModel):
    """The workers, live ones first, then the last ones that are thought dead."""

    workers: tuple[WorkerView, ...]


class FarmView(pydantic.BaseModel):
    """The farm at a glance."""

    queue_depth: int  # batches that wait, are held by a worker, or come back after a delay
    oldest_waiting_seconds: float | None  # of the messages that a worker could take now
    workers_live: int
    workers_busy: int
    poison_messages: int  # parked, and waiting for a person
    open_jobs: int
    why_nothing_renders: str  # for a person; empty while something renders


async def show_workers(world: Watching) -> WorkersView:
    """Return the workers, each with why it is thought dead if it is."""
    live, dead, whys = await _workers(world)
    shown = (*live, *dead[:_DEAD_SHOWN])
    return WorkersView(workers=tuple(_view(one, whys.get(one.id, "")) for one in shown))


async def show_farm(world: Watching) -> FarmView:
    """Return the sums of the farm, and why nothing renders."""
    depth, oldest, poison, (live, dead, _), (open_jobs, some_jobs) = await asyncio.gather(
        world.queue.depth(),
        world.queue.oldest_waiting(),
        world.queue.poison_depth(),
        _workers(world),
        _open_jobs(world),
    )
    now = world.clock.now()
    state = farm_state.FarmState(
        now=now, depth=depth, oldest_waiting=oldest, live=live, gone=dead, open_jobs=some_jobs
    )
    return FarmView(
        queue_depth=depth,
        oldest_waiting_seconds=None if oldest is None else max((now - oldest).total_seconds(), 0),
        workers_live=len(live),
        workers_busy=len(state.busy),
        poison_messages=poison,
        open_jobs=open_jobs,
        why_nothing_renders=farm_state.why_nothing_renders(state),
    )


async def forget_dead_workers(world: Watching) -> int:
    """Remove the rows of workers that have been silent for a day; return how many."""
    oldest_kept = world.clock.now() - _KEPT
    old = [one for one in await world.workers.all_workers() if one.heard < oldest_kept]
    for worker in old:
        await world.workers.remove(worker)
    if old:
        log.info("dead_workers_forgotten", workers=len(old))
    return len(old)


async def _workers(
    world: Watching,
) -> tuple[list[workers.Worker], list[workers.Worker], dict[str, str]]:
    """Return the live ones by name; those thought dead, the last heard from first; and why."""
    found = await world.workers.all_workers()
    whys = workers.thought_dead(found, world.clock.now())
    live = [one for one in found if one.id not in whys]
    dead = [one for one in found if one.id in whys]
    return (
        sorted(live, key=lambda one: (one.name, one.started)),
        sorted(dead, key=lambda one: one.heard, reverse=True),
        whys,
    )


async def _open_jobs(world: Watching) -> tuple[int, Sequence[jobs.Job]]:
    """Return how many jobs are open, and some of them."""
    ids = [listing.job for listing in await world.jobs.open_jobs()]
    reading = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def read(job_id: str) -> jobs.Job | None:
        async with reading:
            try:
                return (await world.jobs.get_job(job_id)).row
            except errors.NotFoundError:
                return None  # listed, and not there: the sweeper says so

    found = await asyncio.gather(*(read(job_id) for job_id in ids[:_JOBS_READ]))
    # One that has ended is listed until the sweeper has come by.
    still_open = [job for job in found if job is not None and not job.ended]
    return len(still_open) + len(ids[_JOBS_READ:]), still_open


def _view(worker: workers.Worker, why: str) -> WorkerView:
    return WorkerView.model_validate({**worker.model_dump(), "live": not why, "why_dead": why})
