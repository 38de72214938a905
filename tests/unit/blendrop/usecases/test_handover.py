"""Does a worker go from frame to frame and from batch to batch as it should, beside Blender?"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.domain import batches, images, jobs
from blendrop.usecases import control, render
from blendrop.usecases.handover import Stage
from blendrop.usecases.render import Outcome
from blendrop.usecases.render_frames import Rendering
from tests.doubles.farm import LEASE, MemoryFarm, OneScene
from tests.doubles.renderer import TimedRenderer, TrustingVerifier, crash
from tests.doubles.waiting import until


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


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


async def test_a_frame_that_crashes_does_not_let_blender_get_two_ahead(farm: MemoryFarm) -> None:
    """The frame before it may still be on its way, and its image must not be overwritten."""
    farm.verifier = slow = SlowVerifier()
    farm.renderer.failing[2] = [crash()]
    job = await farm.queued_job("1-3")
    working = asyncio.create_task(farm.work())
    await until(lambda: farm.renderer.rendered == [1, 2])
    await asyncio.sleep(0.05)

    assert farm.renderer.rendered == [1, 2]
    slow.go_on.set()
    assert await working is Outcome.RETRY
    assert sorted((await farm.batch(job.id)).frame_seconds) == [1, 3]


async def test_a_frame_whose_image_is_gone_is_rendered_again(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was verified may still be lost before it is on the share."""
    verify = farm.verifier.verify

    async def verified_and_lost(
        path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        flags = await verify(path, expected)
        path.unlink()
        return flags

    monkeypatch.setattr(farm.verifier, "verify", verified_and_lost)
    job = await farm.queued_job("1")

    assert await farm.work() is Outcome.RETRY
    (failure,) = (await farm.batch(job.id)).failures
    assert failure.failure_class is errors.FailureClass.WORKER_DISK


def held_at(farm: MemoryFarm, frame: int) -> asyncio.Event:
    """Let Blender have a frame in hand until the event that is returned is set."""
    hold = asyncio.Event()

    def hold_it(begun: int) -> None:
        farm.renderer.hold = hold if begun == frame else None

    farm.renderer.before = hold_it
    return hold


async def test_a_frame_that_is_refused_beside_the_next_counts_against_itself(
    farm: MemoryFarm,
) -> None:
    """The one that Blender has in hand by then is none the worse for it."""
    farm.verifier = slow = SlowVerifier()
    slow.doubted["1"] = errors.FrameError(errors.FailureClass.DAMAGED_IMAGE, "cut off", "Look")
    hold = held_at(farm, 2)
    job = await farm.queued_job("1-3")
    working = asyncio.create_task(farm.work())
    await until(lambda: slow.asked == 1 and farm.renderer.hold is hold)
    slow.go_on.set()
    await until((farm.folder / job.id / "logs" / "shot_0001.png.log").exists)
    await farm.clock.settle()
    hold.set()

    assert await working is Outcome.RETRY
    assert (farm.renderer.rendered, farm.renderer.ended) == ([1, 2, 3], 0)
    batch = await farm.batch(job.id)
    assert [one.frame for one in batch.failures] == [1]
    assert sorted(batch.frame_seconds) == [2, 3]


async def test_a_lease_that_ran_out_beside_a_render_ends_blender_at_once(
    farm: MemoryFarm,
) -> None:
    """What is verified too late is not published, and Blender does not go on for nothing."""
    farm.verifier = slow = SlowVerifier()
    hold = held_at(farm, 2)
    job = await farm.queued_job("1-2")
    working = asyncio.create_task(farm.work())
    await until(lambda: slow.asked == 1 and farm.renderer.hold is hold)
    farm.clock.pause(61)
    slow.go_on.set()

    assert await asyncio.wait_for(working, 5) is Outcome.LEASE_LOST
    assert (farm.renderer.rendered, farm.renderer.ended) == ([1], 1)
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


def failing_renewals(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch, *, number: int, times: int
) -> None:
    """Let the storage be away whenever the message of a batch is renewed, so many times."""
    renew, left = farm.queue.renew, times

    async def failing(delivery: ports.Delivery, **lease: object) -> ports.Delivery:
        nonlocal left
        if f'"batch":{number}' in delivery.body and left:
            left -= 1
            raise errors.UnavailableError("the storage gave no answer")
        return await renew(delivery, **lease)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.queue, "renew", failing)


