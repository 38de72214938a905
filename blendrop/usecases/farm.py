"""Which workers are there, why is nothing rendering, and how much is there of everything?"""

import asyncio
import collections
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from blendrop import errors, ports
from blendrop.domain import farm_state, jobs, record, usage, workers

log = structlog.stdlib.get_logger(__name__)

_KEPT = datetime.timedelta(days=1)  # the row of a worker that is thought dead
_DEAD_SHOWN = 100  # of those: an event-driven job leaves one for each start
_JOBS_READ = 50  # open jobs that reasons are looked for in
_CALLS_AT_ONCE = 8
_LATELY = datetime.timedelta(hours=1)  # how long what happened once is counted
_OPEN = tuple(state for state in jobs.JobState if state not in jobs.ENDED)
_NEWEST_JOBS = 100  # that are looked at for whether they failed


@dataclass(frozen=True)
class Watching:
    """What looking at the farm needs of the world."""

    jobs: ports.JobTable
    queue: ports.BatchQueue
    depths: ports.QueueDepths
    workers: ports.WorkerTable
    clock: ports.Clock


class WorkerView(workers.Worker):
    """A worker as every face shows it."""

    live: bool
    why_dead: str  # why it is thought dead, for a person; empty while it lives


class WorkersView(record.Record):
    """The workers, live ones first, then the last ones that are thought dead."""

    workers: tuple[WorkerView, ...]


class FarmView(record.Record):
    """The farm at a glance."""

    queue_depth: int  # batches that wait, are held by a worker, or come back after a delay
    oldest_waiting_seconds: float | None  # of the messages that a worker could take now
    workers_live: int
    workers_busy: int
    poison_messages: int  # parked, and waiting for a person
    open_jobs: int
    why_nothing_renders: str  # for a person; empty while something renders


@dataclass(frozen=True)
class FarmNumbers:
    """How much there is of everything, for those who draw curves and raise alarms."""

    queues: Sequence[ports.QueueDepth]
    oldest_waiting_seconds: float  # of the messages that a worker could take now; 0: none
    open_jobs: Mapping[str, int]  # by state; `unread`: more than are looked at
    jobs_failed: int  # within the last hour, of the newest hundred
    workers: Mapping[str, int]  # live ones by state
    workers_waiting: int  # of those: for the storage, or for room on the share
    workers_lost: int  # that fell silent within the last hour, without a word
    workers_unfit: int  # that left within the last hour because they could not go on
    machine: usage.Machine | None = None  # how large the largest live one is


async def show_workers(world: Watching) -> WorkersView:
    """Return the workers, each with why it is thought dead if it is."""
    live, dead, whys = await _workers(world)
    shown = (*live, *dead[:_DEAD_SHOWN])
    return WorkersView(workers=tuple(_view(one, whys.get(one.id, "")) for one in shown))


async def show_farm(world: Watching) -> FarmView:
    """Return the sums of the farm, and why nothing renders."""
    queues, oldest, (live, dead, _), (open_jobs, unread) = await _look(world)
    now = world.clock.now()
    depth = _messages(queues, ports.QueueKind.BATCHES)
    state = farm_state.FarmState(
        now=now, depth=depth, oldest_waiting=oldest, live=live, gone=dead, open_jobs=open_jobs
    )
    return FarmView(
        queue_depth=depth,
        oldest_waiting_seconds=_age(oldest, now),
        workers_live=len(live),
        workers_busy=len(state.busy),
        poison_messages=_messages(queues, ports.QueueKind.PARKED),
        open_jobs=len(open_jobs) + unread,
        why_nothing_renders=farm_state.why_nothing_renders(state),
    )


async def measure(world: Watching) -> FarmNumbers:
    """Return how much there is of everything."""
    (queues, oldest, (live, dead, _), (open_jobs, unread)), failed = await asyncio.gather(
        _look(world), _failed_lately(world)
    )
    now = world.clock.now()
    gone = [one for one in dead if now - one.heard <= _LATELY]
    ended = [one for one in gone if one.state is workers.WorkerState.LEFT]
    by_state = collections.Counter(str(job.state) for job in open_jobs)
    return FarmNumbers(
        queues=queues,
        oldest_waiting_seconds=_age(oldest, now) or 0,
        open_jobs={state: by_state[state] for state in map(str, _OPEN)} | {"unread": unread},
        jobs_failed=failed,
        workers={
            str(state): sum(one.state is state for one in live)
            for state in workers.WorkerState
            if state is not workers.WorkerState.LEFT
        },
        workers_waiting=sum(one.held_up for one in live),
        workers_lost=len(gone) - len(ended),
        workers_unfit=sum(one.unfit for one in ended),
        machine=max(
            (one.machine for one in live), key=lambda one: (one.cpus, one.memory_gib), default=None
        ),
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


async def _look(
    world: Watching,
) -> tuple[
    Sequence[ports.QueueDepth],
    datetime.datetime | None,
    tuple[list[workers.Worker], list[workers.Worker], dict[str, str]],
    tuple[Sequence[jobs.Job], int],
]:
    """Return the queues, when the oldest message in sight was sent, the workers, the open jobs."""
    return await asyncio.gather(
        world.depths.count_messages(),
        world.queue.oldest_waiting(),
        _workers(world),
        _open_jobs(world),
    )


def _messages(queues: Sequence[ports.QueueDepth], kind: ports.QueueKind) -> int:
    return sum(one.messages for one in queues if one.kind is kind)


def _age(sent: datetime.datetime | None, now: datetime.datetime) -> float | None:
    return None if sent is None else max((now - sent).total_seconds(), 0)


async def _failed_lately(world: Watching) -> int:
    newest, _ = await world.jobs.list_jobs(page_size=_NEWEST_JOBS)
    since = world.clock.now() - _LATELY
    return sum(job.state is jobs.JobState.FAILED and job.changed >= since for job in newest)


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


async def _open_jobs(world: Watching) -> tuple[Sequence[jobs.Job], int]:
    """Return the open jobs, as far as they are read, and how many more there are."""
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
    return still_open, len(ids[_JOBS_READ:])


def _view(worker: workers.Worker, why: str) -> WorkerView:
    return WorkerView.model_validate({**worker.model_dump(), "live": not why, "why_dead": why})
