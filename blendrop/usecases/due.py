"""What is due of a job, and who does it? Its batches are planned, or its end is announced.

Word of a job comes by a queue, so that neither a request over HTTP nor a worker waits for it. The
job's own row says what is due; word that comes twice, or late, finds nothing to do.
"""

from dataclasses import dataclass

import structlog

from blendrop import errors
from blendrop.domain import jobs
from blendrop.usecases import announce, submit
from blendrop.usecases.announce import Announcing
from blendrop.usecases.submit import Submission

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Attending:
    """What attending to due jobs needs of the world."""

    submission: Submission
    announcing: Announcing


async def attend(world: Attending, job_id: str) -> None:
    """Do what is due of a job.

    Raises:
        UnavailableError: the storage is away; run it again.
    """
    try:
        standing = await world.submission.jobs.get_job(job_id)
    except errors.NotFoundError:
        log.warning("due_job_dropped", job=job_id, reason="there is no such job")
        return
    # In the job's trace, which the message does not know.
    with world.submission.spans.span("attend due job", parent=standing.row.traceparent, job=job_id):
        if standing.row.state is jobs.JobState.SUBMITTED:
            await submit.finish(world.submission, standing)
        else:
            await announce.attempt(world.announcing, standing)
