"""Workers in an Azure table."""

import functools
from collections.abc import Sequence
from typing import Any

from blendrop.adapters import worker_entities
from blendrop.adapters.azure_clients import Clients, translated
from blendrop.domain import workers


class AzureWorkerTable:
    """Carries out `ports.WorkerTable` with Azure Table Storage."""

    def __init__(self, clients: Clients, *, table: str) -> None:
        self._clients = clients
        self._name = table

    @functools.cached_property
    def _table(self) -> Any:  # noqa: ANN401 the SDK's client, loaded only where it is used
        return self._clients.tables.get_table_client(self._name)

    async def put(self, worker: workers.Worker) -> None:
        """Write what a worker says of itself, in place of what it said before."""
        with translated(f"write the row of worker {worker.name} to {self._name}"):
            await self._table.upsert_entity(worker_entities.of_worker(worker), mode="replace")

    async def all_workers(self) -> Sequence[workers.Worker]:
        """Return every row, in no particular order."""
        query = f"PartitionKey eq '{worker_entities.PARTITION}'"
        with translated(f"read the workers in {self._name}"):
            return [
                worker_entities.to_worker(one) async for one in self._table.query_entities(query)
            ]

    async def remove(self, worker: workers.Worker) -> None:
        """Remove a worker's row; the SDK takes one that is gone already for well."""
        with translated(f"remove the row of worker {worker.name} from {self._name}"):
            await self._table.delete_entity(worker_entities.PARTITION, worker.id)
