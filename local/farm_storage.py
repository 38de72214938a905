"""What must stand in the storage account before a farm can start? In Azure, Bicep makes it."""

import contextlib

from azure.core import exceptions
from azure.data.tables import aio as tables
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import errors, settings

_TABLES = (settings.JOBS_TABLE, settings.WORKERS_TABLE, settings.RATE_LIMITS_TABLE)


async def create(connection_string: str) -> None:
    """Create the container, queues and tables that are not there yet.

    Raises:
        UnavailableError: the storage is away.
    """
    try:
        await _create(connection_string)
    except exceptions.AzureError as away:
        raise errors.UnavailableError(f"the storage could not be set up: {away}") from away


async def _create(connection_string: str) -> None:
    exists = exceptions.ResourceExistsError
    async with (
        blobs.BlobServiceClient.from_connection_string(connection_string) as blob,
        queues.QueueServiceClient.from_connection_string(connection_string) as queue,
        tables.TableServiceClient.from_connection_string(connection_string) as table,
    ):
        with contextlib.suppress(exists):
            await blob.create_container(settings.SCENES_CONTAINER)
        for name in settings.QUEUES:
            with contextlib.suppress(exists):
                await queue.create_queue(name)
        for name in _TABLES:
            await table.create_table_if_not_exists(name)
