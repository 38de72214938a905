"""How does a scene become a job whose batches wait on the queue?

Everything here may be cut off at any point and run again: the job's id follows from the request,
rows that stand are left as they are, and a message that comes twice finds its batch claimed or
done. The order is: job row, batch rows, messages, and last the job's state `queued`, which says
that all of it is there.
"""

import datetime
from dataclasses import dataclass

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, blend_head, frames, job_settings, jobs, messages
from blendrop.usecases import settle

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Submission:
    """What submitting a scene needs of the world."""

    scenes: ports.SceneStore
    jobs: ports.JobTable
    queue: ports.BatchQueue
    share: ports.FrameShare
    clock: ports.Clock
    limits: job_settings.Limits
    settling: datetime.timedelta  # a submission in the making is left in peace this long


async def uploaded(world: Submission, name: str, *, traceparent: str = "") -> jobs.Job | None:
    """Make the job of an uploaded blob; None if it is no .blend, or gone again.

    What cannot be rendered becomes a `failed` job, whose reason says what to do.

    Raises:
        UnavailableError: the storage is away; run it again.
    """
    if not name.lower().endswith(".blend"):
        log.info("upload_ignored", scene=name, reason="its name does not end in .blend")
        return None
    try:
        stored = await world.scenes.find(name)
    except errors.NotFoundError:
        log.info("upload_ignored", scene=name, reason="it was deleted before it could be read")
        return None
    job_id = jobs.id_of_upload(name, stored.scene.etag)
    standing = await _standing(world, job_id)
    if standing is None:
        standing = await world.jobs.add_job(await _made(world, job_id, stored, traceparent))
    return await finish(world, standing)


async def _standing(world: Submission, job_id: str) -> ports.Versioned[jobs.Job] | None:
    try:
        return await world.jobs.get_job(job_id)
    except errors.NotFoundError:
        return None


async def _made(
    world: Submission, job_id: str, stored: ports.StoredScene, traceparent: str
) -> jobs.Job:
    """Read the scene's head and lay the settings over it; a job that cannot be is born failed."""
    now = world.clock.now()
    job = jobs.Job(
        id=job_id,
        state=jobs.JobState.SUBMITTED,
        reason="its batches are being put on the queue",
        scene=stored.scene,
        settings=job_settings.JobSettings(),
        created=now,
        changed=now,
        traceparent=traceparent,
    )
    problems: list[errors.Problem] = []
    settings, head = job.settings, None
    try:
        settings = job_settings.from_metadata(stored.metadata, world.limits)
    except errors.InvalidRequestError as invalid:
        problems.extend(invalid.problems)
    try:
        head = await _head(world, stored.scene)
    except errors.InvalidRequestError as invalid:
        problems.extend(invalid.problems)
    if head is not None:
        job = job.model_copy(update={"blender_version": str(head.version)})
        try:
            chosen = _chosen_frames(settings, head, world.limits)
        except errors.InvalidRequestError as invalid:
            problems.extend(invalid.problems)
    if head is None or problems:
        reason = " ".join(map(str, problems))
        return job.model_copy(update={"settings": settings}).moved(
            jobs.JobState.FAILED, reason=reason, now=now
        )
    batch_size = settings.batch_size or world.limits.default_batch_size
    return job.model_copy(
        update={
            "settings": settings,
            "frames": frames.canonical(chosen),
            "frame_count": len(chosen),
            "batch_size": batch_size,
            "batch_count": -(-len(chosen) // batch_size),
        }
    )


async def _head(world: Submission, scene: jobs.SceneRef) -> blend_head.BlendHead:
    if len(scene.name) > world.limits.name_length:
        raise _refused(
            scene.name[:77] + "...",
            f"its name has {len(scene.name)} characters, more than {world.limits.name_length}",
            "Upload it under a shorter name",
        )
    if scene.size > world.limits.scene_bytes:
        raise _refused(
            scene.name,
            f"it has {scene.size} bytes, more than the {world.limits.scene_bytes} allowed here",
            "Make the .blend smaller, or ask the farm's engineer to raise the limit",
        )

    async def read(offset: int, length: int) -> bytes:
        return await world.scenes.read(scene, offset, length)

    head = await blend_head.read(read, size=scene.size)
    newest = world.limits.newest_blender
    if head.version > blend_head.BlenderVersion.parse(newest):
        raise _refused(
            scene.name,
            f"it was saved by Blender {head.version}, and the newest Blender here is {newest}",
            f"Save it with Blender {newest} or older, or ask the farm's engineer for a newer one",
        )
    return head


def _refused(value: str, reason: str, remedy: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(
        errors.Problem(pointer="scene_file", value=value, reason=reason, remedy=remedy)
    )


def _chosen_frames(
    settings: job_settings.JobSettings, head: blend_head.BlendHead, limits: job_settings.Limits
) -> tuple[int, ...]:
    if settings.frames is not None:
        return frames.parse(settings.frames, at_most=limits.frames_per_job)
    by_name = {scene.name: scene for scene in head.scenes}
    scene = by_name.get(settings.scene) if settings.scene else head.scenes[0]
    if scene is None:
        # The head names only the scene that was active when the file was saved; whether another
        # one exists, only Blender can tell.
        raise errors.InvalidRequestError(
            errors.Problem(
                pointer="frames",
                value="",
                reason=f"the frame range of scene {settings.scene!r} does not stand in the head of "
                f"the .blend, which names {', '.join(map(repr, by_name))}",
                remedy="Give the frames, like 1-250, together with the scene",
            )
        )
    return frames.parse(f"{scene.start}-{scene.end}", at_most=limits.frames_per_job)


async def finish(world: Submission, standing: ports.Versioned[jobs.Job]) -> jobs.Job:
    """Bring a submitted job to `queued`, from wherever an earlier run was cut off."""
    job = standing.row
    if job.state is not jobs.JobState.SUBMITTED:
        report = log.warning if job.state is jobs.JobState.FAILED else log.info
        report("job_stands", job=job.id, scene=job.scene.name, state=job.state, reason=job.reason)
        return job
    planned = [
        batches.Batch(job=job.id, number=number, frames=frames.canonical(some))
        for number, some in enumerate(job.batches())
    ]
    await world.jobs.add_batches(planned)
    await world.queue.send(
        [
            messages.BatchMessage(
                job=job.id, batch=batch.number, frames=batch.frames, traceparent=job.traceparent
            )
            for batch in planned
        ]
    )
    await _queued(world, standing)
    # Workers may have been quicker than us, and could not settle a job that was still submitted.
    return await settle.job(world.jobs, world.share, job.id, now=world.clock.now())


async def _queued(world: Submission, standing: ports.Versioned[jobs.Job]) -> None:
    job = standing.row
    queued = job.moved(
        jobs.JobState.QUEUED, reason="its batches wait for a worker", now=world.clock.now()
    )
    try:
        await world.jobs.replace_job(queued, etag=standing.etag)
    except errors.ConflictError:
        # The first worker noted the name of its files, or another run of this use case was first.
        standing = await world.jobs.get_job(job.id)
        if standing.row.state is jobs.JobState.SUBMITTED:
            return await _queued(world, standing)
        return None
    log.info(
        "job_queued",
        job=job.id,
        scene=job.scene.name,
        frames=job.frames,
        batches=job.batch_count,
    )
    return None
