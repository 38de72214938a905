"""When does a queue trigger fire, and what becomes of a message whose function fails?

A message is hidden while its function runs, and deleted when it has succeeded. After a failure it
comes back, and after the last one it moves to `<queue>-poison` (Microsoft Learn, "Azure Queue
storage trigger", Poison messages).
"""

import asyncio
import base64
import binascii
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import azure.functions.queue
from azure.core import exceptions
from azure.storage.queue import QueueMessage, aio

from local.function_host import host_json, invocation, storage
from local.function_host.hosted_function import HostedFunction

log = logging.getLogger("local.function_host")

_SHORTEST_PAUSE = 0.1  # seconds; the pause doubles while the queue is empty


@dataclass
class _Held:
    """A received message; renewing it changes its pop receipt."""

    queue: aio.QueueClient
    received: QueueMessage
    pop_receipt: str

    async def hide(self, seconds: int) -> None:
        """Let nobody receive it for so long from now."""
        renewed = await self.queue.update_message(
            self.received.id, self.pop_receipt, visibility_timeout=seconds
        )
        self.pop_receipt = str(renewed.pop_receipt)

    async def delete(self) -> None:
        """Remove it for good."""
        await self.queue.delete_message(self.received.id, self.pop_receipt)


class QueueTrigger:
    """One function that messages set off.

    Raises:
        InvalidRequestError: its binding cannot be carried out here.
    """

    def __init__(
        self, function: HostedFunction, settings: host_json.Queues, *, lease_seconds: int = 30
    ) -> None:
        self._function = function
        self._settings = settings
        self._lease_seconds = lease_seconds
        self._queue_name = function.setting("queueName")
        self._connection = function.connection_string()
        self._in_hand = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Fire for every message, until asked to stop; then let those in hand end."""
        longest = self._settings.max_polling_interval.total_seconds()
        async with (
            storage.queue_client(self._connection, self._queue_name) as queue,
            asyncio.TaskGroup() as in_hand,
        ):
            pause = _SHORTEST_PAUSE
            while not stopping.is_set():
                messages: list[QueueMessage] = []
                try:
                    messages = await self._receive(queue)
                except exceptions.AzureError as away:
                    longest_now = max(longest, storage.LONGEST_PAUSE)
                    pause = min(max(pause, 1.0) * 2, longest_now)
                    log.warning("cannot receive from %s, trying again: %s", self._queue_name, away)
                else:
                    busy = bool(messages) or self._in_hand > 0
                    pause = _SHORTEST_PAUSE if busy else min(pause * 2, longest)
                for message in messages:
                    self._in_hand += 1
                    in_hand.create_task(self._fire(queue, message))
                await storage.pause(stopping, pause)

    async def _receive(self, queue: aio.QueueClient) -> list[QueueMessage]:
        if self._in_hand > self._settings.new_batch_threshold:
            return []
        try:
            received = queue.receive_messages(
                max_messages=self._settings.batch_size,
                messages_per_page=self._settings.batch_size,
                visibility_timeout=self._lease_seconds,
            )
            return [message async for message in received]
        except exceptions.ResourceNotFoundError:
            return []  # no queue yet, so no messages

    async def _fire(self, queue: aio.QueueClient, message: QueueMessage) -> None:
        held = _Held(queue, message, str(message.pop_receipt))
        try:
            async with self._kept(held):
                succeeded = await self._carried_out(message)
            if succeeded:
                await held.delete()
            elif int(message.dequeue_count or 0) >= self._settings.max_dequeue_count:
                await self._move_to_poison(held)
            else:
                await held.hide(int(self._settings.visibility_timeout.total_seconds()))
        except exceptions.AzureError as away:
            log.warning("message %s may come back: %s", message.id, away)
        finally:
            self._in_hand -= 1

    async def _carried_out(self, message: QueueMessage) -> bool:
        try:
            body = self._body(message)
        except binascii.Error as wrong:
            log.error(
                "message %s on %s is not base64, which host.json asks for: %s",
                message.id,
                self._queue_name,
                wrong,
            )
            return False
        argument = azure.functions.queue.QueueMessage(
            id=message.id,
            body=body,
            dequeue_count=message.dequeue_count,
            insertion_time=message.inserted_on,
            expiration_time=message.expires_on,
            time_next_visible=message.next_visible_on,
            pop_receipt=message.pop_receipt,
        )
        reason = f"message {message.id} on {self._queue_name}, delivery {message.dequeue_count}"
        outcome = await invocation.invoke(self._function, argument, reason=reason)
        return outcome.succeeded

    def _body(self, message: QueueMessage) -> bytes:
        text = str(message.content).encode()
        if self._settings.message_encoding == "none":
            return text
        return base64.b64decode(text, validate=True)

    @contextlib.asynccontextmanager
    async def _kept(self, held: _Held) -> AsyncIterator[None]:
        """Renew the hold on a message for as long as the block runs."""
        renewal = asyncio.create_task(self._renew(held))
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])

    async def _renew(self, held: _Held) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                await held.hide(self._lease_seconds)
            except exceptions.ResourceNotFoundError as lost:
                log.warning("message %s is someone else's now: %s", held.received.id, lost)
                return
            except exceptions.AzureError as away:
                log.warning("cannot renew message %s: %s", held.received.id, away)

    async def _move_to_poison(self, held: _Held) -> None:
        name = f"{self._queue_name}-poison"
        await storage.send_poison(self._connection, name, str(held.received.content))
        await held.delete()
        log.error("message %s moved to %s after its last attempt", held.received.id, name)
