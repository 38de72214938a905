"""What is there to know about a job? The same for every face: page, CLI and API."""

import datetime
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from blendrop import errors, ports
from blendrop.domain import batches, costs, events, frames, images, jobs, record, usage

_LISTED = 100  # failures, and flagged frames, that a job shows; its frames show them all


@dataclass(frozen=True)
class Showing:
    """What looking at jobs needs of the world."""

    jobs: ports.JobTable
    share: ports.FrameShare
    clock: ports.Clock
    prices: costs.PriceTable


class AtWork(record.Record):
    """A worker that renders a batch of the job."""

    worker: str
    batch: int
    frames: str
    frames_done: int
    waits: str  # why it cannot go on; empty while it renders


class JobView(record.Record):
    """A job with what has become of it so far."""

    job: jobs.Job
    frames_done: int  # files that have their final names
    frames_taken_over: int  # of those, from the job that `job.taken_from` names
    frames_failed: str  # canonical; for good or so far
    frames_left: int
    frames_per_second: float | None  # since its first frame was begun
    eta_seconds: float | None  # until the last frame is done, if it goes on like this
    attempts: int  # deliveries of its batches to workers
    render_seconds: float  # in Blender, of the frames done
    wasted_seconds: float  # on attempts at frames that failed
    worker_seconds: float  # that workers held its batches: all of the above, and the rest
    idle_seconds: float  # that workers started for it, or stood ready before and after a batch
    used: usage.Usage  # by workers, in both; and about what planning it took
    cost: costs.Cost | None  # of what was used; nothing while no batch was looked at
    workers: tuple[AtWork, ...]
    failures: tuple[batches.FrameFailure, ...]
    flagged: tuple[batches.FlaggedFrame, ...]


class FrameState(StrEnum):
    """Where a frame stands."""

    WAITING = "waiting"
    RENDERING = "rendering"  # its batch is with a worker
    DONE = "done"
    FAILED = "failed"  # so far, or for good


class FrameView(record.Record):
    """One frame of a job."""

    frame: int
    state: FrameState
    name: str  # of its file; empty while no worker has opened the scene
    batch: int
    seconds: float | None  # in Blender
    flags: tuple[images.FrameFlag, ...]
    failure: batches.FrameFailure | None


class JobPage(record.Record):
    """Some jobs, newest first."""

    jobs: tuple[jobs.Job, ...]
    next: str  # token of the next page; empty on the last one


async def listed(
    world: Showing, *, page_size: int, token: str = "", state: jobs.JobState | None = None
) -> JobPage:
    """Return a page of jobs, of one state or of any; batches are never looked at."""
    found: list[jobs.Job] = []
    while True:
        # Of one state, pages are filled from as many of all jobs as it takes.
        some, token = await world.jobs.list_jobs(page_size=page_size - len(found), token=token)
        found += [one for one in some if not one.deleted and (state is None or one.state is state)]
        if len(found) >= page_size or not token:
            return JobPage(jobs=tuple(found), next=token)


async def owner_of(world: Showing, job_id: str) -> str | None:
    """Return who submitted a job, which is nobody for an upload; None if there is no such job."""
    try:
        return (await world.jobs.get_job(job_id)).row.owner
    except errors.NotFoundError:
        return None


async def job(world: Showing, job_id: str) -> JobView:
    """Return a job.

    Raises:
        NotFoundError: there is no such job.
    """
    shown = await _job(world, job_id)
    rows = await _rows(world, job_id)
    done = len(await _frames_done(world, shown))
    failures = sorted((one for row in rows for one in row.failures), key=lambda one: one.frame)
    flagged = sorted((one for row in rows for one in row.flagged), key=lambda one: one.frame)
    rate = _rate(shown, done, world.clock.now())
    left = shown.frame_count - done
    idle = sum(row.idle_seconds for row in rows)
    used = costs.sum_of(rows).plus(usage.of_planning(shown.batch_count)).rounded()
    return JobView(
        job=shown,
        frames_done=done,
        frames_taken_over=sum(row.taken_over for row in rows),
        frames_failed=frames.canonical(one.frame for one in failures),
        frames_left=left,
        frames_per_second=rate,
        eta_seconds=left / rate if rate and not shown.ended else None,
        attempts=sum(row.attempt for row in rows),
        render_seconds=round(sum(row.render_seconds for row in rows), 3),
        wasted_seconds=round(sum(row.wasted_seconds for row in rows), 3),
        worker_seconds=round(sum(row.worker_seconds for row in rows), 3),
        idle_seconds=round(idle, 3),
        used=used,
        cost=costs.of_job(world.prices, used, idle_seconds=idle, done=done, left=left),
        workers=tuple(
            AtWork(
                worker=row.worker,
                batch=row.number,
                frames=row.frames,
                frames_done=row.frames_done,
                waits=row.reason,
            )
            for row in rows
            if row.state is batches.BatchState.RENDERING
        ),
        failures=tuple(failures[:_LISTED]),
        flagged=tuple(flagged[:_LISTED]),
    )


