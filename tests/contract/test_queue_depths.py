"""Do the queues in the storage account and the one in memory tell how much lies on them?"""

import datetime
from dataclasses import dataclass

import pytest

from blendrop import ports
from blendrop.adapters.azure_batch_queue import AzureBatchQueue
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_queue_depths import AzureQueueDepths
from blendrop.adapters.memory_storage import MemoryBatchQueue
from blendrop.adapters.system_clock import SystemClock
from blendrop.domain import messages
from tests.doubles.clock import ManualClock

BATCHES, PARKED = ports.QueueKind.BATCHES, ports.QueueKind.PARKED


@dataclass
class Contender:
    """Queues, and how they are counted."""

    queue: ports.BatchQueue
    depths: ports.QueueDepths


@pytest.fixture(params=["memory", "azure"])
def contender(
    request: pytest.FixtureRequest, clients: Clients, queue_names: tuple[str, str]
) -> Contender:
    """Return each in turn; of the storage account's queues, one is not there."""
    if request.param == "memory":
        memory = MemoryBatchQueue(ManualClock())
        return Contender(memory, memory)
    queue, poison = queue_names
    return Contender(
        AzureBatchQueue(
            clients,
            queues={"normal": queue, "high": f"{queue}-high"},
            poison_queue=poison,
            clock=SystemClock(),
        ),
        AzureQueueDepths(clients, queues={queue: BATCHES, poison: PARKED, f"{queue}-no": PARKED}),
    )


async def test_what_was_parked_is_counted_apart(contender: Contender) -> None:
    """And what a worker holds is counted with what waits."""
    some = [messages.BatchMessage(job="shot-0123456789ab", batch=n, frames="1") for n in range(3)]
    await contender.queue.send(some, priority="normal")
    delivery = await contender.queue.receive(lease=datetime.timedelta(seconds=60))
    assert delivery is not None
    await contender.queue.park(delivery, reason="nobody can read it")
    await contender.queue.receive(lease=datetime.timedelta(seconds=60))

    found = await contender.depths.count_messages()

    assert sum(one.messages for one in found if one.kind is BATCHES) == 2
    assert sum(one.messages for one in found if one.kind is PARKED) == 1
