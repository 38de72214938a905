"""How do batches get their messages? Many by one call, all of which go on in the job's trace."""

from collections.abc import Sequence
from typing import Protocol

from blendrop import ports
from blendrop.domain import batches as rows
from blendrop.domain import jobs, messages


class Sending(Protocol):
    """What sending needs of the world."""

    @property
    def queue(self) -> ports.BatchQueue:
        """The queue of batches."""
        ...

    @property
    def spans(self) -> ports.Spans:
        """The trace of what is done."""
        ...


async def batches(world: Sending, job: jobs.Job, some: Sequence[rows.Batch]) -> None:
    """Send a message for each of some batches of one job. Some may be sent if it fails."""
    with world.spans.span(
        "send render-batches",
        kind="producer",
        parent=job.traceparent,
        job=job.id,
        messages=len(some),
    ) as sending:
        await world.queue.send(
            [messages.of_batch(one, traceparent=sending.traceparent) for one in some],
            priority=job.settings.priority,
        )
