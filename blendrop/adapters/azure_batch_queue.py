"""Batch messages on Azure storage queues, one for each priority."""

import asyncio
import dataclasses
import datetime
import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from azure.core import exceptions

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients, translated
from blendrop.domain import messages, priorities

_NEVER = -1  # time to live: a batch waits for as long as it has to
_SENT_AT_ONCE = 32
_PEEKED = 32  # the most that one call shows
# What a queue answers when the pop receipt is not the newest, or the message is gone (Microsoft
# Learn, "Queue Storage error codes").
_NOT_OURS = frozenset({"MessageNotFound", "PopReceiptMismatch"})


class AzureBatchQueue:
    """Carries out `ports.BatchQueue` with Azure Queue Storage."""

    def __init__(
        self,
        clients: Clients,
        *,
        queues: Mapping[priorities.Priority, str],
        poison_queue: str,
        clock: ports.Clock,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._names = queues
        self._poison_name = poison_queue
        self._turns = priorities.Turns()

    @functools.cached_property
    def _queues(self) -> Mapping[priorities.Priority, Any]:
        """The SDK's clients, loaded where they are used and made once, since that takes a while."""
        service = self._clients.queues
        return {priority: service.get_queue_client(name) for priority, name in self._names.items()}

    async def send(
        self, batch_messages: Sequence[messages.BatchMessage], *, priority: priorities.Priority
    ) -> None:
        """Put every message on the queue, many at once."""
        queue = self._queues[priority]
        waiting = iter([messages.encode(message) for message in batch_messages])

        async def sender() -> None:
            for text in waiting:
                with translated(f"send a message to {self._names[priority]}"):
                    await queue.send_message(text, time_to_live=_NEVER)

        senders = min(_SENT_AT_ONCE, len(batch_messages))
        done = await asyncio.gather(*(sender() for _ in range(senders)), return_exceptions=True)
        for failed in done:
            if failed is not None:
                raise failed

    async def receive(self, *, lease: datetime.timedelta) -> ports.Delivery | None:
        """Take one message, hidden from others for as long as `lease`; None if there is none."""
        now = self._clock.elapsed()
        for priority in self._turns.order(now):
            with translated(f"receive from {self._names[priority]}"):
                message = await self._queues[priority].receive_message(
                    visibility_timeout=_seconds(lease)
                )
            if message is not None:
                self._turns.took(priority)
                return ports.Delivery(
                    message_id=message.id,
                    pop_receipt=message.pop_receipt,
                    body=message.content,
                    dequeue_count=message.dequeue_count,
                    inserted=message.inserted_on,
                    priority=priority,
                )
            self._turns.found_none(priority, now)
        return None

    async def renew(self, delivery: ports.Delivery, *, lease: datetime.timedelta) -> ports.Delivery:
        """Keep the message hidden from now on; return the delivery with its new pop receipt."""
        return dataclasses.replace(delivery, pop_receipt=await self._hide(delivery, lease))

    async def give_back(self, delivery: ports.Delivery, *, delay: datetime.timedelta) -> None:
        """Let others see the message after `delay`."""
        await self._hide(delivery, delay)

    async def _hide(self, delivery: ports.Delivery, time: datetime.timedelta) -> str:
        try:
            name = self._names[delivery.priority]
            with translated(f"keep message {delivery.message_id} of {name}"):
                # Without content the body stays as it is.
                updated = await self._queues[delivery.priority].update_message(
                    delivery.message_id,
                    pop_receipt=delivery.pop_receipt,
                    visibility_timeout=_seconds(time),
                )
        except (errors.NotFoundError, errors.ConflictError, exceptions.HttpResponseError) as other:
            raise _lost(delivery, other) from other
        return str(updated.pop_receipt)

    async def delete(self, delivery: ports.Delivery) -> None:
        """Remove the message for good."""
        try:
            name = self._names[delivery.priority]
            with translated(f"delete message {delivery.message_id} of {name}"):
                await self._queues[delivery.priority].delete_message(
                    delivery.message_id, delivery.pop_receipt
                )
        except (errors.NotFoundError, errors.ConflictError, exceptions.HttpResponseError) as other:
            raise _lost(delivery, other) from other

    async def park(self, delivery: ports.Delivery, *, reason: str) -> None:
        """Move the message, with the reason, to the poison queue."""
        parked = {
            "reason": reason[: messages.LARGEST // 8],
            "body": delivery.body[: messages.LARGEST // 8],
            "message_id": delivery.message_id,
            "dequeue_count": delivery.dequeue_count,
            "inserted": delivery.inserted.isoformat(),
        }
        poison = self._clients.queues.get_queue_client(self._poison_name)
        with translated(f"park message {delivery.message_id} on {self._poison_name}"):
            await poison.send_message(json.dumps(parked), time_to_live=_NEVER)
        await self.delete(delivery)

    async def depth(self) -> int:
        """Return about how many messages there are, of every priority, hidden ones included."""
        depth = 0
        for priority, name in self._names.items():
            with translated(f"count the messages of {name}"):
                properties = await self._queues[priority].get_queue_properties()
            depth += int(properties.approximate_message_count or 0)
        return depth

    async def oldest_waiting(self) -> datetime.datetime | None:
        """Return when the oldest message in sight was sent; None if none is in sight."""
        sent: list[datetime.datetime] = []
        for priority, name in self._names.items():
            with translated(f"look into {name}"):
                front = await self._queues[priority].peek_messages(max_messages=_PEEKED)
            sent.extend(message.inserted_on for message in front)
        return min(sent, default=None)


def _seconds(time: datetime.timedelta) -> int:
    """A queue hides messages for whole seconds; rather one more than one less."""
    return math.ceil(time.total_seconds())


def _lost(delivery: ports.Delivery, other: Exception) -> Exception:
    code = getattr(other, "error_code", None)
    if isinstance(other, exceptions.HttpResponseError) and code not in _NOT_OURS:
        return other
    return errors.LeaseLostError(
        f"message {delivery.message_id} was received by another worker or deleted"
    )
