"""Do the rate counters in the storage account and those in memory keep the same contract?"""

import asyncio
import datetime
import logging
import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_rate_counters import AzureRateCounters
from blendrop.adapters.memory_rate_counters import MemoryRateCounters
from blendrop.adapters.system_clock import SystemClock

MINUTE = datetime.timedelta(minutes=1)
# Windows of the future, whenever the tests run: this process forgets what it knows of past ones.
ENDS = datetime.datetime(2100, 1, 2, 3, 5, tzinfo=datetime.UTC)


@pytest_asyncio.fixture(params=["memory", "azure"])
async def instances(
    request: pytest.FixtureRequest, storage_account: str, table_name: str
) -> AsyncIterator[list[ports.RateCounters]]:
    """Return the same counters as three instances see them: each with connections of its own."""
    if request.param == "memory":
        yield [MemoryRateCounters()] * 3
        return
    clients = [Clients(connection_string=storage_account) for _ in range(3)]
    yield [AzureRateCounters(one, table=table_name, clock=SystemClock()) for one in clients]
    for one in clients:
        await one.close()


async def test_every_hit_has_a_number_of_its_own(
    instances: list[ports.RateCounters], caplog: pytest.LogCaptureFixture
) -> None:
    """900 at once of two clients on three instances, in few calls: none twice, none left out."""
    caplog.set_level(logging.INFO, "azure.core.pipeline.policies.http_logging_policy")
    caplog.clear()
    numbers: list[list[int]] = await asyncio.gather(
        *(
            asyncio.gather(*(one.add(client, 1, ends=ENDS) for _ in range(150)))
            for one in instances
            for client in ("ann", "bob")
        )
    )

    for client in (0, 1):
        counted = [number for group in numbers[client::2] for number in group]
        assert sorted(counted) == list(range(1, 451))
    calls = [one for one in caplog.records if "Request URL" in one.getMessage()]
    assert len(calls) < 200


async def test_instances_take_turns(instances: list[ports.RateCounters]) -> None:
    """What one counts the others see, however much it thinks that it knows."""
    expected = 0
    for _ in range(3):
        for one in instances:
            expected += 1
            assert await one.add("ann", 1, ends=ENDS) == expected
    assert await instances[0].add("ann", 5, ends=ENDS) == expected + 5


async def test_each_client_and_each_window_counts_from_nothing(
    instances: list[ports.RateCounters],
) -> None:
    """Whatever signs a client's name holds."""
    counters = instances[0]
    names = ["ann", "ANN", "a/b\\c#d?e\n", "日本", "x" * 5000]
    assert [await counters.add(name, 1, ends=ENDS) for name in names] == [1] * len(names)
    assert await counters.add("ann", 1, ends=ENDS + MINUTE) == 1
    assert await counters.add("ann", 1, ends=ENDS) == 2


async def test_ended_windows_are_forgotten(instances: list[ports.RateCounters]) -> None:
    """All of them, more than a transaction holds, and no other; a second time there are none."""
    counters = instances[0]
    await asyncio.gather(*(counters.add(f"client-{n}", 1, ends=ENDS) for n in range(120)))
    await counters.add("ann", 1, ends=ENDS + MINUTE)

    assert await counters.forget(before=ENDS) == 0
    assert await counters.forget(before=ENDS + MINUTE) == 120
    assert await counters.forget(before=ENDS + MINUTE) == 0
    assert await counters.add("ann", 1, ends=ENDS + MINUTE) == 2
    # A row that this instance has seen and another removed is begun anew.
    assert await counters.add("client-7", 1, ends=ENDS) == 1


async def test_who_gives_up_takes_nobody_along(instances: list[ports.RateCounters]) -> None:
    """A client that goes away while others wait for the same write."""
    hits = [asyncio.create_task(instances[0].add("ann", 1, ends=ENDS)) for _ in range(20)]
    await asyncio.sleep(0)
    for hit in hits[::2]:
        hit.cancel()
    done = await asyncio.gather(*hits, return_exceptions=True)
    numbers = [number for number in done if isinstance(number, int)]

    assert len(numbers) >= 10
    assert len(set(numbers)) == len(numbers)
    assert await instances[1].add("ann", 1, ends=ENDS) > max(numbers)


async def test_a_storage_that_is_away_is_said_to_be(storage_account: str) -> None:
    """Soon: a request waits for it."""
    nowhere = re.sub(r"(TableEndpoint=http://127.0.0.1):\d+", r"\1:1", storage_account)
    clients = Clients(connection_string=nowhere)
    counters = AzureRateCounters(clients, table="nowhere", clock=SystemClock())
    began = time.monotonic()
    hits = [counters.add("ann", 1, ends=ENDS) for _ in range(50)]
    said = await asyncio.gather(*hits, return_exceptions=True)
    await clients.close()

    assert {type(one) for one in said} == {errors.UnavailableError}
    assert time.monotonic() - began < 8


async def test_a_table_that_is_missing_is_named(clients: Clients) -> None:
    """At once: it will not come by itself."""
    counters = AzureRateCounters(clients, table="nowhere", clock=SystemClock())
    began = time.monotonic()
    with pytest.raises(errors.UnavailableError, match="no table nowhere"):
        await counters.add("ann", 1, ends=ENDS)
    assert time.monotonic() - began < 2
