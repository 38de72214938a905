"""Is a batch held exactly as long as its lease, and let go of when it is lost?"""

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.domain import batches, events, jobs
from blendrop.usecases import render
from blendrop.usecases.render import Outcome
from tests.doubles.farm import LEASE, MemoryFarm


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path)


async def test_a_frame_that_is_done_while_a_renewal_is_under_way_counts(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewal writes an older row, and must not bring it back."""
    job = await farm.queued_job("1-3")
    replace, answered = farm.table.replace_batch, asyncio.Event()

    async def slow(
        batch: batches.Batch, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[batches.Batch]:
        written = await replace(batch, etag=etag, event=event)
        if batch.frames_done == 0 and batch.attempt == 1 and farm.renderer.hold is not None:
            await answered.wait()
        return written

    farm.renderer.hold = asyncio.Event()
    working = asyncio.create_task(farm.work())
    await farm.clock.settle()
    monkeypatch.setattr(farm.table, "replace_batch", slow)
    await farm.clock.advance(21)  # a renewal begins, and its answer is late
    farm.renderer.hold.set()
    async with asyncio.timeout(5):
        while len(farm.files(job.id)) < 4:  # noqa: ASYNC110 frames and logs; a folder sets no event
            await asyncio.sleep(0.01)
    answered.set()

    assert await working is Outcome.DONE
    assert (await farm.batch(job.id)).frames_done == 3
    assert farm.renderer.rendered == [1, 2, 3]


async def _message_taken(farm: MemoryFarm, _: jobs.Job, delivery: ports.Delivery) -> None:
    await farm.queue.delete(delivery)


async def _row_taken(farm: MemoryFarm, job: jobs.Job, _: ports.Delivery) -> None:
    standing = await farm.table.get_batch(job.id, 0)
    claimed = standing.row.claimed("w9", lease_until=farm.clock.now() + LEASE)
    await farm.table.replace_batch(claimed, etag=standing.etag)


async def _storage_away(farm: MemoryFarm, _: jobs.Job, __: ports.Delivery) -> None:
    async def away(delivery: ports.Delivery, *, lease: datetime.timedelta) -> ports.Delivery:
        raise errors.UnavailableError("the storage is away")

    farm.queue.renew = away  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("losing", "after"),
    [
        pytest.param(_message_taken, 20, id="message"),
        pytest.param(_row_taken, 20, id="row"),
        pytest.param(_storage_away, 60, id="none in time"),
    ],
)
async def test_a_refused_renewal_ends_blender_and_deletes_nothing(
    farm: MemoryFarm, losing: Callable[..., Awaitable[None]], after: float
) -> None:
    """At the first one that is refused, or when the lease is over without one."""
    job = await farm.queued_job("1-2")
    farm.renderer.hold = asyncio.Event()
    begun = asyncio.Event()
    farm.renderer.before = lambda _: begun.set()
    since, delivery = farm.clock.elapsed(), await farm.receive()
    working = asyncio.create_task(render.attend(farm.rendering(), delivery, since=since))
    await asyncio.wait_for(begun.wait(), 5)
    await losing(farm, job, delivery)
    await farm.clock.advance(after - 1)
    assert not working.done()
    await farm.clock.advance(1)

    assert (await asyncio.wait_for(working, 5)).outcome is Outcome.LEASE_LOST
    assert farm.renderer.ended == 1
    assert (await farm.batch(job.id)).state is batches.BatchState.RENDERING
    assert await farm.queue.depth() == (0 if losing is _message_taken else 1)


async def test_a_row_that_is_changed_twice_during_a_renewal_stays_held(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By people who ask for things: the worker goes on, and does what they asked for."""
    job = await farm.queued_job("1-2")
    hold, begun = asyncio.Event(), asyncio.Event()
    farm.renderer.hold, farm.renderer.before = hold, lambda _: begun.set()
    working = asyncio.create_task(farm.work())
    await asyncio.wait_for(begun.wait(), 5)
    get_batch = farm.table.get_batch

    async def changed(job_id: str, number: int) -> ports.Versioned[batches.Batch]:
        monkeypatch.setattr(farm.table, "get_batch", get_batch)
        found = await get_batch(job_id, number)
        asked = found.row.model_copy(update={"pause_requested": True})
        await farm.table.replace_batch(asked, etag=found.etag)
        return found

    await changed(job.id, 0)
    monkeypatch.setattr(farm.table, "get_batch", changed)
    await farm.clock.advance(20)
    hold.set()

    assert await asyncio.wait_for(working, 5) is Outcome.STOPPED
    assert farm.renderer.rendered == [1]


async def test_a_row_that_is_taken_away_during_a_renewal_is_let_go(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was the worker's own when it was looked at, and is not when it is written."""
    job = await farm.queued_job("1-2")
    working = await farm.begin()
    get_batch = farm.table.get_batch

    async def changed(
        changes: Callable[[batches.Batch], batches.Batch],
    ) -> ports.Versioned[batches.Batch]:
        found = await get_batch(job.id, 0)
        await farm.table.replace_batch(changes(found.row), etag=found.etag)
        return found

    async def cancelled(*_: object) -> ports.Versioned[batches.Batch]:
        monkeypatch.setattr(farm.table, "get_batch", get_batch)
        return await changed(lambda row: row.released(batches.BatchState.CANCELLED))

    await changed(lambda row: row.model_copy(update={"pause_requested": True}))
    monkeypatch.setattr(farm.table, "get_batch", cancelled)
    await farm.clock.advance(20)

    assert await asyncio.wait_for(working, 5) is Outcome.LEASE_LOST
    assert farm.renderer.ended == 1
    assert (await farm.batch(job.id)).state is batches.BatchState.CANCELLED


async def test_a_lease_is_renewed_while_a_frame_takes_longer_than_it(farm: MemoryFarm) -> None:
    """Both halves are renewed at a third of the lease, progress included."""
    job = await farm.queued_job("1-2")
    hold = farm.renderer.hold = asyncio.Event()
    hold.set()
    farm.renderer.before = lambda frame: hold.clear() if frame == 2 else None
    working = asyncio.create_task(farm.work())
    async with asyncio.timeout(5):
        while hold.is_set():  # noqa: ASYNC110 a renderer sets no event
            await asyncio.sleep(0.01)
    for _ in range(9):
        await farm.clock.advance(20)
        held = await farm.batch(job.id)
        assert held.lease_until == farm.clock.now() + LEASE

    assert await farm.queue.receive(lease=LEASE) is None
    assert held.frames_done == 1
    farm.renderer.hold.set()
    assert await working is Outcome.DONE


async def test_a_paused_process_publishes_nothing_when_it_goes_on(farm: MemoryFarm) -> None:
    """A worker stopped for longer than its lease finds that out before it writes anything."""
    job = await farm.queued_job("1")
    farm.renderer.before = lambda _: farm.clock.pause(180)

    assert await farm.work() is Outcome.LEASE_LOST
    assert [name for name in farm.files(job.id) if name.endswith(".png")] == []
    assert (await farm.batch(job.id)).state is batches.BatchState.RENDERING


async def test_a_dead_heartbeat_ends_the_work(farm: MemoryFarm) -> None:
    """Without renewals nothing may go on, whatever ended them."""
    await farm.queued_job("1-2")
    farm.renderer.hold = asyncio.Event()
    world = farm.rendering()

    async def broken(delivery: ports.Delivery, *, lease: datetime.timedelta) -> ports.Delivery:
        raise ZeroDivisionError

    farm.queue.renew = broken  # type: ignore[method-assign]
    working = asyncio.create_task(render.attend(world, await farm.receive(), since=0))
    await asyncio.sleep(0.05)
    await farm.clock.advance(20)

    with pytest.raises(ZeroDivisionError):
        await working
    assert farm.renderer.ended == 1
