"""What is there to know about a job?"""

from dataclasses import dataclass

import pydantic

from blendrop import ports
from blendrop.domain import batches, frames, jobs


@dataclass(frozen=True)
class Showing:
    """What looking at jobs needs of the world."""

    jobs: ports.JobTable
    share: ports.FrameShare


class JobView(pydantic.BaseModel):
    """A job as every face shows it: page, CLI and API."""

    job: jobs.Job
    frames_done: int  # files that have their final names
    frames_failed: str  # canonical; for good or so far
    render_seconds: float  # in Blender, of the frames done
    batches: tuple[batches.Batch, ...]


async def job(world: Showing, job_id: str) -> JobView:
    """Return a job with its batches.

    Raises:
        NotFoundError: there is no such job.
    """
    shown = (await world.jobs.get_job(job_id)).row
    rows = [one.row async for one in world.jobs.batches_of(job_id)]
    return JobView(
        job=shown,
        frames_done=await _frames_done(world, shown),
        frames_failed=frames.canonical(
            failure.frame for batch in rows for failure in batch.failures
        ),
        render_seconds=sum(batch.render_seconds for batch in rows),
        batches=tuple(rows),
    )


async def _frames_done(world: Showing, job: jobs.Job) -> int:
    if not job.frame_pattern:
        return 0
    names = [
        frames.file_name(job.frame_pattern, number) for batch in job.batches() for number in batch
    ]
    return len(await world.share.frames_done(job.id, names))
