"""When does a worker write its row, and what if it cannot?"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import pytest
import structlog

from blendrop import errors
from blendrop.adapters.memory_storage import MemoryWorkerTable
from blendrop.domain import batches, workers
from container_worker.activity import Activity
from container_worker.heartbeat import Heartbeat
from container_worker.metrics import Metrics
from tests.doubles.clock import ManualClock
from tests.doubles.workers import a_worker

BATCH = batches.Batch(job="shot-00000000000a", number=7, frames="29-32", attempt=1, worker="w1")
AWAY = errors.UnavailableError("the storage gave no answer")


class WatchedTable(MemoryWorkerTable):
    """A table that writes down when it was called, and fails as it is told."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.calls: list[float] = []
        self.failing: list[Exception] = []
        self.hanging = False
        self._clock = clock

    async def put(self, worker: workers.Worker) -> None:
        """Write the row, unless told otherwise."""
        self.calls.append(self._clock.elapsed())
        if self.hanging:
            await asyncio.Event().wait()
        if self.failing:
            raise self.failing.pop(0)
        await super().put(worker)

    async def row(self) -> workers.Worker:
        """Return the only row."""
        (row,) = await self.all_workers()
        return row


class Beating:
    """A worker whose heart beats every 30 s."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.table = WatchedTable(self.clock)
        self.activity = Activity(
            a_worker(state=workers.WorkerState.STARTING), clock=self.clock, metrics=Metrics()
        )
        self._heartbeat = Heartbeat(self.table, self.activity, self.clock, seconds=30)

    def beating(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Let it beat for as long as the block runs."""
        return self._heartbeat.beating()


async def test_a_worker_says_that_it_starts_lives_and_leaves() -> None:
    """A few calls a minute, and one last word."""
    worker = Beating()
    async with worker.beating():
        await worker.clock.settle()
        assert (await worker.table.row()).state is workers.WorkerState.STARTING
        await worker.clock.advance(95)
        assert worker.table.calls == [0, 30, 60, 90]
        worker.activity.left("idle for its idle time, 60 s")
    left = await worker.table.row()

    assert worker.table.calls == [0, 30, 60, 90, 95]
    assert (left.state, left.left_because) == (
        workers.WorkerState.LEFT,
        "idle for its idle time, 60 s",
    )
    assert left.heard == worker.clock.now()


async def test_a_batch_is_told_of_soon_and_frames_are_not() -> None:
    """At most three times in a heartbeat, however quick they are."""
    worker = Beating()
    worker.activity.ready()
    async with worker.beating():
        await worker.clock.settle()
        await worker.clock.advance(1)
        worker.activity.batch_begun(BATCH, frames_left=4)
        await worker.clock.advance(9)
        assert (await worker.table.row()).rendering is not None
        for frame in range(29, 33):
            worker.activity.frame_begun(frame)
            worker.activity.frame_done(BATCH, frame, seconds=1)
            await worker.clock.advance(5)
        assert worker.table.calls == [0, 10]
        for number in range(100):
            worker.activity.batch_begun(BATCH.model_copy(update={"number": number}), frames_left=4)
            await worker.clock.advance(0.3)
        assert len(worker.table.calls) <= 6


@pytest.mark.parametrize(
    "happens",
    [
        lambda worker: worker.message_left("done"),
        lambda worker: worker.waiting("the share is full"),
        lambda worker: worker.leaving("asked to stop"),
    ],
    ids=["its end", "what it waits for", "that it leaves"],
)
async def test_what_becomes_of_a_batch_is_told_of_soon(
    happens: Callable[[Activity], None],
) -> None:
    """Within a third of a heartbeat, and then no more than before."""
    worker = Beating()
    worker.activity.ready()
    worker.activity.batch_begun(BATCH, frames_left=4)
    async with worker.beating():
        await worker.clock.settle()
        await worker.clock.advance(1)
        happens(worker.activity)
        now = worker.activity.worker()
        await worker.clock.advance(9)
        told = await worker.table.row()
        assert (told.state, told.rendering, told.waits_for) == (
            now.state,
            now.rendering,
            now.waits_for,
        )
        await worker.clock.advance(29)
        assert worker.table.calls == [0, 10]


@pytest.mark.parametrize(
    "failing", [[AWAY, AWAY], [ValueError("a fault of ours")] * 2], ids=["away", "fault"]
)
async def test_a_heartbeat_that_fails_is_tried_again_soon(failing: Sequence[Exception]) -> None:
    """Whatever it fails of, nothing else ends."""
    worker = Beating()
    worker.table.failing = list(failing)
    with structlog.testing.capture_logs() as logs:
        async with worker.beating():
            await worker.clock.settle()
            assert await worker.table.all_workers() == []
            await worker.clock.advance(21)
            assert worker.table.calls == [0, 10, 20]
            assert (await worker.table.row()).name == "w1"
    level = "warning" if failing[0] is AWAY else "error"
    assert [(one["event"], one["log_level"]) for one in logs] == [("heartbeat_failed", level)] * 2


async def test_the_last_word_does_not_keep_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL would come before a storage that gives no answer."""
    monkeypatch.setattr("container_worker.heartbeat._LAST_SECONDS", 0.05)
    worker = Beating()
    worker.table.hanging = True
    async with asyncio.timeout(5):
        async with worker.beating():
            await worker.clock.settle()
    assert worker.table.calls == [0, 0]
