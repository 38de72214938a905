"""Does a worker go from frame to frame and from batch to batch as it should, beside Blender?"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import batches, images, jobs
from blendrop.usecases import control, render
from blendrop.usecases.handover import Stage
from blendrop.usecases.render import Outcome
from blendrop.usecases.render_frames import Rendering
from tests.doubles.farm import LEASE, MemoryFarm
from tests.doubles.renderer import TimedRenderer, TrustingVerifier


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


async def until(holds: object) -> None:
    """Return when something holds, which a moment is enough for."""
    async with asyncio.timeout(5):
        while not holds():  # type: ignore[operator]  # noqa: ASYNC110 doubles set no event
            await asyncio.sleep(0.005)


@dataclasses.dataclass
class SlowVerifier(TrustingVerifier):
    """Verifies when it is told to."""

    go_on: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    asked: int = 0

    async def verify(
        self, path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        """Wait, and then look."""
        self.asked += 1
        await self.go_on.wait()
        return await super().verify(path, expected)


async def test_blender_renders_the_next_frame_while_one_is_verified(farm: MemoryFarm) -> None:
    """And no more than that one: the images of two frames lie on the worker's disk."""
    farm.verifier = slow = SlowVerifier()
    await farm.queued_job("1-4")
    working = asyncio.create_task(farm.work())
    await until(lambda: farm.renderer.rendered == [1, 2])
    await asyncio.sleep(0.05)

    assert (farm.renderer.rendered, slow.asked) == ([1, 2], 1)
    slow.go_on.set()
    assert await working is Outcome.DONE
    assert farm.renderer.rendered == [1, 2, 3, 4]


async def test_a_frame_that_is_refused_beside_the_next_counts_against_itself(
    farm: MemoryFarm,
) -> None:
    """The one that Blender has in hand by then is none the worse for it."""
    farm.verifier = slow = SlowVerifier()
    slow.doubted["1"] = errors.FrameError(errors.FailureClass.DAMAGED_IMAGE, "cut off", "Look")
    slow.go_on.set()
    job = await farm.queued_job("1-3")

    assert await farm.work() is Outcome.RETRY
    batch = await farm.batch(job.id)
    assert [one.frame for one in batch.failures] == [1]
    assert sorted(batch.frame_seconds) == [2, 3]


async def test_a_lease_that_ran_out_beside_a_render_ends_blender_at_once(
    farm: MemoryFarm,
) -> None:
    """What is verified too late is not published, and Blender does not go on for nothing."""
    farm.verifier = slow = SlowVerifier()
    job = await farm.queued_job("1-2")
    working = asyncio.create_task(farm.work())
    await until(lambda: slow.asked == 1)
    hold = farm.renderer.hold = asyncio.Event()
    await asyncio.sleep(0.02)
    farm.clock.pause(61)
    slow.go_on.set()

    assert await working is Outcome.LEASE_LOST
    assert not hold.is_set()
    assert [name for name in farm.files(job.id) if name.endswith(".png")] == []


@contextlib.asynccontextmanager
async def one_ahead(
    farm: MemoryFarm, world: Rendering
) -> AsyncIterator[tuple[asyncio.Task[render.Attended], asyncio.Task[render.Attended], Stage]]:
    """Give the attempt that has Blender, the one that waits for it, and how far that one is."""
    hold = farm.renderer.hold = asyncio.Event()
    first = asyncio.create_task(
        render.attend(world, await farm.receive(), since=farm.clock.elapsed())
    )
    await asyncio.sleep(0.05)
    stage = Stage()
    second = asyncio.create_task(
        render.attend(world, await farm.receive(), since=farm.clock.elapsed(), stage=stage)
    )
    await asyncio.sleep(0.05)
    yield first, second, stage
    hold.set()


async def test_a_message_fetched_ahead_is_kept_and_not_claimed(farm: MemoryFarm) -> None:
    """Until Blender is free: nobody else receives it, and its row is nobody's."""
    job = await farm.queued_job("1-4", batch_size=2)
    world = farm.rendering()
    async with one_ahead(farm, world) as (first, second, stage):
        for _ in range(6):
            await farm.clock.advance(20)
        assert await farm.queue.receive(lease=LEASE) is None
        assert (await farm.batch(job.id, 1)).state is batches.BatchState.PLANNED
        assert not stage.begun

    assert [(await one).outcome for one in (first, second)] == [Outcome.DONE, Outcome.DONE]
    assert farm.renderer.rendered == [1, 2, 3, 4]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert await farm.queue.depth() == 0


async def test_a_message_fetched_ahead_is_given_back_at_once(farm: MemoryFarm) -> None:
    """A worker that is asked to stop keeps nothing that it has not begun."""
    job = await farm.queued_job("1-4", batch_size=2)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        second.cancel()
        await asyncio.wait({second})
        delivery = await farm.queue.receive(lease=LEASE)
        assert delivery is not None
        assert '"batch":1' in delivery.body
        assert (await farm.batch(job.id, 1)).attempt == 0
    assert (await first).outcome is Outcome.DONE


async def test_a_batch_cancelled_while_it_waits_for_blender_is_not_claimed(
    farm: MemoryFarm,
) -> None:
    """What is remembered of its rows is refused by the ETag, and read anew."""
    job = await farm.queued_job("1-4", batch_size=2)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        await control.cancel(farm.control(), job.id, by="a person")
        await farm.clock.advance(20)

    assert (await first).outcome is Outcome.LEASE_LOST
    assert (await second).outcome is Outcome.OBSOLETE
    assert farm.renderer.rendered == []
    assert (await farm.batch(job.id, 1)).state is batches.BatchState.CANCELLED


