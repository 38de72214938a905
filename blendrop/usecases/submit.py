"""How does a scene become a job whose batches wait on the queue?

Everything here may be cut off at any point and run again: the job's id follows from the request,
rows that stand are left as they are, and a message that comes twice finds its batch claimed or
done. The order is: job row, batch rows, messages, and last the job's state `queued`, which says
that all of it is there.
"""

import asyncio
import dataclasses
import datetime
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from blendrop import errors, ports
from blendrop.domain import (
    batch_sizes,
    blend_head,
    frames,
    job_settings,
    jobs,
    whole_jobs,
)
from blendrop.usecases import announce, send, settle

log = structlog.stdlib.get_logger(__name__)

# The folder of scenes that are uploaded for a request over HTTP: they make no job by themselves.
REQUESTED = "api/"
_GROUP = 100  # batches, as many as a table takes in one transaction
_GROUPS_AT_ONCE = 4
_PLANNED_AT_ONCE = 200  # batches, within a request over HTTP
_UPLOAD_TIME = datetime.timedelta(hours=12)  # for a file of many GB over a slow line


@dataclass(frozen=True)
class Submission:
    """What submitting a scene needs of the world."""

    scenes: ports.SceneStore
    jobs: ports.JobTable
    queue: ports.BatchQueue
    due_jobs: ports.DueJobs
    share: ports.FrameShare
    clock: ports.Clock
    limits: job_settings.Limits
    settling: datetime.timedelta  # a submission in the making is left in peace this long
    spans: ports.Spans = field(default_factory=ports.Spans)


async def uploaded(world: Submission, name: str) -> jobs.Job | None:
    """Make the job of an uploaded blob; None if it is no .blend, is for a request, or gone again.

    What cannot be rendered becomes a `failed` job, whose reason says what to do.

    Raises:
        UnavailableError: the storage is away; run it again.
    """
    if not name.lower().endswith(".blend"):
        log.info("upload_ignored", scene=name, reason="its name does not end in .blend")
        return None
    if name.startswith(REQUESTED):
        log.info("upload_ignored", scene=name, reason="a request over HTTP makes its job")
        return None
    try:
        stored = await world.scenes.find(name)
    except errors.NotFoundError:
        log.info("upload_ignored", scene=name, reason="it was deleted before it could be read")
        return None
    job_id = jobs.id_of_upload(name, stored.scene.etag)
    try:
        standing = await world.jobs.get_job(job_id)
    except errors.NotFoundError:
        standing = await _added(world, await _of_upload(world, job_id, stored), "")
        await announce.begin(world.due_jobs, standing.row)
    return await finish(world, standing)


async def _of_upload(world: Submission, job_id: str, stored: ports.StoredScene) -> jobs.Job:
    """Lay the metadata's settings over the scene; a job that cannot be is born failed."""
    problems: list[errors.Problem] = []
    settings = job_settings.JobSettings()
    try:
        settings = job_settings.from_metadata(stored.metadata, world.limits)
    except errors.InvalidRequestError as invalid:
        problems.extend(invalid.problems)
    try:
        plan = await planned(world, stored.scene, settings)
    except errors.InvalidRequestError as invalid:
        problems.extend(invalid.problems)
        plan = Plan(stored.scene, settings)
    job = _job(job_id, plan, now=world.clock.now()).model_copy(
        update={"traceparent": world.spans.here()}
    )
    if problems:
        reason = " ".join(map(str, problems))
        return job.moved(jobs.JobState.FAILED, reason=reason, now=job.created)
    return job


@dataclass(frozen=True)
class Plan:
    """What would be rendered of a scene; without frames if it could not be read."""

    scene: jobs.SceneRef
    settings: job_settings.JobSettings
    blender_version: str = ""
    frames: tuple[int, ...] = ()
    batch_size: int = 1
    cut_for: int = 0  # workers; 0: a person gave the size

    @property
    def batch_count(self) -> int:
        """How many batches it takes."""
        return len(batch_sizes.planned(self.frames, most=self.batch_size, workers=self.cut_for))

    @property
    def canonical_frames(self) -> str:
        """The frames in their canonical form."""
        return frames.canonical(self.frames)


async def planned(
    world: Submission, scene: jobs.SceneRef, settings: job_settings.JobSettings
) -> Plan:
    """Read the scene's head, and hold the settings against it.

    Raises:
        InvalidRequestError: with what is wrong with the scene, or with the settings for it.
    """
    with world.spans.span("plan job"):
        head = await _head(world, scene)
    return Plan(
        scene,
        settings,
        blender_version=str(head.version),
        frames=_chosen_frames(settings, head, world.limits),
        batch_size=settings.batch_size or world.limits.default_batch_size,
        cut_for=0 if settings.batch_size else world.limits.most_workers,
    )


def _job(job_id: str, plan: Plan, *, now: datetime.datetime) -> jobs.Job:
    return jobs.Job(
        id=job_id,
        state=jobs.JobState.SUBMITTED,
        reason="its batches are being put on the queue",
        scene=plan.scene,
        settings=plan.settings,
        blender_version=plan.blender_version,
        frames=plan.canonical_frames,
        frame_count=len(plan.frames),
        batch_size=plan.batch_size,
        cut_for=plan.cut_for,
        batch_count=plan.batch_count,
        created=now,
        changed=now,
    )


