"""Does a worker whose batch turns out long share it, and is nothing lost or done twice by that?"""

import asyncio
import dataclasses
import datetime
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from blendrop import errors, ports
from blendrop.domain import batch_sizes, batches, frames, jobs
from blendrop.usecases import control, recover, render
from blendrop.usecases.render import Outcome
from tests.doubles.clock import START
from tests.doubles.farm import LEASE, MemoryFarm
from tests.doubles.renderer import crash
from tests.doubles.waiting import until


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return a farm whose frames take 10 s each."""
    return slow(MemoryFarm(tmp_path / "share"))


@pytest.fixture(autouse=True)
def one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one batch take all that is left of a job for two workers."""
    monkeypatch.setattr(batch_sizes, "_ROUNDS", 0.5)


def slow(farm: MemoryFarm) -> MemoryFarm:
    """Let each frame take 10 s."""
    render_frame = farm.renderer.render

    async def ten_seconds(frame: int, name: str) -> ports.RenderedFrame:
        await farm.clock.advance(10)
        return dataclasses.replace(await render_frame(frame, name), seconds=10.0)

    farm.renderer.render = ten_seconds  # type: ignore[method-assign]
    return farm


def at(seconds: float) -> datetime.datetime:
    """Return the time so long after the clock was made."""
    return START + datetime.timedelta(seconds=seconds)


async def rows_of(farm: MemoryFarm, job: jobs.Job) -> dict[int, tuple[str, str]]:
    """Return each batch's frames and state."""
    return {
        one.row.number: (one.row.frames, str(one.row.state))
        async for one in farm.table.batches_of(job.id)
    }


async def test_a_long_batch_gives_its_tail_to_idle_workers(farm: MemoryFarm) -> None:
    """After its first frame the queue is empty: it keeps one, and three batches are made."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    assert job.batches() == [(1, 2, 3, 4, 5)]

    assert await farm.work("w1") is Outcome.DONE
    assert farm.renderer.rendered == [1, 2]
    # A tail's number is the count of the batches planned and the place of its first frame.
    assert await rows_of(farm, job) == {
        0: ("1-2", "done"),
        1 + 2: ("3", "planned"),
        1 + 3: ("4", "planned"),
        1 + 4: ("5", "planned"),
    }
    assert await farm.queue.depth() == 3
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING

    for worker in ("w2", "w3", "w4"):
        assert await farm.work(worker) is Outcome.DONE
    assert farm.renderer.rendered == [1, 2, 3, 4, 5]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert await farm.queue.depth() == 0


async def whole(farm: MemoryFarm, job: jobs.Job) -> bool:
    """Tell whether a worker keeps the whole of the job's only batch."""
    await farm.work("w1")
    return len(await rows_of(farm, job)) == 1 and farm.renderer.rendered == [1, 2, 3, 4, 5]


async def test_a_batch_is_kept_while_others_have_work(farm: MemoryFarm) -> None:
    """A message that waits for seconds shows that nobody is idle."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    waiting = await farm.queued_job("1", batch_size=1)

    await farm.work("w1")
    assert farm.renderer.rendered == [1, 2, 3, 4, 5]
    assert (await farm.batch(job.id)).state is batches.BatchState.DONE
    assert (await farm.batch(waiting.id)).state is batches.BatchState.PLANNED


@pytest.mark.parametrize(("seconds", "batches_then"), [(4.9, 4), (5.1, 1)])
async def test_a_message_of_this_moment_may_be_on_its_way_to_an_idle_worker(
    farm: MemoryFarm, seconds: float, batches_then: int
) -> None:
    """Each looks now and then, and has not seen it yet."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    render_frame, sent = farm.renderer.render, list[jobs.Job]()

    async def sent_beside(frame: int, name: str) -> ports.RenderedFrame:
        rendered = await render_frame(frame, name)
        if not sent:
            sent.append(await farm.queued_job("1", batch_size=1))
            await farm.clock.advance(seconds)
        return rendered

    farm.renderer.render = sent_beside  # type: ignore[method-assign]
    farm.batch_seconds = 38  # at the second look it is long no more
    await farm.work("w1")
    assert len(await rows_of(farm, job)) == batches_then


async def test_a_batch_that_takes_no_longer_than_it_may_is_kept(farm: MemoryFarm) -> None:
    """Four frames of ten seconds are left after the first."""
    farm.batch_seconds = 40
    assert await whole(farm, await farm.queued_job("1-5", batch_size=5, cut_for=2))


async def test_a_size_that_a_person_gave_is_kept_to(farm: MemoryFarm) -> None:
    """As is a batch of a farm with one worker, or planned by an earlier release."""
    assert await whole(farm, await farm.queued_job("1-5", batch_size=5, cut_for=0))


