"""How many calls of queue and tables does a frame cost, on the loop that a worker runs?"""

import asyncio
import collections
from pathlib import Path

import pytest

from blendrop import ports
from blendrop.adapters.azure_batch_queue import AzureBatchQueue
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_job_table import AzureJobTable
from blendrop.domain import jobs
from container_worker.receive_loop import Stopping, run
from container_worker.shared_cores import SharedCores
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import ScriptedRenderer
from tests.doubles.storage_calls import CountedCalls

_BATCHES = 20
_AT_MOST = {8: 0.7, 50: 0.2}  # calls for a frame, by the frames of a batch
_RECEIVE, _DELETE = "Get Messages", "Delete Message"
_READ, _NOTE = "Query Entities", "Insert Or Merge Entity"
_WRITE, _WRITE_WITH_EVENT = "Update Entity", "Entity Group Transaction"


class _Until(ports.Progress):
    """Asks the worker to stop once it has carried out so many messages."""

    def __init__(self, left: int, stopping: Stopping) -> None:
        self._left, self._stopping = left, stopping

    def message_left(self, outcome: str, *, idle: bool = True) -> None:
        self._left -= 1
        if not self._left:
            self._stopping.request()


class _Steady(ScriptedRenderer):
    """Takes a moment for a frame, and as long as it is told by the clock."""

    async def render(self, frame: int, name: str) -> ports.RenderedFrame:
        await asyncio.sleep(0.02)
        return await super().render(frame, name)


@pytest.mark.parametrize(
    ("batch_size", "seconds"),
    [
        pytest.param(8, 0.25, id="8 small frames"),
        pytest.param(8, 1.0, id="8 frames of a second"),
        pytest.param(50, 0.25, id="50 small frames"),
    ],
)
async def test_the_calls_of_a_frame_are_few(
    storage_account: str,
    queue_names: tuple[str, str],
    table_name: str,
    tmp_path: Path,
    *,
    batch_size: int,
    seconds: float,
) -> None:
    """From batch to batch: receive, claim, done, delete; the rest is shared by many batches."""
    calls = CountedCalls()
    clients = Clients(connection_string=storage_account, calls=calls)
    name, poison = queue_names
    farm = MemoryFarm(tmp_path / "share", renderer=_Steady())
    farm.table = AzureJobTable(clients, table=table_name)  # type: ignore[assignment]
    farm.queue = AzureBatchQueue(  # type: ignore[assignment]
        clients,
        queues={"normal": name, "high": f"{name}-high"},
        poison_queue=poison,
        clock=farm.clock,
    )
    count = _BATCHES * batch_size
    job = await farm.queued_job(f"1-{count}", batch_size=batch_size)
    stopping = Stopping()
    farm.progress = _Until(_BATCHES, stopping)
    farm.renderer.before = lambda _: farm.clock.pause(seconds)
    calls.taken()
    async with asyncio.timeout(60):
        await run(
            farm.rendering(),
            stopping,
            SharedCores(tmp_path / "machine", "w1", cores=2, used=lambda: None),
            poll_seconds=60,
            idle_seconds=0,
            grace_seconds=5,
            failed_jobs=3,
        )
    made: collections.Counter[str] = collections.Counter()
    for (_, operation, _), number in calls.taken().items():
        made[operation] += number
    ended = (await farm.job(job.id)).state
    await clients.close()

    assert ended is jobs.JobState.COMPLETED
    assert (made[_WRITE], made[_DELETE]) == (2 * _BATCHES, _BATCHES)
    assert made[_WRITE_WITH_EVENT] == 2  # of the job: that it renders, and that it is completed
    assert set(made) == {_RECEIVE, _READ, _WRITE, _WRITE_WITH_EVENT, _DELETE, _NOTE}
    assert made[_NOTE] == 1  # that the job has such frames
    assert made.total() / count <= _AT_MOST[batch_size], made
