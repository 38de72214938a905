"""Batch messages on an Azure storage queue."""

import asyncio
import datetime
import json
import math
from collections.abc import Sequence
from typing import Any

from azure.core import exceptions

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients, translated
from blendrop.domain import messages

_NEVER = -1  # time to live: a batch waits for as long as it has to
_SENT_AT_ONCE = 32
# What a queue answers when the pop receipt is not the newest, or the message is gone (Microsoft
# Learn, "Queue Storage error codes").
_NOT_OURS = frozenset({"MessageNotFound", "PopReceiptMismatch"})


class AzureBatchQueue:
    """Carries out `ports.BatchQueue` with Azure Queue Storage."""

    def __init__(self, clients: Clients, *, queue: str, poison_queue: str) -> None:
        self._clients = clients
        self._name = queue
        self._poison_name = poison_queue

    @property
    def _queue(self) -> Any:  # noqa: ANN401 the SDK's client, loaded only where it is used
        return self._clients.queues.get_queue_client(self._name)

    async def send(self, batch_messages: Sequence[messages.BatchMessage]) -> None:
        """Put every message on the queue, many at once."""
        queue = self._queue
        waiting = iter([messages.encode(message) for message in batch_messages])

        async def sender() -> None:
            for text in waiting:
                with translated(f"send a message to {self._name}"):
                    await queue.send_message(text, time_to_live=_NEVER)

        senders = min(_SENT_AT_ONCE, len(batch_messages))
        done = await asyncio.gather(*(sender() for _ in range(senders)), return_exceptions=True)
        for failed in done:
            if failed is not None:
                raise failed

    async def receive(self, *, lease: datetime.timedelta) -> ports.Delivery | None:
        """Take one message, hidden from others for as long as `lease`; None if there is none."""
        with translated(f"receive from {self._name}"):
            message = await self._queue.receive_message(visibility_timeout=_seconds(lease))
        if message is None:
            return None
        return ports.Delivery(
            message_id=message.id,
            pop_receipt=message.pop_receipt,
            body=message.content,
            dequeue_count=message.dequeue_count,
            inserted=message.inserted_on,
        )

    async def renew(self, delivery: ports.Delivery, *, lease: datetime.timedelta) -> ports.Delivery:
        """Keep the message hidden from now on; return the delivery with its new pop receipt."""
        return ports.Delivery(
            message_id=delivery.message_id,
            pop_receipt=await self._hide(delivery, lease),
            body=delivery.body,
            dequeue_count=delivery.dequeue_count,
            inserted=delivery.inserted,
        )

    async def give_back(self, delivery: ports.Delivery, *, delay: datetime.timedelta) -> None:
        """Let others see the message after `delay`."""
        await self._hide(delivery, delay)

    async def _hide(self, delivery: ports.Delivery, time: datetime.timedelta) -> str:
        try:
            with translated(f"keep message {delivery.message_id} of {self._name}"):
                # Without content the body stays as it is.
                updated = await self._queue.update_message(
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
            with translated(f"delete message {delivery.message_id} of {self._name}"):
                await self._queue.delete_message(delivery.message_id, delivery.pop_receipt)
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
        """Return about how many messages there are, hidden ones included."""
        with translated(f"count the messages of {self._name}"):
            properties = await self._queue.get_queue_properties()
        return int(properties.approximate_message_count or 0)


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