async def _added(world: Submission, job: jobs.Job, by: str) -> ports.Versioned[jobs.Job]:
    return await world.jobs.add_job(job, event=job.event(by=by or "an upload"))


@dataclass(frozen=True)
class Request:
    """What somebody asks for over HTTP."""

    scene: str  # name of an uploaded blob
    settings: Mapping[str, object]
    caller: str  # who asks
    key: str  # the same for a request that is repeated, and for no other of this caller

    @property
    def digest(self) -> str:
        """The same for the same body, and for no other."""
        body = json.dumps([self.scene, dict(self.settings)], sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


async def preflight(world: Submission, request: Request) -> Plan:
    """Return what a request would render, and write nothing.

    Raises:
        InvalidRequestError: with every problem there is.
    """
    problems: list[errors.Problem] = []
    settings = job_settings.JobSettings()
    try:
        settings = job_settings.validated(request.settings, world.limits)
    except errors.InvalidRequestError as invalid:
        problems.extend(
            dataclasses.replace(one, pointer=f"settings/{one.pointer}") for one in invalid.problems
        )
    try:
        stored = await world.scenes.find(request.scene)
        plan = await planned(world, stored.scene, settings)
    except errors.NotFoundError:
        problems.append(
            errors.Problem(
                pointer="scene",
                value=request.scene,
                reason="there is no such scene",
                remedy="Upload it first: POST /api/uploads says where to",
            )
        )
    except errors.InvalidRequestError as invalid:
        problems.extend(
            dataclasses.replace(
                one,
                pointer="scene" if one.pointer == "scene_file" else f"settings/{one.pointer}",
            )
            for one in invalid.problems
        )
    if problems:
        raise errors.InvalidRequestError(*problems)
    return plan


async def requested(world: Submission, request: Request) -> jobs.Job:
    """Make the job that somebody asks for; asked again with the same key, it is the same job.

    The batches of a large job are planned by whoever hears of it on the queue of due jobs.

    Raises:
        InvalidRequestError: with every problem there is; nothing was written.
        ConflictError: the key was used for another request.
        UnavailableError: the storage is away; ask again with the same key.
    """
    plan = await preflight(world, request)
    key = hashlib.sha256(f"{request.caller}\n{request.key}".encode()).hexdigest()
    job_id = jobs.id_of_request(request.scene, caller=request.caller, key=request.key)
    noted = await world.jobs.remember_request(key, ports.KnownRequest(job_id, request.digest))
    if noted.digest != request.digest:
        raise errors.ConflictError(
            f"the key {request.key!r} was used for another request, which made job {noted.job}"
        )
    job = _job(noted.job, plan, now=world.clock.now()).model_copy(
        update={"owner": request.caller, "traceparent": world.spans.here()}
    )
    standing = await _added(world, job, request.caller)
    made = standing.row
    if made.deleted:
        raise errors.ConflictError(
            f"job {made.id} of this request was deleted; ask again with another key"
        )
    if made.state is jobs.JobState.SUBMITTED and made.batch_count > _PLANNED_AT_ONCE:
        await world.due_jobs.send(made.id, delay=datetime.timedelta(0))
        return made
    return await finish(world, standing)


async def upload_address(
    world: Submission, name: str, *, caller: str, key: str
) -> tuple[str, str, datetime.datetime]:
    """Return the name of a scene to be, where it can be put to, and until when.

    The same caller, key and name give the same scene, so that an upload can go on where it stopped.

    Raises:
        InvalidRequestError: a scene cannot have that name.
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    folder = hashlib.sha256(f"{caller}\n{key}".encode()).hexdigest()[:16]
    scene = f"{REQUESTED}{folder}/{last}"
    if not last.lower().endswith(".blend") or len(scene) > world.limits.name_length:
        raise errors.InvalidRequestError(
            errors.Problem(
                pointer="name",
                value=name[:80],
                reason="it does not end in .blend, or is too long",
                remedy=f"Give a name like opening.blend, of less than {world.limits.name_length} "
                "characters",
            )
        )
    now = world.clock.now()
    until = now + _UPLOAD_TIME
    return scene, await world.scenes.upload_address(scene, now=now, until=until), until


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
    rows = iter(whole_jobs.rows_of(job))

    async def add_and_send() -> None:
        # A message is sent once its row is there, while others' rows are still being added.
        while some := tuple(itertools.islice(rows, _GROUP)):
            await world.jobs.add_batches(some)
            await send.batches(world, job, some)

    planning = (add_and_send() for _ in range(_GROUPS_AT_ONCE))
    ended = await asyncio.gather(*planning, return_exceptions=True)
    for failed in filter(None, ended):
        raise failed
    await _queued(world, standing)
    # Workers may have been quicker than us, and could not settle a job that was still submitted.
    return await settle.job(world, job.id, by="the submission")


async def _queued(world: Submission, standing: ports.Versioned[jobs.Job]) -> None:
    job = standing.row
    queued = job.moved(
        jobs.JobState.QUEUED, reason="its batches wait for a worker", now=world.clock.now()
    )
    try:
        event = queued.event(by="the submission")
        await world.jobs.replace_job(queued, etag=standing.etag, event=event)
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
