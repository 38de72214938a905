"""Which frames of a job need not be rendered, since an earlier job has them?

Two jobs have the same frames if their scenes' bytes, the settings that pixels depend on and the
version of Blender are the same. The first worker that opens a job's scene looks for such a job, and
notes it on the job's row; whoever renders a batch takes over what that job has of it, or the one
that it took frames from itself. A frame counts only if its file stands, and is whole when it is
looked at anew.
"""

from collections.abc import Sequence
from typing import Protocol

import structlog

from blendrop import errors, ports
from blendrop.domain import frames, images, jobs, same_frames

log = structlog.stdlib.get_logger(__name__)

_GENERATIONS = 10  # of jobs that took frames from each other


class World(Protocol):
    """What taking over frames needs of the world."""

    @property
    def jobs(self) -> ports.JobTable:
        """The rows of jobs."""
        ...

    @property
    def scenes(self) -> ports.SceneFiles:
        """The bytes of scenes."""
        ...

    @property
    def share(self) -> ports.FrameShare:
        """Where frames are."""
        ...

    @property
    def verifier(self) -> ports.ImageVerifier:
        """What looks at every image before it counts."""
        ...


async def key_of(world: World, job: jobs.Job, report: ports.SceneReport) -> str:
    """Return the key of a job's frames."""
    return same_frames.key(
        scene_digest=await world.scenes.digest_of(job.scene),
        settings=job.settings,
        blender_version=report.blender_version,
    )


async def earlier_job(world: World, job: jobs.Job, frames_key: str) -> str:
    """Return the job that this one can take frames from; empty if there is none, or none may be."""
    if job.settings.force:
        return ""
    found = await world.jobs.latest_of(frames_key)
    return "" if found == job.id else found


class TakingOver:
    """What one attempt at a batch takes over."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sources: Sequence[jobs.Job] | None = None  # newest first; None: not looked for yet

    async def frame(
        self, job: jobs.Job, frame: int, *, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag] | None:
        """Give a frame that an earlier job has its name in this one, and return its flags.

        None: no earlier job has it.

        Raises:
            UnavailableError: the storage or the share is away.
        """
        if not job.taken_from:
            return None
        if self._sources is None:
            self._sources = await self._looked_for(job.taken_from)
        name = frames.file_name(job.frame_pattern, frame)
        for source in self._sources:
            known_as = frames.file_name(source.frame_pattern, frame)
            try:
                path = await self._world.share.file(source.id, known_as)
                # Which of the extra outputs belong to a frame, their names do not say; a frame that
                # has some is published after them.
                if await self._world.share.has_extra_files(source.id):
                    continue
                flags = await self._world.verifier.verify(path, expected)
            except errors.NotFoundError:
                continue
            except errors.FrameError as bad:
                log.warning("frame_not_taken_over", frame=frame, source=source.id, reason=str(bad))
                continue
            await self._keep_beside(source, known_as, job, name)
            await self._world.share.publish(job.id, path, name)
            log.info("frame_taken_over", frame=frame, source=source.id)
            return flags
        return None

    async def _keep_beside(self, source: jobs.Job, known_as: str, job: jobs.Job, name: str) -> None:
        for beside in ("previews/{}.jpg", "logs/{}.log"):
            try:
                file = await self._world.share.file(source.id, beside.format(known_as))
                await self._world.share.keep(job.id, file, beside.format(name))
            except errors.NotFoundError:
                log.info("nothing_beside", source=source.id, name=beside.format(known_as))

    async def _looked_for(self, job_id: str) -> Sequence[jobs.Job]:
        """Return the jobs whose files may be used, from one to the one that it took over from."""
        found: list[jobs.Job] = []
        for _ in range(_GENERATIONS):
            try:
                source = (await self._world.jobs.get_job(job_id)).row
            except errors.NotFoundError:
                break
            if source.frame_pattern:
                found.append(source)
            if not source.taken_from:
                break
            job_id = source.taken_from
        return found
