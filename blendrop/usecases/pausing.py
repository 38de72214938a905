"""How do workers learn that their job is to wait?"""

from blendrop import errors, ports
from blendrop.domain import batches

_HELD = frozenset({batches.BatchState.RENDERING})


async def ask_workers(table: ports.JobTable, job_id: str, *, but: int | None = None) -> None:
    """Mark the batches that are held: each worker gives its own back after the frame in hand.

    `but` is the number of a batch that needs none, since whoever asks holds it.
    """
    async for one in table.batches_of(job_id, states=_HELD):
        standing = one
        while standing.row.state in _HELD and standing.row.number != but:
            asked = standing.row.model_copy(update={"pause_requested": True})
            try:
                await table.replace_batch(asked, etag=standing.etag)
                break
            except errors.ConflictError:
                standing = await table.get_batch(job_id, standing.row.number)
