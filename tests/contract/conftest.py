"""How does each adapter come before the same contract?"""

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from blendrop.adapters.azure_clients import Clients


@pytest_asyncio.fixture
async def clients(storage_account: str) -> AsyncIterator[Clients]:
    """Return clients of the real storage emulator."""
    made = Clients(connection_string=storage_account)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def container(storage_account: str) -> str:
    """Return a new blob container's name."""
    name = f"c{uuid.uuid4().hex}"
    async with BlobServiceClient.from_connection_string(storage_account) as service:
        await service.create_container(name)
    return name


@pytest_asyncio.fixture
async def queue_names(storage_account: str) -> tuple[str, str]:
    """Return the names of a new queue and its poison queue."""
    name = f"q{uuid.uuid4().hex}"
    async with QueueServiceClient.from_connection_string(storage_account) as service:
        await service.create_queue(name)
        await service.create_queue(f"{name}-high")
        await service.create_queue(f"{name}-poison")
    return name, f"{name}-poison"


@pytest_asyncio.fixture
async def table_name(storage_account: str) -> str:
    """Return a new table's name."""
    name = f"t{uuid.uuid4().hex}"
    async with TableServiceClient.from_connection_string(storage_account) as service:
        await service.create_table(name)
    return name
