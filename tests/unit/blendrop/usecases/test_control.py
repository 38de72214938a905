"""What happens to a job, its batches, messages and workers when a person steers it?"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from blendrop import errors, ports
from blendrop.domain import batches, events, jobs
from blendrop.usecases import control, recover, render, show, submit
from blendrop.usecases.render import Outcome
from tests.doubles.blend_file import head
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import crash

ANNA = "anna"


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


@pytest.fixture
def world(farm: MemoryFarm) -> control.Control:
    """Return what steering needs."""
    return farm.control()


async def happened(farm: MemoryFarm, job_id: str) -> list[str]:
    """Return the kinds of a job's events, in order."""
    return [one.kind.value async for one in farm.table.events_of(job_id)]


async def work_off(farm: MemoryFarm) -> list[Outcome]:
    """Let a worker attend to messages until none is left."""
    outcomes = []
    while await farm.queue.depth():
        outcomes.append(await farm.work())
        await farm.clock.advance(100)
    return outcomes


async def begun(farm: MemoryFarm, worker: str = "w1") -> "asyncio.Task[render.Attended]":
    """Let a worker begin a frame a moment later, and hold it there."""
    await farm.clock.advance(0.01)
    farm.renderer.hold = asyncio.Event()
    delivery = await farm.receive()
    working = asyncio.create_task(
        render.attend(farm.rendering(worker), delivery, since=farm.clock.elapsed())
    )
    await farm.clock.settle()
    await farm.clock.advance(0.01)
    return working


async def test_a_cancelled_job_stops_its_workers_within_a_renewal(
    farm: MemoryFarm, world: control.Control
) -> None:
    """Blender is ended, nothing more is published, and its messages come to nothing."""
    job = await farm.queued_job("1-8")
    working = await begun(farm)
    await control.cancel(world, job.id, by=ANNA)
    await farm.clock.advance(21)

    assert (await working).outcome is Outcome.LEASE_LOST
    assert farm.renderer.ended == 1
    farm.renderer.hold = None
    await farm.clock.advance(100)
    assert set(await work_off(farm)) == {Outcome.OBSOLETE}
    assert farm.files(job.id) == []
    cancelled = await farm.job(job.id)
    assert (cancelled.state, cancelled.reason) == (jobs.JobState.CANCELLED, "anna cancelled it")
    assert (await farm.batch(job.id)).state is batches.BatchState.CANCELLED
    again = await control.cancel(world, job.id, by="otto")
    assert again == cancelled
    assert await happened(farm, job.id) == ["queued", "rendering", "cancelled"]


