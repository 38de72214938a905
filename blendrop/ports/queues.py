"""What waits on the farm's queues, and how is it sent, held and counted?"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from blendrop.domain import (
    messages,
    priorities,
)


@dataclass(frozen=True)
class Delivery:
    """One receipt of one message: what is needed to keep it hidden, give it back or delete it."""

    message_id: str
    pop_receipt: str
    body: str
    dequeue_count: int  # 1 on the first receipt
    inserted: datetime.datetime
    priority: priorities.Priority  # of the queue that it came from


class BatchQueue(Protocol):
    """The queues of batches, one for each priority, and their neighbour for what cannot be read."""

    async def send(
        self, batch_messages: Sequence[messages.BatchMessage], *, priority: priorities.Priority
    ) -> None:
        """Put every message on the queue, in no particular order. Some may be sent if it fails."""
        ...

    async def receive(self, *, lease: datetime.timedelta) -> Delivery | None:
        """Take one message, hidden from others for as long as `lease`; None if there is none.

        High priority comes first, without starving the normal one.
        """
        ...

    async def renew(self, delivery: Delivery, *, lease: datetime.timedelta) -> Delivery:
        """Keep the message hidden from now on; return the delivery with its new pop receipt.

        Raises:
            LeaseLostError: someone else received the message since, or it is gone.
        """
        ...

    async def give_back(self, delivery: Delivery, *, delay: datetime.timedelta) -> None:
        """Let others see the message after `delay`. Raises as `renew` does."""
        ...

    async def delete(self, delivery: Delivery) -> None:
        """Remove the message for good. Raises as `renew` does."""
        ...

    async def park(self, delivery: Delivery, *, reason: str) -> None:
        """Move the message, with the reason, to the poison queue, where people look."""
        ...

    async def depth(self) -> int:
        """Return about how many messages there are, of every priority, hidden ones included."""
        ...

    async def oldest_waiting(self) -> datetime.datetime | None:
        """Return when the oldest message in sight was sent; None if none is in sight.

        Only the front of each queue is looked at, and no message is received by it.
        """
        ...


class QueueKind(StrEnum):
    """What lies on a queue."""

    BATCHES = "batches"  # frames to render
    NEWS = "news"  # of uploads, and of jobs of which something is due
    PARKED = "parked"  # what nobody could carry out, and waits for a person


@dataclass(frozen=True)
class QueueDepth:
    """About how many messages there are on a queue, hidden ones included."""

    queue: str
    kind: QueueKind
    messages: int


class QueueDepths(Protocol):
    """All queues of the farm, from outside."""

    async def count_messages(self) -> Sequence[QueueDepth]:
        """Return how much lies on each; a queue that is not there yet is empty."""
        ...


class DueJobs(Protocol):
    """The queue of jobs of which something is due: to be planned, or to be announced."""

    async def send(self, job_id: str, *, delay: datetime.timedelta) -> None:
        """Let what is due of a job be done after `delay`."""
        ...
