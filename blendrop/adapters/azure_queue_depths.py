"""How much lies on each Azure storage queue of the farm?"""

import asyncio
from collections.abc import Mapping, Sequence

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients, translated


class AzureQueueDepths:
    """Carries out `ports.QueueDepths`."""

    def __init__(self, clients: Clients, *, queues: Mapping[str, ports.QueueKind]) -> None:
        self._clients = clients
        self._kinds = queues

    async def count_messages(self) -> Sequence[ports.QueueDepth]:
        """Return how much lies on each; a queue that is not there yet is empty."""
        counts = await asyncio.gather(*(self._count(name) for name in self._kinds))
        return [
            ports.QueueDepth(name, kind, messages)
            for (name, kind), messages in zip(self._kinds.items(), counts, strict=True)
        ]

    async def _count(self, name: str) -> int:
        queue = self._clients.queues.get_queue_client(name)
        try:
            with translated(f"count the messages of {name}"):
                properties = await queue.get_queue_properties()
        except errors.NotFoundError:
            return 0  # outside of Azure the host makes its poison queues when it needs them
        return int(properties.approximate_message_count or 0)
