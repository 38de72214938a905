"""When does a worker take a message, wait, and leave?"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from blendrop import errors, ports
from blendrop.domain import batches, jobs
from container_worker.receive_loop import Stopping, run
from container_worker.shared_cores import SharedCores
from tests.doubles.farm import LEASE, MemoryFarm
from tests.doubles.renderer import ScriptedRenderer, TimedRenderer, crash
from tests.doubles.waiting import until


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path)


async def work(
    farm: MemoryFarm,
    stopping: Stopping,
    worker: str = "w1",
    *,
    idle: float = 0,
    grace: float = 5,
    cores_used: float | None = None,
    renderer: ScriptedRenderer | None = None,
) -> None:
    """Run the loop of a worker, one of those of a machine with two cores."""
    cores = SharedCores(farm.disk / "machine", worker, cores=2, used=lambda: cores_used)
    async with cores.told():
        await run(
            farm.rendering(worker, renderer),
            stopping,
            cores,
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


async def test_a_job_of_many_batches_says_nothing_about_the_worker(farm: MemoryFarm) -> None:
    """All of them may be bad: it takes several jobs."""
    farm.renderer.failing = {frame: [crash()] for frame in range(1, 5)}
    job = await farm.queued_job("1-4", batch_size=1)
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    await settled(lambda: farm.renderer.rendered == [1, 2, 3, 4])
    stopping.request()
    await asyncio.wait_for(working, 5)
    assert [(await farm.batch(job.id, number)).attempt for number in range(4)] == [1] * 4


async def test_an_idle_worker_leaves_after_its_idle_time(farm: MemoryFarm) -> None:
    """It has done what was there, and costs nothing more."""
    job = await farm.queued_job("1")
    working = asyncio.create_task(work(farm, Stopping(), idle=60))
    async with asyncio.timeout(5):
        while not (await farm.job(job.id)).ended:  # noqa: ASYNC110 the table sets no event
            await asyncio.sleep(0.01)
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    await farm.clock.advance(59)
    await asyncio.sleep(0.05)
    assert not working.done()
    async with asyncio.timeout(5):
        while not working.done():  # it may count from a moment after the job's end
            await farm.clock.advance(61)
            await asyncio.sleep(0.01)
    await working


async def test_a_worker_with_a_long_frame_is_not_idle(farm: MemoryFarm) -> None:
    """Its idle time begins when it has nothing in hand."""
    farm.renderer = renderer = TimedRenderer(clock=farm.clock, seconds={1: 100})
    await farm.queued_job("1")
    working = asyncio.create_task(work(farm, Stopping(), idle=60))
    await settled(lambda: renderer.begun == [1])
    await farm.clock.advance(100)
    await settled(lambda: farm.renderer.rendered == [1])
    await farm.clock.advance(50)
    await asyncio.sleep(0.05)
    assert not working.done()
    await farm.clock.advance(11)
    await asyncio.wait_for(working, 5)


async def test_a_worker_without_an_idle_time_stays(farm: MemoryFarm) -> None:
    """An app of containers that is scaled from outside."""
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    await farm.clock.advance(100_000)
    await asyncio.sleep(0.05)
    assert not working.done()
    stopping.request()
    await asyncio.wait_for(working, 5)


async def test_within_the_grace_the_frame_in_hand_is_finished(farm: MemoryFarm) -> None:
    """It gets its name, and the rest of the batch is another worker's at once."""
    job = await farm.queued_job("1-3")
    hold = farm.renderer.hold = asyncio.Event()
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    await asyncio.sleep(0.05)
    stopping.request()
    farm.stopping = True
    await asyncio.sleep(0.05)
    hold.set()
    await asyncio.wait_for(working, 2)

    assert (farm.renderer.rendered, farm.renderer.ended) == ([1], 0)
    assert (await farm.batch(job.id)).frames_done == 1
    farm.stopping = False
    await farm.work("w2")
    assert farm.renderer.rendered == [1, 2, 3]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


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


async def settled(holds: Callable[[], bool]) -> None:
    """Return once something holds, and what follows from it has begun."""
    await until(holds)
    await asyncio.sleep(0.05)