def new(job: jobs.Job) -> JobView:
    """Return a job of which nothing has been rendered yet, without a look at its batches."""
    return JobView(
        job=job,
        frames_done=0,
        frames_taken_over=0,
        frames_failed="",
        frames_left=job.frame_count,
        frames_per_second=None,
        eta_seconds=None,
        attempts=0,
        render_seconds=0.0,
        wasted_seconds=0.0,
        worker_seconds=0.0,
        idle_seconds=0.0,
        used=usage.Usage(),
        cost=None,
        workers=(),
        failures=(),
        flagged=(),
    )


async def batches_of(world: Showing, job_id: str) -> tuple[batches.Batch, ...]:
    """Return a job's batches. Raises NotFoundError."""
    await _job(world, job_id)
    return tuple(await _rows(world, job_id))


async def frames_of(world: Showing, job_id: str) -> list[FrameView]:
    """Return a job's frames, ascending. Raises NotFoundError."""
    shown = await _job(world, job_id)
    done = await _frames_done(world, shown)
    found = (
        _frame(shown, row, number, done=_name(shown, number) in done)
        for row in await _rows(world, job_id)
        for number in row.frame_numbers()
    )
    return sorted(found, key=lambda one: one.frame)


async def frame_file(world: Showing, job_id: str, frame: int) -> Path:
    """Return where the image of a frame is. Raises NotFoundError."""
    return await _file(world, job_id, frame, "{name}", "it is not done")


async def frame_log(world: Showing, job_id: str, frame: int) -> Path:
    """Return where Blender's log of a frame is. Raises NotFoundError."""
    return await _file(world, job_id, frame, "logs/{name}.log", "no attempt at it has ended")


async def frame_preview(world: Showing, job_id: str, frame: int) -> Path:
    """Return where a frame's preview is, a small JPEG. Raises NotFoundError."""
    return await _file(world, job_id, frame, "previews/{name}.jpg", "it has no preview yet")


async def events_of(world: Showing, job_id: str) -> AsyncIterator[events.JobEvent]:
    """Yield what happened to a job, oldest first. Raises NotFoundError."""
    await _job(world, job_id)
    async for event in world.jobs.events_of(job_id):
        yield event


async def _job(world: Showing, job_id: str) -> jobs.Job:
    shown = (await world.jobs.get_job(job_id)).row
    if shown.deleted:
        raise errors.NotFoundError(f"job {job_id} was deleted")
    return shown


async def _rows(world: Showing, job_id: str) -> Sequence[batches.Batch]:
    return [one.row async for one in world.jobs.batches_of(job_id)]


async def _file(world: Showing, job_id: str, frame: int, pattern: str, why: str) -> Path:
    shown = await _job(world, job_id)
    if frame not in shown.frame_numbers():
        raise errors.NotFoundError(f"job {job_id} has no frame {frame}; it has {shown.frames}")
    absent = errors.NotFoundError(f"frame {frame} of job {job_id}: {why}")
    if not shown.frame_pattern:
        raise absent
    try:
        return await world.share.file(job_id, pattern.format(name=_name(shown, frame)))
    except errors.NotFoundError:
        raise absent from None


def _name(job: jobs.Job, frame: int) -> str:
    return frames.file_name(job.frame_pattern, frame) if job.frame_pattern else ""


def _frame(job: jobs.Job, row: batches.Batch, number: int, *, done: bool) -> FrameView:
    failure = row.failure_of(number)
    if done:
        state, failure = FrameState.DONE, None
    elif failure is not None:
        state = FrameState.FAILED
    elif row.state is batches.BatchState.RENDERING:
        state = FrameState.RENDERING
    else:
        state = FrameState.WAITING
    return FrameView(
        frame=number,
        state=state,
        name=_name(job, number),
        batch=row.number,
        seconds=row.frame_seconds.get(number),
        flags=next((one.flags for one in row.flagged if one.frame == number), ()),
        failure=failure,
    )


def _rate(job: jobs.Job, done: int, now: datetime.datetime) -> float | None:
    if job.started is None or not done:
        return None
    seconds = ((job.changed if job.ended else now) - job.started).total_seconds()
    return round(done / seconds, 4) if seconds > 0 else None


async def _frames_done(world: Showing, job: jobs.Job) -> set[str]:
    """Return the names of the frames whose files stand: the one truth."""
    if not job.frame_pattern:
        return set()
    names = [_name(job, number) for number in job.frame_numbers()]
    return await world.share.frames_done(job.id, names)
