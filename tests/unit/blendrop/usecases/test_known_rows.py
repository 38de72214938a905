"""Is what a worker remembers of rows never held against anyone?"""

import asyncio
from pathlib import Path

import pytest

from blendrop import ports
from blendrop.domain import batches, jobs
from blendrop.usecases import control, render
from blendrop.usecases.render import Outcome
from blendrop.usecases.render_frames import Rendering
from tests.doubles.farm import LEASE, MemoryFarm


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


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
