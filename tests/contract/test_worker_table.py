"""Do the table of workers in the storage account and the one in memory keep the same contract?"""

import datetime

import pytest

from blendrop import ports
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_worker_table import AzureWorkerTable
from blendrop.adapters.memory_storage import MemoryWorkerTable
from blendrop.domain import workers
from tests.doubles.clock import START
from tests.doubles.workers import a_worker, at_work

LATER = START + datetime.timedelta(microseconds=1)


@pytest.fixture(params=["memory", "azure"])
def table(request: pytest.FixtureRequest, clients: Clients, table_name: str) -> ports.WorkerTable:
    """Return each table in turn."""
    if request.param == "memory":
        return MemoryWorkerTable()
    return AzureWorkerTable(clients, table=table_name)


@pytest.mark.parametrize(
    "worker",
    [
        pytest.param(a_worker("Küche/worker #1 'quoted' 100%?"), id="odd-name"),
        pytest.param(
            at_work(
                waits_for="the share is full", memory_mib=2**21, graphics_cards=("NVIDIA T4",) * 2
            ),
            id="at-work",
        ),
        pytest.param(
            a_worker(state=workers.WorkerState.LEFT, left_because="asked to stop", heard=LATER),
            id="left",
        ),
    ],
)
async def test_a_worker_is_kept_as_it_is(table: ports.WorkerTable, worker: workers.Worker) -> None:
    """Every field, to the microsecond."""
    await table.put(worker)
    assert await table.all_workers() == [worker]


async def test_what_a_worker_says_replaces_what_it_said(table: ports.WorkerTable) -> None:
    """Whole: a batch that it no longer holds is gone from its row."""
    await table.put(at_work())
    idle = a_worker(heard=LATER)
    await table.put(idle)
    assert await table.all_workers() == [idle]


async def test_a_worker_that_is_started_again_is_another(table: ports.WorkerTable) -> None:
    """How the first one ended stays to be seen."""
    lives = [a_worker(), a_worker(started=LATER)]
    for life in lives:
        await table.put(life)
    assert sorted(await table.all_workers(), key=lambda one: one.started) == lives


async def test_a_row_is_removed_once_or_twice(table: ports.WorkerTable) -> None:
    """Two sweepers at once do no harm."""
    await table.put(a_worker())
    await table.put(a_worker("w2"))
    await table.remove(a_worker())
    await table.remove(a_worker())
    assert [one.name for one in await table.all_workers()] == ["w2"]


async def test_the_longest_reason_fits(table: ports.WorkerTable) -> None:
    """Cut where need be, never refused."""
    await table.put(a_worker(state=workers.WorkerState.LEFT, left_because="ü" * 100_000))
    (kept,) = await table.all_workers()
    assert kept.left_because.startswith("ü" * 1000)


async def test_more_workers_than_a_page_come_back(table: ports.WorkerTable) -> None:
    """A page of the service holds 1,000 rows."""
    for number in range(1001):
        await table.put(a_worker(f"w{number}"))
    assert len(await table.all_workers()) == 1001
