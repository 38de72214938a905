"""How does the host itself call the storage, and how long does it wait?"""

import asyncio
import contextlib
from typing import Any

from azure.core import exceptions
from azure.storage.queue import aio

# Seconds, and tries: the SDKs' own defaults wait for minutes, and every loop here tries again.
CLIENT_OPTIONS: dict[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 30,
    "retry_total": 1,
}
LONGEST_PAUSE = 15.0  # seconds between two tries while the storage is away


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, but not longer than until the host is asked to stop."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


def queue_client(connection: str, name: str) -> aio.QueueClient:
    """Return a client of a queue that leaves the text of messages as it is."""
    return aio.QueueClient.from_connection_string(connection, name, **CLIENT_OPTIONS)


async def send_poison(connection: str, queue_name: str, text: str) -> None:
    """Put a message on a poison queue, and make the queue if it is the first one.

    Raises:
        azure.core.exceptions.AzureError: the storage is away.
    """
    async with queue_client(connection, queue_name) as poison:
        with contextlib.suppress(exceptions.ResourceExistsError):
            await poison.create_queue()
        await poison.send_message(text)
