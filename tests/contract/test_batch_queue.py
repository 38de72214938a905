"""Do the storage queue and the one in memory keep the same contract?"""

import asyncio
import datetime
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from blendrop import errors, ports
from blendrop.adapters.azure_batch_queue import AzureBatchQueue
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.memory_storage import MemoryBatchQueue
from blendrop.adapters.system_clock import SystemClock
from blendrop.domain import messages
from tests.doubles.clock import ManualClock

LONG = datetime.timedelta(seconds=60)
SECOND = datetime.timedelta(seconds=1)


@dataclass
class Contender:
    """A queue, how time passes for it, and what was parked."""

    queue: ports.BatchQueue
    wait: Callable[[float], Awaitable[None]]
    parked: Callable[[], Awaitable[list[str]]]


@pytest.fixture(params=["memory", "azure"])
def contender(
    request: pytest.FixtureRequest, clients: Clients, queue_names: tuple[str, str]
) -> Contender:
    """Return each queue in turn."""
    if request.param == "memory":
        clock = ManualClock()
        memory = MemoryBatchQueue(clock)

        async def parked_in_memory() -> list[str]:
            return [f"{one.reason} {one.body}" for one in memory.parked]

        return Contender(memory, clock.advance, parked_in_memory)
    queue, poison = queue_names

    async def parked() -> list[str]:
        found = clients.queues.get_queue_client(poison).receive_messages()
        return [" ".join(map(str, json.loads(one.content).values())) async for one in found]

    return Contender(
        AzureBatchQueue(
            clients,
            queues={"normal": queue, "high": f"{queue}-high"},
            poison_queue=poison,
            clock=SystemClock(),
        ),
        asyncio.sleep,
        parked,
    )


def message(batch: int) -> messages.BatchMessage:
    """Return the message of a batch."""
    return messages.BatchMessage(job="shot-0123456789ab", batch=batch, frames="1-4")


async def received(queue: ports.BatchQueue, lease: datetime.timedelta = LONG) -> ports.Delivery:
    """Return the next message, which must be there."""
    delivery = await queue.receive(lease=lease)
    assert delivery is not None
    return delivery


async def test_each_message_is_received_by_one(contender: Contender) -> None:
    """Two hundred, sent at once."""
    await contender.queue.send([message(number) for number in range(200)], priority="normal")
    assert await contender.queue.depth() == 200

    found = {messages.decode((await received(contender.queue)).body).batch for _ in range(200)}
    assert found == set(range(200))
    assert await contender.queue.receive(lease=LONG) is None
    assert await contender.queue.depth() == 200  # those hidden included


async def test_a_message_that_nobody_keeps_comes_back(contender: Contender) -> None:
    """With its count one higher, and the older receipt worth nothing."""
    await contender.queue.send([message(1)], priority="normal")
    first = await received(contender.queue, SECOND)
    await contender.wait(1.2)
    second = await received(contender.queue)

    assert (first.dequeue_count, second.dequeue_count) == (1, 2)
    for refused in (
        contender.queue.renew(first, lease=LONG),
        contender.queue.give_back(first, delay=SECOND),
        contender.queue.delete(first),
    ):
        with pytest.raises(errors.LeaseLostError):
            await refused
    await contender.queue.delete(second)
    assert await contender.queue.depth() == 0


async def test_only_the_newest_receipt_counts(contender: Contender) -> None:
    """Renewing keeps the message hidden, and its text as it is."""
    await contender.queue.send([message(1)], priority="normal")
    first = await received(contender.queue, SECOND)
    renewed = await contender.queue.renew(first, lease=LONG)
    await contender.wait(1.2)

    assert await contender.queue.receive(lease=LONG) is None
    assert renewed.body == first.body
    with pytest.raises(errors.LeaseLostError):
        await contender.queue.delete(first)
    await contender.queue.give_back(renewed, delay=datetime.timedelta(0))
    assert (await received(contender.queue)).body == first.body


async def test_a_message_is_given_back_for_later(contender: Contender) -> None:
    """Hidden until then."""
    await contender.queue.send([message(1)], priority="normal")
    await contender.queue.give_back(await received(contender.queue), delay=SECOND)
    assert await contender.queue.receive(lease=LONG) is None
    await contender.wait(1.2)
    await received(contender.queue)


async def test_the_oldest_message_in_sight_tells_how_long_it_has_waited(
    contender: Contender,
) -> None:
    """Of whatever priority. Looking hides nothing; what a worker holds does not wait."""
    assert await contender.queue.oldest_waiting() is None
    await contender.queue.send([message(1)], priority="high")
    await contender.wait(1.2)
    await contender.queue.send([message(2)], priority="normal")

    oldest = await contender.queue.oldest_waiting()
    assert await contender.queue.oldest_waiting() == oldest
    first = await received(contender.queue)
    assert (oldest, first.dequeue_count) == (first.inserted, 1)
    second = await contender.queue.oldest_waiting()
    assert second is not None
    assert second > first.inserted
    await received(contender.queue)
    assert await contender.queue.oldest_waiting() is None


async def test_a_parked_message_lies_where_people_look(contender: Contender) -> None:
    """With the reason, and nowhere else."""
    await contender.queue.send([message(1)], priority="normal")
    await contender.queue.park(await received(contender.queue), reason="nobody can read it")
    (parked,) = await contender.parked()
    assert "nobody can read it" in parked
    assert "shot-0123456789ab" in parked
    assert await contender.queue.depth() == 0


async def test_high_priority_comes_first_and_starves_nobody(contender: Contender) -> None:
    """After a few of high priority in a row, one of normal priority has its turn."""
    await contender.queue.send([message(number) for number in range(3)], priority="normal")
    await contender.queue.send([message(number) for number in range(100, 110)], priority="high")
    assert await contender.queue.depth() == 13

    came = [await received(contender.queue) for _ in range(13)]
    high = "high"
    assert [one.priority for one in came] == [
        *([high] * 4 + ["normal"]) * 2,
        *([high] * 2 + ["normal"]),
    ]
    for one in came:
        renewed = await contender.queue.renew(one, lease=LONG)
        await contender.queue.delete(renewed)
    assert await contender.queue.depth() == 0
