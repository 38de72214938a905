"""Is every second of a worker some batch's or nobody's, and none counted twice?"""

import datetime
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import batches, jobs
from blendrop.usecases.ledger import Ledger
from blendrop.usecases.render import Outcome
from tests.doubles.farm import MACHINE, MemoryFarm


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path)


async def rendered(farm: MemoryFarm, seconds: float) -> None:
    """Let a worker render the next batch, which takes so long."""
    assert await farm.render_for(seconds) is Outcome.DONE


def times(batch: batches.Batch) -> tuple[float, float]:
    """Return for how long a batch was held, and how long workers started or waited for it."""
    assert batch.used.worker_seconds == pytest.approx(batch.worker_seconds + batch.idle_seconds)
    assert batch.used.vcpu_seconds == pytest.approx(4 * batch.used.worker_seconds)
    assert batch.used.gib_seconds == pytest.approx(8 * batch.used.worker_seconds)
    return batch.worker_seconds, batch.idle_seconds


async def test_a_workers_life_is_what_its_jobs_are_charged_with(farm: MemoryFarm) -> None:
    """Start-up and waiting included: to the second, from its start to its end."""
    first, second = await farm.queued_job("1-2"), await farm.queued_job("3")
    ledger = farm.rendering().ledger
    began = farm.clock.elapsed()
    await farm.clock.advance(400)  # a start that takes longer than any wait that is charged
    ledger.warm()
    await farm.clock.advance(5)
    await rendered(farm, 50)
    await farm.clock.advance(7)
    await rendered(farm, 30)
    await farm.clock.advance(60)
    await ledger.leave(farm.table)

    assert times(await farm.batch(first.id)) == (50, 405)
    assert times(await farm.batch(second.id)) == (30, 67)
    life = farm.clock.elapsed() - began
    assert ledger.charged_seconds == life == 50 + 405 + 30 + 67


async def test_waiting_for_longer_than_a_worker_is_kept_is_nobodys(farm: MemoryFarm) -> None:
    """Before a batch and after the last one; that a farm keeps workers warm is its own affair."""
    job = await farm.queued_job("1-2")
    ledger = farm.rendering().ledger
    ledger.warm()
    await farm.clock.advance(1000)
    await rendered(farm, 50)
    await farm.clock.advance(2000)
    await ledger.leave(farm.table)

    assert times(await farm.batch(job.id)) == (50, 600)
    assert farm.clock.elapsed() - ledger.charged_seconds == 1000 + 2000 - 600


async def test_a_worker_without_a_batch_is_nobodys(farm: MemoryFarm) -> None:
    """There is no row that its time could be written on."""
    ledger = farm.rendering().ledger
    await farm.clock.advance(100)
    await ledger.leave(farm.table)

    assert ledger.charged_seconds == 0


async def test_what_could_not_be_written_is_charged_later(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal without an answer takes nothing away."""
    job = await farm.queued_job("1-2")
    replace, failing = farm.table.replace_batch, True

    async def sometimes(*arguments: object, **more: object) -> object:
        if failing and farm.renderer.rendered == [] and farm.clock.elapsed() > 10:
            raise errors.UnavailableError("the storage is away")
        return await replace(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(farm.table, "replace_batch", sometimes)
    working = await farm.begin()
    await farm.clock.advance(45)
    failing = False
    assert farm.renderer.hold is not None
    farm.renderer.hold.set()

    assert await working is Outcome.DONE
    assert times(await farm.batch(job.id)) == (45, 0)


async def test_batches_that_overlap_share_the_time(farm: MemoryFarm) -> None:
    """The next one is claimed while the last one is still written down: nothing counts twice."""
    one, other = (batches.Batch(job="j", number=number, frames="1") for number in range(2))
    ledger = Ledger(MACHINE, farm.clock)
    began = farm.clock.elapsed()
    ledger.before(one, until=began)
    await farm.clock.advance(40)
    received = farm.clock.elapsed()
    await farm.clock.advance(3)
    early = ledger.before(other, until=received)
    last_of_one = ledger.held()
    ledger.let_go(one)
    await farm.clock.advance(20)
    of_other = ledger.held()

    assert early.used.worker_seconds == 0
    assert (last_of_one.used.worker_seconds, of_other.used.worker_seconds) == (43, 20)
    assert ledger.charged_seconds == 63


async def test_calls_are_charged_with_the_time_that_they_were_made_in(farm: MemoryFarm) -> None:
    """In the classes that they are billed in; of a long wait, as much as of its seconds."""
    batch = batches.Batch(job="j", number=0, frames="1")
    ledger = Ledger(MACHINE, farm.clock)
    for _ in range(200):
        ledger.called("queue", "Get Messages", 200)
    await farm.clock.advance(600)
    before = ledger.before(batch, until=farm.clock.elapsed())
    ledger.called("table", "Entity Group Transaction", 202)
    ledger.called("blob", "Get Blob", 0)
    ledger.called("blob", "Delete Blob", 202)
    lost = ledger.held()
    ledger.put_back(lost)
    ledger.called("queue", "Update Message", 204)

    assert before.used.transactions == {"queue_class_2": 100}
    assert lost.used.transactions == {"blob_read": 1, "table_batch_write": 1}
    assert ledger.since_last().transactions == ledger.held().used.transactions
    assert ledger.held().used.transactions == {}


async def test_the_last_wait_is_not_written_over_another_worker(farm: MemoryFarm) -> None:
    """Whose row it is by then; nor on one that is gone."""
    job = await farm.queued_job("1-2")
    await rendered(farm, 10)
    ledger = farm.rendering().ledger
    charged = ledger.charged_seconds
    standing = await farm.table.get_batch(job.id, 0)
    until = farm.clock.now() + datetime.timedelta(seconds=60)
    again = standing.row.model_copy(update={"state": batches.BatchState.QUEUED})
    await farm.table.replace_batch(again.claimed("w2", lease_until=until), etag=standing.etag)
    await farm.clock.advance(10)
    await ledger.leave(farm.table)
    assert (await farm.batch(job.id)).idle_seconds == 0

    await farm.table.remove_job(await farm.job(job.id))
    await ledger.leave(farm.table)
    assert ledger.charged_seconds == charged
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
