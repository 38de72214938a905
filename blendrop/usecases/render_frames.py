"""How are the frames of a claimed batch rendered?

For every frame that has no file with its final name yet: render it on the worker's own disk, verify
it, publish it. A frame that fails is counted, and the next one is rendered. Blender renders a frame
while the one before is verified and published, and is never further ahead than that; behind the
last frame of a batch that is the first one of the next.
"""

import asyncio
import contextvars
import datetime
import functools
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, circuit_breaker, costs, events, frames, images, jobs
from blendrop.usecases import take_over
from blendrop.usecases.handover import AHEAD, Handover, Stage
from blendrop.usecases.known_rows import KnownRows
from blendrop.usecases.lease import Lease
from blendrop.usecases.ledger import Ledger
from blendrop.usecases.split import Sharing

log = structlog.stdlib.get_logger(__name__)

_MISSING_SHOWN = 10
_LOG_TAIL = 2_000  # characters, so that a batch row stays small
_FIRST_PATIENCE, _LONGEST_PATIENCE = 1.0, 30.0  # seconds between two tries
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rendering:
    """What rendering batches needs of the world, and the rules of this farm."""

    worker: str
    jobs: ports.JobTable
    queue: ports.BatchQueue
    scenes: ports.SceneFiles
    due_jobs: ports.DueJobs
    share: ports.FrameShare
    renderer: ports.Renderer
    verifier: ports.ImageVerifier
    previews: ports.PreviewMaker
    clock: ports.Clock
    stopping: Callable[[], bool]
    lease: datetime.timedelta
    frame_attempts: int
    retry_delay: datetime.timedelta  # before the second attempt; doubled before each later one
    breaker: circuit_breaker.CircuitBreaker
    largest_image: int  # pixels
    ledger: Ledger  # of what this worker uses
    prices: costs.PriceTable
    known: KnownRows
    batch_seconds: float  # a longer batch is shared with workers that are idle; 0: never
    progress: ports.Progress = field(default_factory=ports.Progress)
    spans: ports.Spans = field(default_factory=ports.Spans)
    left: set[tuple[str, int, int]] = field(default_factory=set)  # job, batch, attempt
    handover: Handover = field(default_factory=Handover)

    def leaves_to_others(self, batch: batches.Batch) -> bool:
        """Tell whether a batch whose last attempt failed here should be tried elsewhere first.

        It may be this worker that is at fault. Others have one chance for each attempt: where there
        are none, the batch is this worker's again.
        """
        failed_here = any(failure.worker == self.worker for failure in batch.failures)
        if batch.state is not batches.BatchState.QUEUED or batch.worker != self.worker:
            return False
        attempt = (batch.job, batch.number, batch.attempt)
        if not failed_here or attempt in self.left:
            return False
        self.left.add(attempt)
        return True


def for_good(world: Rendering, failure: batches.FrameFailure | None) -> bool:
    """Tell whether a frame has failed so often that no further attempt is made.

    A vanished worker is weaker evidence against a frame than a failure that Blender reported (spot
    machines vanish for reasons of their own), so it takes twice as many.
    """
    if failure is None:
        return False
    lost = failure.failure_class is errors.FailureClass.WORKER_LOST
    return failure.attempts >= world.frame_attempts * (2 if lost else 1)


async def missing(
    world: Rendering,
    lease: Lease,
    job: ports.Versioned[jobs.Job],
    done: Collection[int],
    stage: Stage,
) -> None:
    """Render every frame of the batch that is neither done nor failed for good."""
    wanted: Sequence[int] = [
        one
        for one in lease.batch.frame_numbers()
        if one not in done and not for_good(world, lease.batch.failure_of(one))
    ]
    if not wanted:
        return
    with world.spans.span("fetch scene"):
        path = await _patiently(world, lease, lambda: _scene_file(world, job.row.scene))
    try:
        async with asyncio.TaskGroup() as beside:
            await _one_after_the_other(
                world, lease, job, path, wanted=wanted, stage=stage, beside=beside
            )
    except BaseExceptionGroup as several:
        # The first to fail cancelled the others: the render, or what goes on beside it.
        raise several.exceptions[0] from None