async def test_the_only_worker_keeps_its_batch(farm: MemoryFarm) -> None:
    """It would share with nobody."""
    assert await whole(farm, await farm.queued_job("1-5", batch_size=5, cut_for=1))


async def test_a_farm_may_never_split(farm: MemoryFarm) -> None:
    """Its engineer sets the target to nothing."""
    farm.batch_seconds = 0
    job = await farm.queued_job("1-8", batch_size=8, cut_for=1)
    changed = (await farm.job(job.id)).model_copy(update={"cut_for": 2})
    await farm.table.replace_job(changed, etag=(await farm.table.get_job(job.id)).etag)

    await farm.work("w1")
    assert farm.renderer.rendered == [1, 2, 3, 4, 5, 6, 7, 8]


Meddling = Callable[[MemoryFarm, jobs.Job], Any]


async def paused(farm: MemoryFarm, job: jobs.Job) -> None:
    """Pause the job."""
    await control.pause(farm.control(), job.id, by="ada")


async def barely_paused(farm: MemoryFarm, job: jobs.Job) -> None:
    """Begin to pause the job: the batches that are held are not marked yet."""
    standing = await farm.table.get_job(job.id)
    row = standing.row.moved(jobs.JobState.PAUSED, reason="so", now=farm.clock.now())
    await farm.table.replace_job(row, etag=standing.etag)


async def cancelled(farm: MemoryFarm, job: jobs.Job) -> None:
    """Cancel the job."""
    await control.cancel(farm.control(), job.id, by="ada")


async def made_urgent(farm: MemoryFarm, job: jobs.Job) -> None:
    """Give the job high priority."""
    await control.change_priority(farm.control(), job.id, "high", by="ada")


_CUTS_NOTHING_OFF = {
    (paused, "oldest_waiting"),
    (barely_paused, "oldest_waiting"),
    (cancelled, "oldest_waiting"),
    (paused, "split_batch"),
    (cancelled, "split_batch"),
}


async def priorities_of(farm: MemoryFarm) -> set[str]:
    """Return the priorities of all messages that can be received."""
    found: set[str] = set()
    while (delivery := await farm.queue.receive(lease=LEASE)) is not None:
        found.add(delivery.priority)
    return found


