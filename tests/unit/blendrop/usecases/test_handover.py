"""Does a worker go from batch to batch as it should, while Blender is at the one before?"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.domain import batches, jobs, messages
from blendrop.usecases import control, render
from blendrop.usecases.handover import Stage
from blendrop.usecases.render import Outcome
from blendrop.usecases.render_frames import Rendering
from tests.doubles.farm import LEASE, MemoryFarm, OneScene
from tests.doubles.listener import Listener
from tests.doubles.renderer import SlowVerifier, TimedRenderer
from tests.doubles.waiting import until


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


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
        held = farm.renderer.hold_at(3)
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


@contextlib.asynccontextmanager
async def batch_after_batch(
    farm: MemoryFarm,
) -> AsyncIterator[list[tuple[Stage, asyncio.Task[render.Attended]]]]:
    """Attend to messages as a worker does: two at most, the next as one is nearly through."""
    world, attended = farm.rendering(), list[tuple[Stage, asyncio.Task[render.Attended]]]()

    async def attend() -> None:
        while True:
            if (delivery := await farm.queue.receive(lease=LEASE)) is None:
                await asyncio.sleep(0.01)
                continue
            stage = Stage()
            attending = asyncio.create_task(
                render.attend(world, delivery, since=farm.clock.elapsed(), stage=stage)
            )
            attended.append((stage, attending))
            soon = asyncio.create_task(stage.nearly_through.wait())
            await asyncio.wait({attending, soon}, return_when=asyncio.FIRST_COMPLETED)
            soon.cancel()
            if before := [one for _, one in attended[:-1]]:
                await asyncio.wait(before)

    working = asyncio.create_task(attend())
    try:
        yield attended
    finally:
        for one in (working, *(task for _, task in attended)):
            one.cancel()
        await asyncio.wait({working, *(task for _, task in attended)})


async def test_the_first_frame_of_a_job_says_how_long_its_batches_take(farm: MemoryFarm) -> None:
    """Nobody knows it before; from then on the next message is there when a frame ends."""
    farm.renderer = renderer = TimedRenderer(clock=farm.clock, seconds=dict.fromkeys((1, 2), 9))
    await farm.queued_job("1-2", batch_size=1)
    async with batch_after_batch(farm) as attended:
        await until(lambda: renderer.begun == [1])
        await farm.clock.settle()
        await farm.clock.advance(8.9)
        assert not attended[0][0].nearly_through.is_set()
        await farm.clock.advance(0.1)
        await until(lambda: renderer.begun == [1, 2])
        await farm.clock.settle()
        await farm.clock.advance(6.9)
        assert not attended[1][0].nearly_through.is_set()
        await farm.clock.advance(0.2)
        assert attended[1][0].nearly_through.is_set()
        await farm.clock.advance(2)
        assert [(await one).outcome for _, one in attended] == [Outcome.DONE, Outcome.DONE]


async def test_what_a_frame_of_another_job_took_says_nothing(farm: MemoryFarm) -> None:
    """A message that was held for an hour would be missed by others."""
    farm.renderer = renderer = TimedRenderer(clock=farm.clock, seconds={1: 0.1, 2: 0.1, 3: 60})
    for asked in ("1-2", "3"):
        await farm.queued_job(asked)
    async with batch_after_batch(farm) as attended:
        for frame in (1, 2):
            await until(lambda: renderer.begun[-1:] == [frame])  # noqa: B023 it is waited for here
            await farm.clock.settle()
            await farm.clock.advance(0.1)
        await until(lambda: renderer.begun == [1, 2, 3])
        await farm.clock.settle()
        await farm.clock.advance(59)
        assert [stage.nearly_through.is_set() for stage, _ in attended] == [True, False]
        await farm.clock.advance(1)
        assert [(await one).outcome for _, one in attended] == [Outcome.DONE, Outcome.DONE]


async def test_blender_goes_on_with_the_next_batch_while_a_last_frame_is_verified(
    farm: MemoryFarm,
) -> None:
    """With its first frame, and no further: the second one's image would take that one's place."""
    farm.verifier = slow = SlowVerifier(only="2")
    job = await farm.queued_job("1-6", batch_size=2)
    async with batch_after_batch(farm) as attended:
        await until(lambda: farm.renderer.rendered == [1, 2, 3])
        await asyncio.sleep(0.05)
        assert farm.renderer.rendered == [1, 2, 3]
        assert [(await farm.batch(job.id, one)).state for one in (0, 1, 2)] == [
            batches.BatchState.RENDERING,
            batches.BatchState.RENDERING,
            batches.BatchState.PLANNED,
        ]
        assert len(attended) == 2
        slow.go_on.set()
        await until(lambda: len(attended) == 3 and all(one.done() for _, one in attended))
        assert {one.result().outcome for _, one in attended} == {Outcome.DONE}
    assert farm.renderer.rendered == [1, 2, 3, 4, 5, 6]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_batch_that_comes_to_nothing_keeps_blender_from_nobody(farm: MemoryFarm) -> None:
    """A scene that cannot be opened, say."""
    job = await farm.queued_job("1-2")
    farm.renderer.report = errors.SceneError(
        errors.FailureClass.SCENE_UNREADABLE, "it is cut off", "Upload it again"
    )
    world = farm.rendering()
    first = await render.attend(world, await farm.receive(), since=farm.clock.elapsed())
    assert (first.outcome, world.handover.blender.locked()) == (Outcome.JOB_FAILED, False)
    assert (await farm.job(job.id)).state is jobs.JobState.FAILED


@pytest.mark.parametrize("quick", [True, False])
async def test_a_message_that_comes_twice_renders_nothing_twice_beside_the_first(
    farm: MemoryFarm, quick: bool
) -> None:
    """A batch that this worker is at is not its to take over."""
    seconds = 0.1 if quick else 10
    farm.renderer = renderer = TimedRenderer(clock=farm.clock, seconds={1: seconds, 2: seconds})
    job = await farm.queued_job("1-2")
    again = messages.BatchMessage(job=job.id, batch=0, frames="1-2")
    await farm.queue.send([again], priority=job.settings.priority)
    async with batch_after_batch(farm) as attended:
        async with asyncio.timeout(10):
            while await farm.queue.depth():
                await farm.clock.advance(seconds)
                await asyncio.sleep(0.01)
        outcomes = [(await one).outcome for _, one in attended]
    assert outcomes[0] is Outcome.DONE
    assert set(outcomes[1:]) <= {Outcome.HELD, Outcome.OBSOLETE}
    assert renderer.rendered == [1, 2]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


def numbers_begun(listener: Listener) -> list[int]:
    """Return the numbers of the batches that were told to have Blender."""
    return [batch.number for told, batch, *_ in listener.heard if told == "batch_begun"]


async def test_where_frames_are_quick_the_next_batch_is_claimed_beside_the_last_of_them(
    farm: MemoryFarm,
) -> None:
    """Blender would wait for the answer; a person is told of the batch that has Blender."""
    farm.progress = listener = Listener()
    farm.renderer = renderer = TimedRenderer(clock=farm.clock, seconds=dict.fromkeys((1, 2), 2))
    job = await farm.queued_job("1-4", batch_size=2)
    async with batch_after_batch(farm):
        await until(lambda: renderer.begun == [1])
        await farm.clock.settle()
        await farm.clock.advance(2)
        await until(lambda: renderer.begun == [1, 2])
        await until_row(farm, job, 1, batches.BatchState.RENDERING)
        assert (renderer.begun, numbers_begun(listener)) == ([1, 2], [0])
        await farm.clock.advance(2)
        await until(lambda: renderer.begun == [1, 2, 3])
        assert numbers_begun(listener) == [0, 1]


async def until_row(farm: MemoryFarm, job: jobs.Job, number: int, state: str) -> None:
    """Return once a batch is in that state."""
    async with asyncio.timeout(5):
        while (await farm.batch(job.id, number)).state != state:  # noqa: ASYNC110 there is no event
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def claimed_beside_a_frame(
    farm: MemoryFarm,
) -> AsyncIterator[
    tuple[jobs.Job, asyncio.Event, list[tuple[Stage, asyncio.Task[render.Attended]]]]
]:
    """Give a job whose second batch is claimed, what lets the frame go on, and what is attended."""
    job = await farm.queued_job("1-4", batch_size=2)
    hold = farm.renderer.hold_at(2)
    async with batch_after_batch(farm) as attended:
        await until_row(farm, job, 1, batches.BatchState.RENDERING)
        yield job, hold, attended


async def test_a_batch_claimed_beside_a_frame_is_given_back_by_a_worker_that_stops(
    farm: MemoryFarm,
) -> None:
    """At once, and with nothing held against its frames."""
    async with claimed_beside_a_frame(farm) as (job, hold, attended):
        attended[1][1].cancel()
        await asyncio.wait({attended[1][1]})
        given_back = await farm.batch(job.id, 1)
        hold.set()
        assert (await attended[0][1]).outcome is Outcome.DONE
        await until(lambda: len(attended) == 3)
        assert (await attended[2][1]).outcome is Outcome.DONE
    assert farm.renderer.ended == 0
    assert (given_back.state, given_back.failures) == (batches.BatchState.QUEUED, ())
    assert farm.renderer.rendered == [1, 2, 3, 4]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_batch_claimed_beside_a_frame_is_begun_by_no_worker_that_stops(
    farm: MemoryFarm,
) -> None:
    """It has Blender within the grace, and gives that and itself back."""
    async with claimed_beside_a_frame(farm) as (job, hold, attended):
        farm.stopping = True
        hold.set()
        outcomes = [(await one).outcome for _, one in attended[:2]]
    assert outcomes == [Outcome.DONE, Outcome.STOPPED]
    assert farm.renderer.rendered == [1, 2]
    assert (await farm.batch(job.id, 1)).state is batches.BatchState.QUEUED


async def test_a_last_frame_that_is_refused_beside_the_next_batch_counts_against_its_own(
    farm: MemoryFarm,
) -> None:
    """The next batch goes on, and the first is tried again."""
    bad = errors.FrameError(errors.FailureClass.DAMAGED_IMAGE, "cut off", "Look at the log")
    farm.verifier = SlowVerifier(doubted={"1": bad})
    job = await farm.queued_job("1-2", batch_size=1)
    async with batch_after_batch(farm) as attended:
        await until(lambda: farm.renderer.rendered == [1, 2])
        farm.verifier.go_on.set()
        await until(lambda: len(attended) == 2 and all(one.done() for _, one in attended))
        outcomes = [one.result().outcome for _, one in attended]
    assert outcomes == [Outcome.RETRY, Outcome.DONE]
    first, second = [await farm.batch(job.id, number) for number in (0, 1)]
    assert (first.state, [one.frame for one in first.failures]) == (batches.BatchState.QUEUED, [1])
    assert (second.state, second.failures) == (batches.BatchState.DONE, ())
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING


async def test_a_batch_that_is_lost_as_its_last_frame_is_verified_keeps_blender_from_nobody(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It publishes nothing more, and the next batch has Blender already."""
    farm.verifier = slow = SlowVerifier()
    job = await farm.queued_job("1-2", batch_size=1)
    hold = farm.renderer.hold_at(2)
    async with batch_after_batch(farm) as attended:
        await until(lambda: len(attended) == 2 and attended[1][0].begun)
        failing_renewals(farm, monkeypatch, number=0, times=9)
        for _ in range(3):
            await farm.clock.advance(20)
        assert (await attended[0][1]).outcome is Outcome.LEASE_LOST
        assert farm.renderer.ended == 0
        hold.set()
        slow.go_on.set()
        assert (await attended[1][1]).outcome is Outcome.DONE
        await until(lambda: len(attended) == 3 and attended[2][1].done())
    assert farm.renderer.rendered == [1, 2, 1]  # its message came back
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


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