async def _one_after_the_other(
    world: Rendering,
    lease: Lease,
    job: ports.Versioned[jobs.Job],
    path: Path,
    *,
    wanted: Sequence[int],
    stage: Stage,
    beside: asyncio.TaskGroup,
) -> None:
    handover = world.handover
    sharing = Sharing(world, lease, job.row)
    taking = take_over.TakingOver(world)
    while wanted := await sharing.kept(wanted):
        if world.stopping() or lease.batch.pause_requested:
            break
        frame, *wanted = wanted
        lease.check()
        began = world.clock.elapsed()
        world.progress.frame_begun(frame)
        try:
            with world.spans.span("frame", frame=frame):
                report = await _opened(world, job.row, path)
                job = await _started(world, lease, job, report)
                if await _taken_over(world, lease, job.row, frame, taking, report=report):
                    continue
                name = frames.file_name(job.row.frame_pattern, frame)
                within = contextvars.copy_context()  # what follows is of this frame, too
                with world.spans.span("render"):
                    if not wanted:
                        before = handover.last_took(job.row.id)
                        rendered = await _last(world, stage, frame, name, before=before)
                    else:
                        rendered = await world.renderer.render(frame, name)
        except errors.SceneError:
            raise
        except errors.FrameError as failed:
            printed = world.renderer.last_log()
            seconds = world.clock.elapsed() - began
            if job.row.frame_pattern:
                name = frames.file_name(job.row.frame_pattern, frame)
                await _keep_log(world, lease, job.row, name, printed)
            _count_failure(world, lease, frame, failed, seconds=seconds)
            await handover.finished()
            continue
        handover.rendered(job.row.id, rendered.seconds)
        sharing.rendered(frame, rendered.seconds)
        printed = world.renderer.last_log()
        await handover.finished()
        handover.finishes(
            beside.create_task(
                _finish(
                    world,
                    lease,
                    job.row,
                    rendered,
                    frame=frame,
                    name=name,
                    image=report.image,
                    printed=printed,
                ),
                context=within,
            )
        )
    stage.through()  # with Blender; the last frame is still to be verified and published


async def _last(
    world: Rendering, stage: Stage, frame: int, name: str, *, before: float | None
) -> ports.RenderedFrame:
    """Render the last frame of a batch; say shortly before it ends that it will."""

    async def say() -> None:
        if before is None:
            return
        if before > AHEAD:  # it may take as long
            await world.clock.sleep(before - AHEAD)
        stage.nearly_through.set()

    saying = asyncio.create_task(say())
    try:
        rendered = await world.renderer.render(frame, name)
    finally:
        saying.cancel()
    stage.nearly_through.set()
    return rendered


def _count_failure(
    world: Rendering, lease: Lease, frame: int, failed: errors.FrameError, *, seconds: float
) -> None:
    log.warning(
        "frame_failed",
        frame=frame,
        failure=failed.failure_class,
        reason=str(failed),
        log_tail=failed.log_tail[-_LOG_TAIL:],
    )
    failure = _failure(world, lease.batch, frame, failed)
    lease.batch = lease.batch.with_failure(failure, seconds=seconds)
    world.progress.frame_failed(lease.batch, frame, failed.failure_class, seconds=seconds)


async def _scene_file(world: Rendering, scene: jobs.SceneRef) -> Path:
    try:
        return await world.scenes.path_of(scene)
    except (errors.ConflictError, errors.NotFoundError) as gone:
        raise errors.SceneError(
            errors.FailureClass.SCENE_UNREADABLE,
            f"the scene {scene.name!r} was replaced or deleted since the job was made ({gone})",
            "Upload it again: the upload makes a new job",
        ) from gone


async def _opened(world: Rendering, job: jobs.Job, path: Path) -> ports.SceneReport:
    report = await world.renderer.open_scene(path, job.settings, version=job.blender_version)
    if report.missing_files and not job.settings.allow_missing_files:
        some = "; ".join(report.missing_files[:_MISSING_SHOWN])
        raise errors.SceneError(
            errors.FailureClass.MISSING_FILES,
            f"{len(report.missing_files)} files that the scene uses are not in the .blend: {some}",
            "Pack them (File > External Data > Pack Resources) and upload it again, or set "
            "allow_missing_files to render without them",
        )
    if report.skipped_python and not job.settings.allow_skipped_python:
        some = "; ".join(report.skipped_python[:_MISSING_SHOWN])
        raise errors.SceneError(
            errors.FailureClass.NEEDS_PYTHON,
            f"frames depend on Python of the .blend, which never runs on a farm: {some}",
            "Bake it to keyframes (Object > Animation > Bake Action) or replace it, or set "
            "allow_skipped_python to render without it",
        )
    if report.image.width * report.image.height > world.largest_image:
        raise errors.SceneError(
            errors.FailureClass.SETTING_REFUSED,
            f"its images have {report.image.width} × {report.image.height} pixels, more than the "
            f"{world.largest_image} that this farm renders",
            "Give a smaller resolution, or resolution_percent, or ask the farm's engineer to raise "
            "BLENDROP_IMAGE_PIXELS",
        )
    return report