@pytest.mark.parametrize("meddle", [paused, barely_paused, cancelled, made_urgent])
@pytest.mark.parametrize("when", ["oldest_waiting", "split_batch", "send"])
async def test_what_a_person_asks_for_meanwhile_is_done(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch, meddle: Meddling, when: str
) -> None:
    """At any step of a split; and once the job goes on, every frame is rendered once."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    port: Any = farm.table if when == "split_batch" else farm.queue
    call = getattr(port, when)
    asked: list[bool] = []

    async def meddled(*given: Any, **named: Any) -> Any:
        if not asked:
            asked.append(True)
            await meddle(farm, job)
        return await call(*given, **named)

    monkeypatch.setattr(port, when, meddled)
    await farm.work("w1")
    assert asked
    if (meddle, when) in _CUTS_NOTHING_OFF:
        assert list(await rows_of(farm, job)) == [0]
        if when == "split_batch":  # the row that it wrote told it, so that it need not be renewed
            assert farm.renderer.rendered == [1]
    if (meddle, when) == (made_urgent, "oldest_waiting"):
        assert await priorities_of(farm) == {"high"}
    steered = await farm.job(job.id)
    if steered.state is jobs.JobState.PAUSED:
        await control.resume(farm.control(), job.id, by="ada")
    if steered.state is jobs.JobState.CANCELLED:
        await farm.clock.advance(LEASE.total_seconds())
        await control.retry(farm.control(), job.id, by="ada")
    await finished(farm, job)


async def finished(farm: MemoryFarm, job: jobs.Job) -> None:
    """Let others finish the job, and look whether it is whole."""
    for _ in range(3):
        await farm.clock.advance(400)
        await recover.sweep(farm.submission())
        while await farm.queue.depth():
            if (delivery := await farm.queue.receive(lease=LEASE)) is not None:
                since = farm.clock.elapsed()
                await render.attend(farm.rendering("w9"), delivery, since=since)
            await farm.clock.advance(20)

    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert farm.queue.parked == []
    rows = [one.row async for one in farm.table.batches_of(job.id)]
    # Each in exactly one batch.
    assert sorted(frame for row in rows for frame in row.frame_numbers()) == [*job.frame_numbers()]
    assert [name for name in farm.files(job.id) if name.endswith(".png")] == [
        frames.file_name("shot_####.png", frame) for frame in job.frame_numbers()
    ]


async def test_an_answer_that_got_lost_is_asked_for_again(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows were changed all the same; no frame is begun before that is known."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    split, answers = farm.table.split_batch, []

    async def lost(
        kept: batches.Batch, tails: Sequence[batches.Batch], *, etag: str
    ) -> ports.Versioned[batches.Batch]:
        written = await split(kept, tails, etag=etag)
        answers.append(written)
        raise errors.UnavailableError("cut off")

    monkeypatch.setattr(farm.table, "split_batch", lost)
    sleep = farm.clock.sleep

    async def impatient(seconds: float) -> None:
        if seconds > 1:  # a lease's renewal
            await sleep(seconds)

    monkeypatch.setattr(farm.clock, "sleep", impatient)
    await farm.work("w1")

    assert farm.renderer.rendered == [1, 2]
    assert len(answers) == 1
    assert await farm.queue.depth() == 3
    await finished(farm, job)
    assert Counter(farm.renderer.rendered) == Counter([1, 2, 3, 4, 5])


async def test_a_renewal_before_an_answer_that_got_lost_is_asked_for_brings_nothing_back(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker does not know yet that the frames are others', and writes its row."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    split, lost = farm.table.split_batch, list[object]()

    async def late(*given: Any, **named: Any) -> ports.Versioned[batches.Batch]:
        written = await split(*given, **named)
        if not lost:
            lost.append(written)
            raise errors.UnavailableError("cut off")
        return written

    sleep = farm.clock.sleep

    async def patient(seconds: float) -> None:
        await sleep(25 if seconds == 1 else seconds)  # beyond the next renewal

    monkeypatch.setattr(farm.table, "split_batch", late)
    monkeypatch.setattr(farm.clock, "sleep", patient)
    working = asyncio.create_task(farm.work("w1"))
    await until(lambda: lost)
    await farm.clock.settle()
    await farm.clock.advance(20)
    renewed = await farm.batch(job.id)
    assert (renewed.frames, renewed.lease_until) == ("1-2", at(30) + LEASE)
    await farm.clock.advance(5)

    assert await asyncio.wait_for(working, 5) is Outcome.DONE
    await finished(farm, job)
    assert Counter(farm.renderer.rendered) == Counter([1, 2, 3, 4, 5])


async def test_a_split_says_until_when_the_batch_is_held_by_now(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since its last renewal, and not since it was claimed."""
    job = await farm.queued_job("1-8", batch_size=8, cut_for=2)
    await farm.queued_job("1", batch_size=1)
    split, stood = farm.table.split_batch, []

    async def noted(*given: Any, **named: Any) -> ports.Versioned[batches.Batch]:
        written = await split(*given, **named)
        stood.append((farm.clock.now(), written.row.lease_until))
        return written

    monkeypatch.setattr(farm.table, "split_batch", noted)
    render_frame = farm.renderer.render

    async def others_fall_idle(frame: int, name: str) -> ports.RenderedFrame:
        if frame == 4:
            await farm.receive()
        return await render_frame(frame, name)

    farm.renderer.render = others_fall_idle  # type: ignore[method-assign]
    await farm.work("w1")

    assert stood == [(at(40), at(30) + LEASE)]
    await finished(farm, job)


async def test_messages_that_were_not_sent_the_sweeper_sends(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there: the worker goes on with what it kept."""
    job = await farm.queued_job("1-5", batch_size=5, cut_for=2)
    send = farm.queue.send

    async def away(*given: object, **named: object) -> None:
        raise errors.UnavailableError("the queue is away")

    monkeypatch.setattr(farm.queue, "send", away)
    assert await farm.work("w1") is Outcome.DONE
    monkeypatch.setattr(farm.queue, "send", send)
    assert await farm.queue.depth() == 0

    await finished(farm, job)
    assert Counter(farm.renderer.rendered) == Counter([1, 2, 3, 4, 5])


async def test_a_frame_that_failed_stays_with_its_batch(farm: MemoryFarm) -> None:
    """Only frames that were never begun are given away."""
    farm.renderer.failing = {2: [crash()]}
    job = await farm.queued_job("1-6", batch_size=6, cut_for=2)
    farm.batch_seconds = 30

    assert await farm.work("w1") is Outcome.RETRY
    batch = await farm.batch(job.id)
    assert (batch.frames, [one.frame for one in batch.failures]) == ("1-2", [2])
    await finished(farm, job)


async def test_a_tail_can_be_split_again(farm: MemoryFarm) -> None:
    """Every frame begins a tail once, so that its number is its own."""
    farm.batch_seconds = 160  # pieces of four frames
    job = await farm.queued_job("1-40", batch_size=40, cut_for=2)
    for _ in range(4):  # the extremes, and the others
        await farm.work("w1")
    numbers = set(await rows_of(farm, job))
    assert len(numbers) == 4 + 8
    taken, *_ = [await farm.receive() for _ in range(8)]  # those who take the others vanish

    farm.batch_seconds = 10
    await render.attend(farm.rendering("w2"), taken, since=farm.clock.elapsed())
    assert set(await rows_of(farm, job)) > numbers
    await finished(farm, job)