async def test_a_message_fetched_ahead_is_kept_though_a_renewal_failed(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may succeed, within the time for which it is hidden."""
    await farm.queued_job("1-4", batch_size=2)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        failing_renewals(farm, monkeypatch, number=1, times=2)
        for _ in range(6):
            await farm.clock.advance(20)
        assert await farm.queue.receive(lease=LEASE) is None

    assert [(await one).outcome for one in (first, second)] == [Outcome.DONE, Outcome.DONE]


async def test_a_message_that_could_not_be_kept_is_left_to_others(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in sight again: its batch is not claimed, and Blender is free for the next message."""
    job = await farm.queued_job("1-4", batch_size=2)
    world = farm.rendering()
    async with one_ahead(farm, world) as (first, second, stage):
        failing_renewals(farm, monkeypatch, number=1, times=3)
        for _ in range(3):
            await farm.clock.advance(20)

    assert (await first).outcome is Outcome.DONE
    assert (await second).outcome is Outcome.LEASE_LOST
    assert ((await farm.batch(job.id, 1)).attempt, stage.begun) == (0, False)
    since, delivery = farm.clock.elapsed(), await farm.receive()
    third = await asyncio.wait_for(render.attend(world, delivery, since=since), 5)
    assert third.outcome is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_renewal_under_way_as_blender_is_free_is_waited_for(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off, its answer would be lost, and with it the receipt that alone counts by then."""
    job = await farm.queued_job("1-4", batch_size=2)
    renew, answered = farm.queue.renew, asyncio.Event()

    async def slow(delivery: ports.Delivery, **lease: object) -> ports.Delivery:
        renewed = await renew(delivery, **lease)  # type: ignore[arg-type]
        if '"batch":1' in delivery.body:
            await answered.wait()
        return renewed

    async with one_ahead(farm, farm.rendering()) as (first, second, stage):
        monkeypatch.setattr(farm.queue, "renew", slow)
        await farm.clock.advance(20)
    assert (await first).outcome is Outcome.DONE
    await farm.clock.settle()
    assert not stage.begun
    answered.set()

    assert (await second).outcome is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert await farm.queue.depth() == 0


@dataclasses.dataclass(frozen=True)
class NotedScenes(OneScene):
    """Notes whose scenes are asked for."""

    asked: list[str] = dataclasses.field(default_factory=list)

    async def path_of(self, scene: jobs.SceneRef) -> Path:
        """Note it, and return a path."""
        self.asked.append(scene.etag)
        return await super().path_of(scene)


async def test_the_next_scene_is_fetched_while_blender_is_at_the_last(farm: MemoryFarm) -> None:
    """A download of gigabytes goes on beside a render, and not after it."""
    now, later = await farm.queued_job("1-2"), await farm.queued_job("1-2")
    scenes = NotedScenes()
    world = dataclasses.replace(farm.rendering(), scenes=scenes)
    async with one_ahead(farm, world) as (first, second, _):
        assert scenes.asked == [now.scene.etag, later.scene.etag]

    assert [(await one).outcome for one in (first, second)] == [Outcome.DONE, Outcome.DONE]


async def test_a_message_fetched_ahead_is_given_back_at_once(farm: MemoryFarm) -> None:
    """A worker that is asked to stop keeps nothing that it has not begun."""
    job = await farm.queued_job("1-4", batch_size=2)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        await farm.clock.advance(45)  # it was renewed, and its first receipt counts no more
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


async def test_no_message_is_turned_away_for_what_is_only_remembered(farm: MemoryFarm) -> None:
    """The job was paused when this worker looked last, and has been resumed since."""
    job = await farm.queued_job("1-2", batch_size=1)
    world = farm.rendering()
    await control.pause(farm.control(), job.id, by="ada")
    for _ in range(2):
        assert await attended(farm, world) is Outcome.OBSOLETE
    await control.resume(farm.control(), job.id, by="ada")

    for _ in range(2):
        assert await attended(farm, world) is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def attended(
    farm: MemoryFarm, world: Rendering, delivery: ports.Delivery | None = None
) -> Outcome:
    """Let a worker attend to a message, the next one as a rule, a moment after the last one."""
    await farm.clock.advance(0.5)
    since, delivery = farm.clock.elapsed(), delivery or await farm.receive()
    return (await render.attend(world, delivery, since=since)).outcome


async def taken(farm: MemoryFarm, job: jobs.Job, number: int) -> None:
    """Let another worker claim a batch."""
    standing = await farm.table.get_batch(job.id, number)
    row = standing.row.claimed("w9", lease_until=farm.clock.now() + LEASE)
    await farm.table.replace_batch(row, etag=standing.etag)


async def given_back(farm: MemoryFarm, job: jobs.Job, number: int) -> None:
    """Let whoever holds a batch give it back."""
    standing = await farm.table.get_batch(job.id, number)
    row = standing.row.released(batches.BatchState.QUEUED)
    await farm.table.replace_batch(row, etag=standing.etag)


async def test_a_batch_that_another_held_is_looked_at_anew(farm: MemoryFarm) -> None:
    """It was given back after its row was read with others."""
    job = await farm.queued_job("1-2", batch_size=1)
    world = farm.rendering()
    await taken(farm, job, 1)
    assert await attended(farm, world) is Outcome.DONE
    await given_back(farm, job, 1)

    assert await attended(farm, world) is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_claim_that_is_refused_looks_at_the_job_anew(farm: MemoryFarm) -> None:
    """It was paused meanwhile, when another worker had the batch."""
    job = await farm.queued_job("1-2", batch_size=1)
    world = farm.rendering()
    assert await attended(farm, world) is Outcome.DONE
    await taken(farm, job, 1)
    await control.pause(farm.control(), job.id, by="ada")
    await given_back(farm, job, 1)

    assert await attended(farm, world) is Outcome.OBSOLETE
    assert farm.renderer.rendered == [1]


@pytest.mark.parametrize("number", [0, 1], ids=["a row that was used", "a remembered row"])
async def test_a_job_that_was_deleted_since_its_rows_were_read_parks_nothing(
    farm: MemoryFarm, number: int
) -> None:
    """Its late messages are nobody's fault, and are deleted."""
    job = await farm.queued_job("1-2", batch_size=1)
    world = farm.rendering()
    deliveries = [await farm.receive(), await farm.receive()]
    assert await attended(farm, world, deliveries[0]) is Outcome.DONE
    await control.cancel(farm.control(), job.id, by="ada")
    await control.delete(farm.control(), job.id, by="ada")
    farm.queue.put_text(deliveries[number].body)

    assert await attended(farm, world) is Outcome.OBSOLETE
    assert farm.queue.parked == []
    assert not (farm.folder / job.id).exists()


async def test_a_jobs_row_is_remembered_for_a_third_of_a_lease(farm: MemoryFarm) -> None:
    """Whose batches take no longer than that never renews, and sees a pause all the same."""
    job = await farm.queued_job("1-4", batch_size=1)
    world = farm.rendering()
    assert await attended(farm, world) is Outcome.DONE
    await control.pause(farm.control(), job.id, by="ada")
    await farm.clock.advance(LEASE.total_seconds() / 3)

    assert await attended(farm, world) is Outcome.OBSOLETE
    assert farm.renderer.rendered == [1]


async def test_jobs_that_take_turns_in_a_worker_are_not_mixed_up(farm: MemoryFarm) -> None:
    """What is remembered is of one job, and of none but that."""
    one = await farm.queued_job("1-2", batch_size=1)
    other = await farm.queued_job("3-4", batch_size=1)
    world = farm.rendering()
    deliveries = [await farm.receive() for _ in range(4)]
    for place in (0, 2, 1, 3):
        assert await attended(farm, world, deliveries[place]) is Outcome.DONE

    for job, frames in ((one, (1, 2)), (other, (3, 4))):
        names = [name for name in farm.files(job.id) if name.endswith(".png")]
        assert names == [f"shot_000{frame}.png" for frame in frames]
        assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


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


async def test_a_lease_looks_at_its_job_once(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever pauses it from then on finds the batch held, and marks it."""
    await farm.queued_job("1")
    get_job, looks = farm.table.get_job, []

    async def counted(job_id: str) -> ports.Versioned[jobs.Job]:
        looks.append(farm.clock.elapsed())
        return await get_job(job_id)

    working = await farm.begin()
    monkeypatch.setattr(farm.table, "get_job", counted)
    for _ in range(4):
        await farm.clock.advance(20)
    assert looks == [20]
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()
    assert await working is Outcome.DONE


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


Replaced = Callable[..., Awaitable[ports.Versioned[batches.Batch]]]


def looks_at_batches(farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where each question whether a job is over will be noted."""
    looked: list[str] = []
    has_batches = farm.table.has_batches

    async def counted(job_id: str, *, states: object) -> bool:
        looked.append(job_id)
        return await has_batches(job_id, states=states)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.table, "has_batches", counted)
    return looked


def slow_rows(farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each write of a batch's row take as long as a storage account may."""
    replace: Replaced = farm.table.replace_batch

    async def slow(batch: batches.Batch, **more: object) -> ports.Versioned[batches.Batch]:
        await asyncio.sleep(0.02)
        return await replace(batch, **more)

    monkeypatch.setattr(farm.table, "replace_batch", slow)


async def test_a_job_is_settled_once_by_whoever_holds_its_last_batch(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as a worker goes on with the same job, it need not ask whether that is over."""
    job = await farm.queued_job("1-4", batch_size=2)
    looked = looks_at_batches(farm, monkeypatch)
    slow_rows(farm, monkeypatch)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        pass
    assert [(await one).outcome for one in (first, second)] == [Outcome.DONE, Outcome.DONE]
    assert len(looked) == 1
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert await farm.queue.depth() == 0


async def test_a_job_is_settled_though_its_worker_goes_on_with_another(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has in hand by then says nothing about this one."""
    both = [await farm.queued_job("1-2"), await farm.queued_job("1-2")]
    slow_rows(farm, monkeypatch)
    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        pass
    assert [(await one).outcome for one in (first, second)] == [Outcome.DONE, Outcome.DONE]
    for job in both:
        assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_batch_whose_lease_ran_out_settles_nothing(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may have ended it by now: whoever ends the one before it asks itself."""
    job = await farm.queued_job("1-4", batch_size=2)
    looked = looks_at_batches(farm, monkeypatch)
    replace: Replaced = farm.table.replace_batch
    claimed = asyncio.Event()

    async def late(batch: batches.Batch, **more: object) -> ports.Versioned[batches.Batch]:
        if batch.number == 0:
            await claimed.wait()
            farm.clock.pause(6)
        written = await replace(batch, **more)
        claimed.set()
        return written

    async with one_ahead(farm, farm.rendering()) as (first, second, _):
        failing_renewals(farm, monkeypatch, number=1, times=9)
        for seconds in (20, 20, 15):  # five seconds are left of what was hidden first
            await farm.clock.advance(seconds)
        monkeypatch.setattr(farm.table, "replace_batch", late)
        held = held_at(farm, 3)
    assert (await first).outcome is Outcome.DONE
    assert looked == [job.id]
    held.set()
    assert (await second).outcome is Outcome.LEASE_LOST


async def test_the_next_message_is_asked_for_shortly_before_the_last_frame_ends(
    farm: MemoryFarm,
) -> None:
    """Not earlier: another worker might be idle."""
    await farm.queued_job("1-3")
    stage = Stage()
    farm.renderer = renderer = TimedRenderer(clock=farm.clock, seconds={1: 4})
    world = farm.rendering()
    working = asyncio.create_task(
        render.attend(world, await farm.receive(), since=farm.clock.elapsed(), stage=stage)
    )

    async def begun(frame: int) -> None:
        await until(lambda: renderer.begun[-1:] == [frame])

    for frame, seconds in ((1, 4), (2, 10)):
        await begun(frame)
        await farm.clock.advance(seconds - 0.5)
        assert not stage.nearly_through.is_set()
        await farm.clock.advance(0.5)
    await until(lambda: renderer.begun == [1, 2, 3])
    await farm.clock.settle()
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
    farm.renderer = renderer = TimedRenderer(clock=farm.clock)
    working = asyncio.create_task(
        render.attend(
            farm.rendering(), await farm.receive(), since=farm.clock.elapsed(), stage=stage
        )
    )
    await until(lambda: renderer.begun == [1])
    await farm.clock.settle()
    await farm.clock.advance(9.9)
    assert not stage.nearly_through.is_set()
    await farm.clock.advance(0.1)
    await until(lambda: slow.asked == 1)
    assert stage.nearly_through.is_set()
    slow.go_on.set()
    assert (await working).outcome is Outcome.DONE
