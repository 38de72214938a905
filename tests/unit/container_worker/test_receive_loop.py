"""When does a worker take a message, wait, and leave?"""

import asyncio
import datetime
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.domain import jobs
from container_worker.receive_loop import Stopping, run
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import crash


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path)


async def work(farm: MemoryFarm, stopping: Stopping, *, idle: float = 0, grace: float = 5) -> None:
    """Run the loop of a worker."""
    await run(
        farm.rendering(),
        stopping,
        poll_seconds=0.001,
        idle_seconds=idle,
        grace_seconds=grace,
        failed_jobs=3,
    )


async def test_a_worker_on_which_every_job_fails_leaves(farm: MemoryFarm) -> None:
    """A full disk or a broken driver must not eat one job after the other."""
    farm.renderer.failing = {1: [crash()] * 9}
    started = [await farm.queued_job("1") for _ in range(4)]

    with pytest.raises(errors.UnfitWorkerError, match="3 jobs in a row") as unfit:
        await asyncio.wait_for(work(farm, Stopping()), 5)

    assert started[0].id in str(unfit.value)
    assert (await farm.batch(started[3].id)).attempt == 0


async def test_a_frame_that_succeeds_shows_that_the_worker_is_fit(farm: MemoryFarm) -> None:
    """Bad frames of many jobs are the jobs' own."""
    farm.renderer.failing = {1: [crash()] * 9}
    for _ in range(4):
        await farm.queued_job("1-2")
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    async with asyncio.timeout(5):
        while farm.renderer.rendered.count(2) < 4:  # noqa: ASYNC110 the double sets no event
            await asyncio.sleep(0.01)
    stopping.request()
    await working


async def test_an_idle_worker_leaves_after_its_idle_time(farm: MemoryFarm) -> None:
    """It has done what was there, and costs nothing more."""
    job = await farm.queued_job("1")
    working = asyncio.create_task(work(farm, Stopping(), idle=60))
    async with asyncio.timeout(5):
        while not (await farm.job(job.id)).ended:  # noqa: ASYNC110 the table sets no event
            await asyncio.sleep(0.01)
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    await farm.clock.advance(59)
    assert not working.done()
    async with asyncio.timeout(5):
        while not working.done():  # it may count from a moment after the job's end
            await farm.clock.advance(61)
            await asyncio.sleep(0.01)
    await working


async def test_after_the_grace_the_frame_in_hand_is_given_up(farm: MemoryFarm) -> None:
    """Blender is ended, and the batch is another worker's at once."""
    job = await farm.queued_job("1-3")
    farm.renderer.hold = asyncio.Event()
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping, grace=0.05))
    await asyncio.sleep(0.1)

    stopping.request()
    await asyncio.wait_for(working, 5)

    assert farm.renderer.ended == 1
    assert not (await farm.batch(job.id)).failures
    farm.renderer.hold = None
    await farm.work("w2")
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_worker_that_does_not_reach_the_queue_says_so_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that is missing would look like a worker that has nothing to do."""
    waits: list[str] = []

    class Listener(ports.Progress):
        def waiting(self, reason: str) -> None:
            waits.append(reason)

    farm = MemoryFarm(tmp_path, progress=Listener())
    answers = [errors.UnavailableError("the storage answered 403")] * 2
    receive = farm.queue.receive

    async def received(*, lease: datetime.timedelta) -> ports.Delivery | None:
        if answers:
            raise answers.pop()
        return await receive(lease=lease)

    monkeypatch.setattr(farm.queue, "receive", received)
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    async with asyncio.timeout(5):
        while "" not in waits:  # noqa: ASYNC110 the double sets no event
            await asyncio.sleep(0.01)
    stopping.request()
    await working

    assert waits[:3] == ["the storage answered 403", "the storage answered 403", ""]