async def test_cancelling_at_the_moment_a_message_is_looked_at_ends_no_worker(
    farm: MemoryFarm, world: control.Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both cancel the batch, and one comes second: the message is left to come back."""
    job = await farm.queued_job("1-4")
    standing = await farm.table.get_job(job.id)
    await farm.table.replace_job(
        standing.row.moved(jobs.JobState.CANCELLED, reason="asked to", now=farm.clock.now()),
        etag=standing.etag,
    )
    read = farm.table.batches_from

    async def overtaken(
        job_id: str, number: int, *, count: int
    ) -> Sequence[ports.Versioned[batches.Batch]]:
        monkeypatch.setattr(farm.table, "batches_from", read)
        found = await read(job_id, number, count=count)
        await control.cancel(world, job_id, by=ANNA)
        return found

    monkeypatch.setattr(farm.table, "batches_from", overtaken)
    assert await farm.work() is Outcome.HELD
    await farm.clock.advance(100)
    assert await farm.work() is Outcome.OBSOLETE
    assert await farm.queue.depth() == 0


@pytest.mark.parametrize("before", [0, 45], ids=["at first", "after renewals"])
async def test_a_paused_job_finishes_the_frame_in_hand_and_goes_on_later(
    farm: MemoryFarm, world: control.Control, before: float
) -> None:
    """No frame is rendered twice."""
    job = await farm.queued_job("1-8")
    working = await begun(farm)
    await farm.clock.advance(before)
    await control.pause(world, job.id, by=ANNA)
    await control.pause(world, job.id, by=ANNA)
    await farm.clock.advance(21)
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()
    farm.renderer.hold = None

    assert (await working).outcome is Outcome.STOPPED
    assert farm.renderer.rendered == [1]
    assert set(await work_off(farm)) == {Outcome.OBSOLETE}
    await recover.sweep(farm.submission())
    assert await farm.queue.depth() == 0
    assert (await farm.job(job.id)).state is jobs.JobState.PAUSED
    await control.resume(world, job.id, by=ANNA)
    await control.resume(world, job.id, by=ANNA)
    await farm.clock.advance(0.01)
    await work_off(farm)
    assert sorted(farm.renderer.rendered) == list(range(1, 9))
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    kinds = await happened(farm, job.id)
    assert kinds == [
        "queued",
        "rendering",
        "paused",
        "batch_given_back",
        "queued",
        "rendering",
        "completed",
    ]


async def test_a_retry_renders_the_failed_frames_alone(
    farm: MemoryFarm, world: control.Control
) -> None:
    """With all their attempts."""
    farm.renderer.failing = {3: [crash()] * 5}
    job = await farm.queued_job("1-8")
    await work_off(farm)
    assert (await farm.job(job.id)).state is jobs.JobState.FAILED
    farm.renderer.rendered.clear()

    await farm.clock.advance(300)
    await recover.sweep(farm.submission())
    assert await farm.table.open_jobs() == []
    await control.retry(world, job.id, by=ANNA)
    assert [one.job for one in await farm.table.open_jobs()] == [job.id]
    await control.retry(world, job.id, by=ANNA)
    await work_off(farm)
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert farm.renderer.rendered == [3, 3, 3]
    view = await show.job(farm.showing(), job.id)
    assert (view.frames_done, view.frames_failed, view.failures) == (8, "", ())
    assert view.cost is not None
    assert view.cost.so_far == round(view.used.worker_seconds / 100, 4)
    assert view.used.worker_seconds == view.worker_seconds + view.idle_seconds
    with pytest.raises(errors.ConflictError, match="no frame of it is missing"):
        await control.retry(world, job.id, by=ANNA)


async def test_a_job_of_higher_priority_is_served_first(
    farm: MemoryFarm, world: control.Control
) -> None:
    """What is left on the other queue comes to nothing; back again likewise."""
    first = await farm.queued_job("1-8")
    second = await farm.queued_job("1-8")
    await control.change_priority(world, second.id, "high", by=ANNA)
    await control.change_priority(world, second.id, "high", by=ANNA)
    await farm.work()
    await farm.work()
    assert (await farm.job(second.id)).state is jobs.JobState.COMPLETED
    assert (await farm.job(first.id)).state is jobs.JobState.QUEUED

    await control.change_priority(world, first.id, "high", by=ANNA)
    await control.change_priority(world, first.id, "normal", by=ANNA)
    assert await farm.work() is Outcome.OBSOLETE  # what is left on the first queue served
    assert len(farm.renderer.rendered) == 8
    await work_off(farm)
    assert (await farm.job(first.id)).state is jobs.JobState.COMPLETED
    assert len(farm.renderer.rendered) == 16
    with pytest.raises(errors.ConflictError, match="completed already"):
        await control.change_priority(world, first.id, "high", by=ANNA)


async def test_a_deleted_job_is_gone_and_stays_gone(
    farm: MemoryFarm, world: control.Control
) -> None:
    """Its late messages are no poison, and nothing of it is rendered."""
    job = await farm.queued_job("1-8")
    working = await begun(farm)
    with pytest.raises(errors.ConflictError, match="cancel it first"):
        await control.delete(world, job.id, by=ANNA)
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()
    await working
    await control.cancel(world, job.id, by=ANNA)
    assert len(farm.files(job.id)) == 6  # four frames, their logs and previews
    await control.delete(world, job.id, by=ANNA)
    await control.delete(world, job.id, by=ANNA)

    assert not (farm.folder / job.id).exists()
    assert set(await work_off(farm)) == {Outcome.OBSOLETE}
    assert farm.queue.parked == []
    assert farm.renderer.rendered == [1, 2, 3, 4]
    assert (await show.listed(farm.showing(), page_size=9)).jobs == ()
    for looked_for in (
        show.job(farm.showing(), job.id),
        control.cancel(world, job.id, by=ANNA),
        control.retry(world, job.id, by=ANNA),
    ):
        with pytest.raises(errors.NotFoundError, match="was deleted"):
            await looked_for


async def test_a_job_that_a_worker_may_still_hold_is_not_deleted(
    farm: MemoryFarm, world: control.Control
) -> None:
    """It might write one more frame; the answer says until when."""
    job = await farm.queued_job("1-8")
    working = await begun(farm)
    standing = await farm.table.get_job(job.id)
    failed = standing.row.moved(jobs.JobState.FAILED, reason="so", now=farm.clock.now())
    await farm.table.replace_job(failed, etag=standing.etag)
    with pytest.raises(errors.ConflictError, match="w1 may hold batch 0"):
        await control.delete(world, job.id, by=ANNA)
    working.cancel()
    await asyncio.wait({working})
    await control.delete(world, job.id, by=ANNA)
    assert not (farm.folder / job.id).exists()


@pytest.mark.parametrize("state", [jobs.JobState.COMPLETED, jobs.JobState.FAILED])
@pytest.mark.parametrize("deed", [control.cancel, control.pause, control.resume])
async def test_what_has_ended_is_not_steered(
    farm: MemoryFarm,
    world: control.Control,
    state: jobs.JobState,
    deed: Callable[..., Coroutine[Any, Any, jobs.Job]],
) -> None:
    """The answer says how it ended."""
    job = await farm.queued_job("1-4")
    standing = await farm.table.get_job(job.id)
    ended = standing.row.moved(state, reason="over", now=farm.clock.now())
    await farm.table.replace_job(ended, etag=standing.etag)
    with pytest.raises(errors.ConflictError, match=state):
        await deed(world, job.id, by=ANNA)
    assert await farm.job(job.id) == ended


async def test_the_sweeper_finishes_what_steering_left_half_done(
    farm: MemoryFarm, world: control.Control
) -> None:
    """Cut off after the job's row: cancelled batches, and messages of a resumed job."""
    cancelled = await farm.queued_job("1-8")
    resumed = await farm.queued_job("1-4")
    await control.pause(world, resumed.id, by=ANNA)
    await work_off_obsolete(farm, resumed.id)
    for job_id, state in (
        (cancelled.id, jobs.JobState.CANCELLED),
        (resumed.id, jobs.JobState.QUEUED),
    ):
        standing = await farm.table.get_job(job_id)
        moved = standing.row.moved(state, reason="asked to", now=farm.clock.now())
        await farm.table.replace_job(moved, etag=standing.etag)
    await farm.clock.advance(100)
    while (delivery := await farm.queue.receive(lease=farm.rendering().lease)) is not None:
        await farm.queue.delete(delivery)
    await farm.clock.advance(200)
    await recover.sweep(farm.submission())

    assert (await farm.batch(cancelled.id)).state is batches.BatchState.CANCELLED
    await work_off(farm)
    assert (await farm.job(resumed.id)).state is jobs.JobState.COMPLETED
    assert events.EventKind.MESSAGES_SENT_AGAIN in await happened(farm, resumed.id)


async def work_off_obsolete(farm: MemoryFarm, job_id: str) -> None:
    """Let a worker drop the messages of a paused job, and no other."""
    for _ in range(3):
        delivery = await farm.receive()
        if job_id in delivery.body:
            await render.attend(farm.rendering(), delivery, since=farm.clock.elapsed())


async def test_a_retry_of_a_job_that_was_never_planned_renders_every_frame(
    farm: MemoryFarm, world: control.Control
) -> None:
    """It was cancelled before its batches had rows: nothing of it may count as done."""
    farm.scenes.put("s.blend", head(("Scene", 1, 1000)), {})
    wanted = submit.Request(scene="s.blend", settings={}, caller=ANNA, key="1")
    job = await submit.requested(farm.submission(), wanted)
    await control.cancel(world, job.id, by=ANNA)
    await control.retry(world, job.id, by=ANNA)
    await farm.clock.advance(200)
    await recover.sweep(farm.submission())
    assert (await farm.job(job.id)).state is jobs.JobState.QUEUED
    await work_off(farm)

    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert sorted(farm.renderer.rendered) == list(range(1, 1001))


@pytest.mark.parametrize("lost", ["a row", "a cancelled batch"])
async def test_a_job_is_never_completed_without_every_batch(
    farm: MemoryFarm, world: control.Control, lost: str
) -> None:
    """One was cancelled by somebody who had read the job before it was retried, or has no row."""
    job = await farm.queued_job("1-8")
    standing = await farm.table.get_batch(job.id, 1)
    if lost == "a row":
        del farm.table._entities[job.id, "batch-000001"]
    else:
        cancelled = standing.row.released(batches.BatchState.CANCELLED)
        await farm.table.replace_batch(cancelled, etag=standing.etag)
    await farm.work()
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING
    await farm.queue.delete(await farm.receive())
    await farm.clock.advance(200)
    await recover.sweep(farm.submission())
    await work_off(farm)

    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert sorted(farm.renderer.rendered) == list(range(1, 9))


async def test_the_key_of_a_deleted_job_is_refused_with_the_reason(
    farm: MemoryFarm, world: control.Control
) -> None:
    """It would otherwise answer with a job that is not there."""
    farm.scenes.put("s.blend", head(("Scene", 1, 2)), {})
    wanted = submit.Request(scene="s.blend", settings={}, caller=ANNA, key="1")
    job = await submit.requested(farm.submission(), wanted)
    await control.cancel(world, job.id, by=ANNA)
    await control.delete(world, job.id, by=ANNA)

    with pytest.raises(errors.ConflictError, match="was deleted; ask again with another key"):
        await submit.requested(farm.submission(), wanted)
