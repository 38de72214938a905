"""How does a job that goes on get back the batches that it must have?

It has a row for every batch, and none that is cancelled. Yet a row may be missing, of a job that
was cancelled while it was planned; and a batch may be cancelled by somebody who had read the job
as ended, just before a person asked to try again.
"""

from blendrop import errors, ports
from blendrop.domain import batches, jobs, whole_jobs


async def batches_of(table: ports.JobTable, job: jobs.Job) -> list[batches.Batch]:
    """Return the batches of a job that goes on, after adding and reopening those it must have."""
    standing = {one.row.number: one async for one in table.batches_of(job.id)}
    missing = [row for row in whole_jobs.rows_of(job) if row.number not in standing]
    await table.add_batches(missing)
    rows = {number: one.row for number, one in standing.items()}
    for one in standing.values():
        if one.row.state is batches.BatchState.CANCELLED:
            try:
                reopened = await table.replace_batch(one.row.begun_anew(), etag=one.etag)
            except errors.ConflictError:
                reopened = await table.get_batch(job.id, one.row.number)
            rows[one.row.number] = reopened.row
    return [*rows.values(), *missing]