def received(farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where each message that is received will be noted."""
    found: list[str] = []
    receive = farm.queue.receive

    async def noted(*, lease: datetime.timedelta) -> ports.Delivery | None:
        if (delivery := await receive(lease=lease)) is not None:
            found.append(delivery.body)
        return delivery

    monkeypatch.setattr(farm.queue, "receive", noted)
    return found


async def nearly_through(farm: MemoryFarm, renderer: TimedRenderer, last: int) -> None:
    """Let a batch of two frames, ten seconds each, come close to the end of its last."""
    await settled(lambda: renderer.begun[-1:] == [last - 1])
    await farm.clock.advance(10)
    await settled(lambda: renderer.begun[-1:] == [last])
    await farm.clock.advance(7.9)


async def test_the_next_message_is_received_as_the_last_frame_is_about_to_end(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither before nor after that; and the one after it not before this one is over."""
    job = await farm.queued_job("1-6", batch_size=2)
    farm.renderer = renderer = TimedRenderer(clock=farm.clock)
    found, stopping, written = received(farm, monkeypatch), Stopping(), asyncio.Event()
    replace = farm.table.replace_batch

    async def slow(batch: batches.Batch, **more: Any) -> ports.Versioned[batches.Batch]:
        if (batch.number, batch.state) == (0, batches.BatchState.DONE):
            await written.wait()
        return await replace(batch, **more)

    monkeypatch.setattr(farm.table, "replace_batch", slow)
    working = asyncio.create_task(work(farm, stopping))
    await nearly_through(farm, renderer, 2)
    await asyncio.sleep(0.05)
    assert len(found) == 1
    await farm.clock.advance(0.2)
    await settled(lambda: len(found) == 2)
    assert (await farm.batch(job.id, 1)).attempt == 0

    await farm.clock.advance(2)
    await nearly_through(farm, renderer, 4)
    await farm.clock.advance(0.2)
    await asyncio.sleep(0.05)
    assert len(found) == 2  # the row of the first does not say yet that it is over
    written.set()
    await settled(lambda: len(found) == 3)
    stopping.request()
    await farm.clock.advance(2)
    await asyncio.wait_for(working, 5)


async def test_a_message_ahead_is_given_back_as_soon_as_a_stop_is_asked_for(
    farm: MemoryFarm,
) -> None:
    """The grace is for the frame in hand; others need not wait for its end."""
    job = await farm.queued_job("1-4", batch_size=2)
    farm.renderer = renderer = TimedRenderer(clock=farm.clock)
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    await nearly_through(farm, renderer, 2)
    await farm.clock.advance(0.2)
    await asyncio.sleep(0.05)
    assert await farm.queue.receive(lease=LEASE) is None
    stopping.request()
    await asyncio.sleep(0.1)

    assert '"batch":1' in (await farm.receive()).body
    assert not working.done()
    await farm.clock.advance(2)
    await asyncio.wait_for(working, 5)
    assert (await farm.batch(job.id)).state is batches.BatchState.DONE
    assert (await farm.batch(job.id, 1)).attempt == 0


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


class Standing(ports.Progress):
    """Keeps what a worker says of why it stands by."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.waits: list[str] = []

    def waiting(self, reason: str) -> None:
        """Keep it."""
        self.waits.append(reason)

    def standing_by(self, reason: str) -> None:
        """Keep it if it is another one."""
        if self.reasons[-1:] != [reason]:
            self.reasons.append(reason)


async def two_workers(
    farm: MemoryFarm, *, cores_used: float | None
) -> tuple[ScriptedRenderer, Standing, Callable[[], Awaitable[None]]]:
    """Let a second worker come while a first holds a frame; return its renderer, and what ends."""
    farm.renderer.hold, begun, stopping = asyncio.Event(), asyncio.Event(), Stopping()
    farm.renderer.before = lambda _: begun.set()
    first = asyncio.create_task(work(farm, stopping, cores_used=cores_used))
    await asyncio.wait_for(begun.wait(), 5)
    farm.progress = standing = Standing()
    second = ScriptedRenderer()
    both = asyncio.gather(first, work(farm, stopping, "w2", renderer=second))

    async def end() -> None:
        assert farm.renderer.hold is not None
        farm.renderer.hold.set()
        stopping.request()
        await asyncio.wait_for(both, 5)

    return second, standing, end


async def test_a_worker_stands_by_while_another_needs_the_cores_they_share(
    farm: MemoryFarm,
) -> None:
    """It would load the same scene, with the same cores, and be of no use; and it says so."""
    job = await farm.queued_job("1-4", batch_size=1)
    second, standing, end = await two_workers(farm, cores_used=None)
    await settled(lambda: bool(standing.reasons))

    assert [reason.split(",")[0] for reason in standing.reasons] == [
        "w1 needs the cores of this machine (2)"
    ]
    assert standing.waits == []  # the reason stays what it is
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()
    async with asyncio.timeout(5):
        while not (await farm.job(job.id)).ended:  # noqa: ASYNC110 the table sets no event
            await asyncio.sleep(0.01)
    await end()
    assert (farm.renderer.rendered, second.rendered) == ([1, 2, 3, 4], [])


async def test_the_cores_are_needed_until_the_last_frame_is_done(farm: MemoryFarm) -> None:
    """Also while the worker at work has asked for the next message, and there was none."""
    await farm.queued_job("1-2", batch_size=2)
    farm.renderer = renderer = TimedRenderer(clock=farm.clock)
    beside = SharedCores(farm.disk / "machine", "w2", cores=2, used=lambda: None)
    stopping = Stopping()
    working = asyncio.create_task(work(farm, stopping))
    await nearly_through(farm, renderer, 2)
    await farm.clock.advance(0.2)
    await asyncio.sleep(0.05)
    assert beside.why_stand_by().startswith("w1 needs the cores")

    await farm.clock.advance(2)
    await settled(lambda: renderer.rendered == [1, 2])
    await until(lambda: beside.why_stand_by().startswith("w1 shares this machine"))
    stopping.request()
    await asyncio.wait_for(working, 5)


async def test_a_worker_takes_messages_where_another_leaves_cores_free(farm: MemoryFarm) -> None:
    """A scene that does its work on one core is rendered by two."""
    await farm.queued_job("1-4", batch_size=1)
    second, standing, end = await two_workers(farm, cores_used=0.9)
    await settled(lambda: len(second.rendered) == 3)
    await end()

    assert standing.reasons[0] == ""
    assert second.rendered == [2, 3, 4]


async def test_where_a_batch_failed_the_other_worker_of_the_machine_tries_it(
    farm: MemoryFarm,
) -> None:
    """It may be the worker's Blender that is broken, and not the frame."""
    job = await farm.queued_job("1")
    farm.renderer.failing = {1: [crash()] * 9}
    second, stopping = ScriptedRenderer(), Stopping()
    first = asyncio.create_task(work(farm, stopping))
    await settled(lambda: bool(farm.renderer.rendered))
    working = asyncio.gather(first, work(farm, stopping, "w2", renderer=second))
    async with asyncio.timeout(15):
        while not second.rendered:  # the message may be put back, or left, at any moment
            await farm.clock.advance(1)
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    stopping.request()
    await asyncio.wait_for(working, 5)

    assert (farm.renderer.rendered, second.rendered) == ([1], [1])
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