async def _started(
    world: Rendering, lease: Lease, job: ports.Versioned[jobs.Job], report: ports.SceneReport
) -> ports.Versioned[jobs.Job]:
    """Note on the job that it renders, and what its files are called: the first worker decides."""
    begun = job
    frames_key = earlier = ""
    if not job.row.frame_pattern:
        unnamed = job.row
        frames_key = await _patiently(
            world, lease, lambda: take_over.key_of(world, unnamed, report)
        )
        earlier = await _patiently(
            world, lease, lambda: take_over.earlier_job(world, unnamed, frames_key)
        )
    while not job.row.frame_pattern or job.row.state is jobs.JobState.QUEUED:
        changed, event = job.row, None
        if not changed.frame_pattern:
            noted = {"frame_pattern": report.frame_pattern, "taken_from": earlier}
            changed = changed.model_copy(update=noted)
        if changed.state is jobs.JobState.QUEUED:
            now = world.clock.now()
            reason = "workers render it"
            if changed.taken_from:
                reason = f"workers render what job {changed.taken_from} does not have of it"
            changed = changed.moved(jobs.JobState.RENDERING, reason=reason, now=now)
            changed = changed.model_copy(update={"started": changed.started or now})
            event = changed.event(by=world.worker)
        change = functools.partial(_replaced_or_read, world, changed, job.etag, event)
        job = await _patiently(world, lease, change)
    if job is not begun:
        world.known.note(job)
    if frames_key:
        noting = functools.partial(world.jobs.note_latest, frames_key, job.row.id)
        await _patiently(world, lease, noting)
    return job


async def _taken_over(
    world: Rendering,
    lease: Lease,
    job: jobs.Job,
    frame: int,
    taking: take_over.TakingOver,
    *,
    report: ports.SceneReport,
) -> bool:
    """Tell whether an earlier job had the frame, which is this one's now, too."""
    take = functools.partial(taking.frame, job, frame, expected=report.image)
    flags = await _patiently(world, lease, take)
    if flags is None:
        return False
    lease.batch = lease.batch.with_frame_taken_over(frame, flags=flags)
    return True


async def _replaced_or_read(
    world: Rendering, changed: jobs.Job, etag: str, event: events.JobEvent | None
) -> ports.Versioned[jobs.Job]:
    try:
        return await world.jobs.replace_job(changed, etag=etag, event=event)
    except errors.ConflictError:
        return await world.jobs.get_job(changed.id)


async def _finish(
    world: Rendering,
    lease: Lease,
    job: jobs.Job,
    rendered: ports.RenderedFrame,
    *,
    frame: int,
    name: str,
    image: images.ExpectedImage,
    printed: str,
) -> None:
    """Verify a frame and publish it, or count it as failed, while Blender renders the next."""
    try:
        with world.spans.span("verify", frame=frame):
            flags = await world.verifier.verify(rendered.path, image)
        await _keep_log(world, lease, job, name, printed)
        for extra in rendered.extra_files:
            keep = functools.partial(world.share.keep, job.id, extra.path, f"extra/{extra.name}")
            await _patiently(world, lease, keep)
        lease.check()
        with world.spans.span("publish", frame=frame):
            await _patiently(world, lease, lambda: world.share.publish(job.id, rendered.path, name))
    except errors.FrameError as failed:
        await _keep_log(world, lease, job, name, printed)
        _count_failure(world, lease, frame, failed, seconds=rendered.seconds)
        return
    lease.batch = lease.batch.with_frame_done(frame, seconds=rendered.seconds, flags=flags)
    world.progress.frame_done(lease.batch, frame, seconds=rendered.seconds)
    log.info(
        "frame_done", frame=frame, seconds=round(rendered.seconds, 3), flags=list(map(str, flags))
    )
    if rendered.display is not None:
        await _keep_preview(world, job, rendered.display, name)


async def _keep_preview(world: Rendering, job: jobs.Job, display: Path, name: str) -> None:
    """Keep a small picture of a frame, once; the frame is done, whatever becomes of that."""
    try:
        small = await world.previews.preview(display)
        await world.share.keep(job.id, small, f"previews/{name}.jpg")
    except (errors.FrameError, errors.UnavailableError) as failed:
        log.warning("preview_failed", name=name, reason=str(failed))


async def _keep_log(world: Rendering, lease: Lease, job: jobs.Job, name: str, printed: str) -> None:
    await _patiently(
        world, lease, lambda: world.share.keep_log(job.id, f"logs/{name}.log", printed)
    )


def _failure(
    world: Rendering, batch: batches.Batch, frame: int, failed: errors.FrameError
) -> batches.FrameFailure:
    return batches.FrameFailure(
        frame=frame,
        attempts=batch.attempts_of(frame) + 1,
        failure_class=failed.failure_class,
        reason=failed.reason,
        remedy=failed.remedy,
        worker=world.worker,
        log_tail=failed.log_tail[-_LOG_TAIL:],
    )


async def _patiently(
    world: Rendering, lease: Lease, doing: Callable[[], Awaitable[Result]]
) -> Result:
    """Do something, trying again while the world is away; the lease is kept and says why."""
    patience = _FIRST_PATIENCE
    while True:
        try:
            result = await doing()
        except errors.UnavailableError as away:
            log.warning("waiting", reason=str(away), seconds=patience)
            lease.batch = lease.batch.model_copy(update={"reason": str(away)})
            world.progress.waiting(str(away))
            await world.clock.sleep(patience)
            patience = min(patience * 2, _LONGEST_PATIENCE)
        else:
            if lease.batch.reason:
                lease.batch = lease.batch.model_copy(update={"reason": ""})
                world.progress.waiting("")
            return result