async def test_a_pause_that_nobody_marked_on_the_batch_is_learnt_at_the_first_renewal(
    farm: MemoryFarm,
) -> None:
    """It came after the job's row was read, and before the batch was claimed."""
    job = await farm.queued_job("1-4", batch_size=2)
    world = farm.rendering()
    hold = asyncio.Event()
    farm.renderer.hold = hold
    working = asyncio.create_task(
        render.attend(world, await farm.receive(), since=farm.clock.elapsed())
    )
    await asyncio.sleep(0.05)
    standing = await farm.table.get_job(job.id)
    paused = standing.row.moved(jobs.JobState.PAUSED, reason="asked to", now=farm.clock.now())
    await farm.table.replace_job(paused, etag=standing.etag)
    await farm.clock.advance(20)
    hold.set()

    assert (await working).outcome is Outcome.STOPPED
    assert farm.renderer.rendered == [1]
    assert await render.attend(world, await farm.receive(), since=farm.clock.elapsed()) == (
        render.Attended(Outcome.OBSOLETE, job.id)
    )


async def test_rows_are_read_once_for_many_batches(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ETag of a claim says whether what is remembered still holds."""
    job = await farm.queued_job("1-10", batch_size=1)
    reads: list[str] = []
    for name in ("get_job", "get_batch", "batches_from"):
        read = getattr(farm.table, name)

        async def counted(*args: object, _name: str = name, _read: object = read, **named: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
            reads.append(_name)
            return await _read(*args, **named)  # type: ignore[operator]

        monkeypatch.setattr(farm.table, name, counted)
    world = farm.rendering()
    for _ in range(9):
        await render.attend(world, await farm.receive(), since=farm.clock.elapsed())
    of_settling = 9  # nothing else is held at the end of each, so that each asks
    assert (reads.count("get_job"), reads.count("batches_from")) == (1 + of_settling, 1)

    # Another worker has the last one meanwhile.
    standing = await farm.table.get_batch(job.id, 9)
    taken = standing.row.claimed("w9", lease_until=farm.clock.now() + LEASE)
    await farm.table.replace_batch(taken, etag=standing.etag)
    attended = await render.attend(world, await farm.receive(), since=farm.clock.elapsed())
    assert attended.outcome is Outcome.HELD
    assert farm.renderer.rendered == list(range(1, 10))


async def test_a_job_is_settled_once_by_whoever_holds_its_last_batch(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a worker goes on with the same job, it need not ask whether that is over."""
    job = await farm.queued_job("1-4", batch_size=2)
    looked: list[str] = []
    has_batches = farm.table.has_batches

    async def counted(job_id: str, *, states: object) -> bool:
        looked.append(job_id)
        return await has_batches(job_id, states=states)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.table, "has_batches", counted)
    replace = farm.table.replace_batch

    async def slow(batch: batches.Batch, *, etag: str, event: object = None) -> object:
        await asyncio.sleep(0.02)  # as long as a storage account may take
        return await replace(batch, etag=etag, event=event)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.table, "replace_batch", slow)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        pass
    assert [(await one).outcome for one in (first, second)] == [Outcome.DONE, Outcome.DONE]
    assert len(looked) == 1
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_the_next_message_is_asked_for_shortly_before_the_last_frame_ends(
    farm: MemoryFarm,
) -> None:
    """Not earlier: another worker might be idle."""
    await farm.queued_job("1-3")
    stage = Stage()
    farm.renderer = TimedRenderer(clock=farm.clock, seconds={1: 4})
    world = farm.rendering()
    working = asyncio.create_task(
        render.attend(world, await farm.receive(), since=farm.clock.elapsed(), stage=stage)
    )
    await asyncio.sleep(0.05)
    for done, seconds in ((1, 4), (2, 10)):
        await farm.clock.advance(seconds - 0.5)
        assert not stage.nearly_through.is_set()
        await farm.clock.advance(0.5)
        await until(lambda done=done: len(farm.renderer.rendered) == done)
        await asyncio.sleep(0.2)  # until the next is in hand
    await farm.clock.advance(7.9)
    assert not stage.nearly_through.is_set()
    await farm.clock.advance(0.2)
    assert stage.nearly_through.is_set()
    assert not working.done()
    await farm.clock.advance(5)
    assert (await working).outcome is Outcome.DONE


async def test_the_only_frame_of_a_batch_is_rendered_before_the_next_message_is_asked_for(
    farm: MemoryFarm,
) -> None:
    """Nobody knows how long it takes; while it is verified, Blender has nothing to do."""
    await farm.queued_job("1")
    stage = Stage()
    farm.verifier = slow = SlowVerifier()
    farm.renderer = TimedRenderer(clock=farm.clock)
    working = asyncio.create_task(
        render.attend(
            farm.rendering(), await farm.receive(), since=farm.clock.elapsed(), stage=stage
        )
    )
    await asyncio.sleep(0.05)
    await farm.clock.advance(9.9)
    assert not stage.nearly_through.is_set()
    await farm.clock.advance(0.1)
    await until(lambda: slow.asked == 1)
    assert stage.nearly_through.is_set()
    slow.go_on.set()
    assert (await working).outcome is Outcome.DONE
