"""Is a job held when it is to cost more than it may, and only then?"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from blendrop import errors
from blendrop.domain import batches, costs, jobs
from blendrop.usecases import control, render, show
from blendrop.usecases.render import Outcome
from tests.doubles.farm import MemoryFarm

ANNA = "anna"


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return a farm whose workers cost 0.01 a second."""
    return MemoryFarm(tmp_path, prices=costs.PriceTable(worker_hour=36))


def reads(farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where each read of a whole job's batches will be noted."""
    found: list[str] = []
    batches_of = farm.table.batches_of

    def noted(job_id: str, **more: object) -> object:
        if not more:
            found.append(job_id)
        return batches_of(job_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.table, "batches_of", noted)
    return found


async def test_a_job_that_is_to_cost_more_than_it_may_is_held(farm: MemoryFarm) -> None:
    """At the end of the batch that shows it, which is whole; the reason names both figures."""
    job = await farm.queued_job("1-40", max_cost=5)
    assert await farm.render_for(40) is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING
    assert await farm.render_for(80) is Outcome.DONE

    held = await farm.job(job.id)
    assert held.state is jobs.JobState.PAUSED
    assert held.held_at == 6
    assert held.reason == (
        "it is projected to cost 6 USD, and may cost 5 (max_cost); 1.2 are spent. Resume it with a "
        "higher max_cost, or cancel it"
    )
    events = [one async for one in farm.table.events_of(job.id)]
    assert (events[-1].kind, events[-1].by, events[-1].reason) == ("paused", "w1", held.reason)
    assert (await farm.batch(job.id, 1)).state is batches.BatchState.DONE
    assert await farm.work() is Outcome.OBSOLETE
    view = await show.job(farm.showing(), job.id)
    assert view.cost is not None
    assert (view.cost.so_far, view.cost.projected) == (1.2, 6)


async def test_the_worker_that_holds_a_job_begins_no_more_of_it(farm: MemoryFarm) -> None:
    """It does not go by the row that it remembers from a moment before."""
    job = await farm.queued_job("1-40", max_cost=0.5)
    world = farm.rendering()
    hold = farm.renderer.hold = asyncio.Event()
    outcomes = []
    for _ in range(2):
        since, delivery = farm.clock.elapsed(), await farm.receive()
        working = asyncio.create_task(render.attend(world, delivery, since=since))
        await farm.clock.settle()
        await farm.clock.advance(10)
        hold.set()
        outcomes.append((await working).outcome)

    assert outcomes == [Outcome.DONE, Outcome.OBSOLETE]
    assert (await farm.job(job.id)).state is jobs.JobState.PAUSED
    assert farm.renderer.rendered == [1, 2, 3, 4]


async def test_a_job_that_waits_already_is_not_held_once_more(farm: MemoryFarm) -> None:
    """A person paused it meanwhile, and the batch that is over ends as ever."""
    job = await farm.queued_job("1-40", max_cost=5)
    own = await farm.begin()
    await farm.clock.advance(80)
    standing = await farm.table.get_job(job.id)
    paused = standing.row.moved(jobs.JobState.PAUSED, reason="ada paused it", now=farm.clock.now())
    await farm.table.replace_job(paused, etag=standing.etag)
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()

    assert await own is Outcome.DONE
    assert (await farm.job(job.id)).reason == "ada paused it"


async def test_a_job_within_its_budget_costs_no_call(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one without a budget, however dear it is."""
    found = reads(farm, monkeypatch)
    cheap, free = await farm.queued_job("1-12", max_cost=5), await farm.queued_job("1-12")
    for _ in range(3):
        await farm.render_for(100)
    assert (await farm.job(cheap.id)).state is jobs.JobState.COMPLETED
    settled = found.count(cheap.id)
    for _ in range(3):
        await farm.render_for(10_000)

    assert (await farm.job(free.id)).state is jobs.JobState.COMPLETED
    assert settled == found.count(free.id) == 1  # whoever settles it reads the rows


async def test_one_dear_batch_among_cheap_ones_holds_nothing(farm: MemoryFarm) -> None:
    """The projection is of the whole job."""
    job = await farm.queued_job("1-40", max_cost=5)
    for seconds in (10, 10, 10, 60, 10):
        await farm.render_for(seconds)
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING


async def test_past_its_last_batch_a_job_completes(farm: MemoryFarm) -> None:
    """There is nothing to save any more."""
    job = await farm.queued_job("1-4", max_cost=0.5)
    await farm.render_for(400)
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert "paused" not in [str(one.kind) async for one in farm.table.events_of(job.id)]


async def test_other_workers_give_their_batches_back(farm: MemoryFarm) -> None:
    """After the frame in hand, as with every pause; the rest is rendered once it is resumed."""
    job = await farm.queued_job("1-12", max_cost=1)
    other = await farm.begin("w2")
    in_hand = farm.renderer.hold
    own = await farm.begin("w1")
    await farm.clock.advance(50)
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()
    assert await own is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.PAUSED
    assert (await farm.batch(job.id, 0)).pause_requested
    assert not (await farm.batch(job.id, 1)).pause_requested
    await farm.clock.advance(20)
    assert in_hand is not None
    in_hand.set()
    assert await other is Outcome.STOPPED
    assert (await farm.batch(job.id, 0)).state is batches.BatchState.QUEUED
    assert sorted(farm.renderer.rendered) == [1, 5, 6, 7, 8]

    await control.resume(farm.control(), job.id, by=ANNA, max_cost=100)
    farm.renderer.hold = None
    while await farm.queue.depth():
        await farm.work("w1")
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert (await farm.job(job.id)).settings.max_cost == 100


async def test_a_batch_is_marked_though_its_worker_writes_at_that_moment(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is looked at anew, and so is the job's that somebody else changes."""
    job = await farm.queued_job("1-12", max_cost=1)
    other = await farm.begin("w2")
    own = await farm.begin("w1")
    replace_batch, replace_job = farm.table.replace_batch, farm.table.replace_job
    overtaken: list[str] = []

    async def batch_overtaken(changed: batches.Batch, **more: Any) -> object:
        if changed.pause_requested and "batch" not in overtaken:
            overtaken.append("batch")
            standing = await farm.table.get_batch(job.id, changed.number)
            await replace_batch(standing.row, etag=standing.etag)
        return await replace_batch(changed, **more)

    async def job_overtaken(changed: jobs.Job, **more: Any) -> object:
        if changed.state is jobs.JobState.PAUSED and "job" not in overtaken:
            overtaken.append("job")
            standing = await farm.table.get_job(job.id)
            await replace_job(standing.row, etag=standing.etag)
        return await replace_job(changed, **more)

    monkeypatch.setattr(farm.table, "replace_batch", batch_overtaken)
    monkeypatch.setattr(farm.table, "replace_job", job_overtaken)
    await farm.clock.advance(50)
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()

    assert await own is Outcome.DONE
    assert overtaken == ["job", "batch"]
    assert (await farm.job(job.id)).state is jobs.JobState.PAUSED
    assert (await farm.batch(job.id, 0)).pause_requested
    other.cancel()
    await asyncio.wait({other})


async def test_a_job_that_was_held_is_not_resumed_as_it_was(farm: MemoryFarm) -> None:
    """Only with a higher limit; asking twice is asking once."""
    job = await farm.queued_job("1-40", max_cost=5)
    await farm.render_for(80)
    for too_little in (None, 4, 7.99):
        with pytest.raises(errors.ConflictError, match="projected to cost 8, and may cost"):
            await control.resume(farm.control(), job.id, by=ANNA, max_cost=too_little)
    assert (await farm.job(job.id)).state is jobs.JobState.PAUSED

    for _ in range(2):
        resumed = await control.resume(farm.control(), job.id, by=ANNA, max_cost=9)
        assert (resumed.state, resumed.held_at) == (jobs.JobState.QUEUED, None)
    with pytest.raises(errors.ConflictError, match="pause it before"):
        await control.resume(farm.control(), job.id, by=ANNA, max_cost=10)
    assert await farm.render_for(60) is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING
    await control.pause(farm.control(), job.id, by=ANNA)
    await control.resume(farm.control(), job.id, by=ANNA)
    assert (await farm.job(job.id)).settings.max_cost == 9


async def test_a_limit_that_was_raised_meanwhile_is_kept(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds a job goes by its row as it is then, and not as the batch was claimed for."""
    job = await farm.queued_job("1-40", max_cost=5)
    replace, raised = farm.table.replace_job, False

    async def overtaken(changed: jobs.Job, **more: object) -> object:
        nonlocal raised
        if changed.state is jobs.JobState.PAUSED and not raised:
            raised = True
            standing = await farm.table.get_job(job.id)
            settings = standing.row.settings.model_copy(update={"max_cost": 50.0})
            dearer = standing.row.model_copy(update={"settings": settings})
            await replace(dearer, etag=standing.etag)
        return await replace(changed, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.table, "replace_job", overtaken)
    assert await farm.render_for(80) is Outcome.DONE

    assert raised
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING


async def test_a_job_that_never_renders_a_frame_is_held_too(farm: MemoryFarm) -> None:
    """What was spent in vain is the least that it will cost."""
    job = await farm.queued_job("1-8", max_cost=0.5)
    farm.renderer.failing = {
        frame: [errors.FrameError(errors.FailureClass.CRASH, "crashed", "Look")] * 3
        for frame in range(1, 5)
    }
    assert await farm.render_for(60) is Outcome.RETRY
    held = await farm.job(job.id)
    assert (held.state, held.held_at) == (jobs.JobState.PAUSED, 0.6)
