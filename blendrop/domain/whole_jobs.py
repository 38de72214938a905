"""Which batches must a job have, and has it all of them?"""

from collections.abc import Iterable

from blendrop.domain import batches, frames, jobs

_ENDED_WELL = frozenset({batches.BatchState.DONE, batches.BatchState.FAILED})


def rows_of(job: jobs.Job) -> list[batches.Batch]:
    """Return every batch of a job as it is before any worker has it."""
    return [
        batches.Batch(job=job.id, number=number, frames=frames.canonical(some))
        for number, some in enumerate(job.batches())
    ]


def all_ended(job: jobs.Job, rows: Iterable[batches.Batch]) -> bool:
    """Tell whether every frame of the job is in a batch that is done or failed."""
    ended = {one for row in rows if row.state in _ENDED_WELL for one in row.frame_numbers()}
    return ended.issuperset(job.frame_numbers())
