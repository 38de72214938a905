"""Does a sweep put right what a crash left, and nothing else, however often it runs?"""

import datetime
from collections import Counter
from pathlib import Path

import pytest

from blendrop.domain import batches, jobs
from blendrop.usecases import recover
from tests.doubles.farm import LEASE, MemoryFarm

NOTHING = recover.Swept()


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


async def sweep(farm: MemoryFarm) -> recover.Swept:
    """Sweep when everything has long settled."""
    await farm.clock.advance(300)
    return await recover.sweep(farm.submission())


async def lose_messages(farm: MemoryFarm) -> None:
    """Delete everything that is on the queue."""
    while (delivery := await farm.queue.receive(lease=LEASE)) is not None:
        await farm.queue.delete(delivery)


async def test_a_healthy_farm_is_left_alone(farm: MemoryFarm) -> None:
    """Jobs that wait, jobs that render, jobs that have ended."""
    await farm.queued_job("1-4")
    await farm.queued_job("1-8")
    await farm.work()
    await farm.receive()
    assert await sweep(farm) == recover.Swept(unlisted=1)
    assert await sweep(farm) == NOTHING
    assert await farm.queue.depth() == 2


async def test_lost_messages_are_sent_again_once(farm: MemoryFarm) -> None:
    """The job says so; a second sweep finds nothing more to do."""
    job = await farm.queued_job("1-12")
    await lose_messages(farm)

    assert await sweep(farm) == recover.Swept(messages=3)
    assert await sweep(farm) == NOTHING
    told = [one.reason async for one in farm.table.events_of(job.id)]
    assert "3 messages that may have been lost were sent again" in told
    while await farm.queue.depth():
        await farm.work()
    assert Counter(farm.renderer.rendered) == Counter(range(1, 13))
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_the_message_of_a_worker_that_is_at_it_is_not_sent_again(farm: MemoryFarm) -> None:
    """It would only be turned away; but when its lease is over, it would be needed."""
    job = await farm.queued_job("1-4")
    standing = await farm.table.get_batch(job.id, 0)
    until = farm.clock.now() + datetime.timedelta(seconds=400)
    await farm.table.replace_batch(
        standing.row.claimed("w9", lease_until=until), etag=standing.etag
    )
    await lose_messages(farm)

    assert await sweep(farm) == NOTHING
    assert await sweep(farm) == recover.Swept(messages=1)


async def test_a_job_that_nobody_settled_is_settled(farm: MemoryFarm) -> None:
    """Its last worker vanished between the batch's row and the job's."""
    job = await farm.queued_job("1-4")
    standing = await farm.table.get_batch(job.id, 0)
    claimed = standing.row.claimed("w9", lease_until=farm.clock.now())
    done = claimed.model_copy(update={"frames_done": 4}).released(batches.BatchState.DONE)
    await farm.table.replace_batch(done, etag=standing.etag)
    await lose_messages(farm)

    assert await sweep(farm) == recover.Swept(settled=1)
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert await sweep(farm) == recover.Swept(unlisted=1)
    assert await sweep(farm) == NOTHING


@pytest.mark.parametrize("state", [jobs.JobState.PAUSED, jobs.JobState.CANCELLED])
async def test_what_people_stopped_stays_stopped(farm: MemoryFarm, state: jobs.JobState) -> None:
    """A paused job has no messages, and needs none."""
    job = await farm.queued_job("1-4")
    standing = await farm.table.get_job(job.id)
    moved = standing.row.moved(state, reason="asked to", now=farm.clock.now())
    await farm.table.replace_job(moved, etag=standing.etag)
    await lose_messages(farm)

    await sweep(farm)
    assert await farm.queue.depth() == 0
    assert (await farm.job(job.id)).state is state


@pytest.mark.parametrize("state", [jobs.JobState.CANCELLED, jobs.JobState.FAILED])
async def test_what_was_left_half_copied_is_removed_once_nobody_holds_a_batch(
    farm: MemoryFarm, state: jobs.JobState
) -> None:
    """A worker was killed as it published a frame of a job that had just been stopped."""
    job = await farm.queued_job("1-4", batch_size=2)
    await farm.work()
    standing = await farm.table.get_job(job.id)
    moved = standing.row.moved(state, reason="asked to", now=farm.clock.now())
    await farm.table.replace_job(moved, etag=standing.etag)
    half = farm.folder / job.id / ".part-0123"
    half.write_text("half a frame")

    await recover.sweep(farm.submission())
    assert half.exists()
    swept = await sweep(farm)
    assert not half.exists()
    assert swept.unlisted == 1
    assert len(farm.files(job.id)) == 2 + len(["logs", "previews"])


async def test_a_share_that_is_away_keeps_an_ended_job_on_the_list(farm: MemoryFarm) -> None:
    """And the sweep goes on to the other jobs."""
    ended, other = await farm.queued_job("1-4"), await farm.queued_job("1-4")
    await farm.work()
    await lose_messages(farm)
    away = farm.folder.rename(farm.folder.with_name("away"))

    assert await sweep(farm) == recover.Swept(messages=1)
    away.rename(farm.folder)
    assert [one.job for one in await farm.table.open_jobs()] == [ended.id, other.id]
    assert await sweep(farm) == recover.Swept(unlisted=1)


async def test_a_submission_in_the_making_is_left_in_peace(farm: MemoryFarm) -> None:
    """The function that makes it is probably still at it."""
    await farm.queued_job("1-4")
    await lose_messages(farm)
    assert await recover.sweep(farm.submission()) == NOTHING
