"""What is seen of a farm as a whole?"""

import datetime
from pathlib import Path

import pytest

from blendrop.domain import jobs, usage, workers
from blendrop.usecases import farm as usecase
from tests.doubles.farm import MemoryFarm
from tests.doubles.workers import a_worker, at_work

DAY = 86_400


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


async def test_live_workers_come_first_and_dead_ones_say_why(farm: MemoryFarm) -> None:
    """The one that was heard from last before the others."""
    now = farm.clock.now() + datetime.timedelta(seconds=600)
    await farm.workers.put(at_work("w3"))
    await farm.workers.put(
        a_worker("w4", state=workers.WorkerState.LEFT, left_because="asked to stop", heard=now)
    )
    await farm.workers.put(a_worker("w2", heard=now))
    await farm.workers.put(a_worker("w1", heard=now))
    await farm.clock.advance(600)

    shown = (await usecase.show_workers(farm.watching())).workers

    assert [(one.name, one.live, one.why_dead) for one in shown] == [
        ("w1", True, ""),
        ("w2", True, ""),
        ("w4", False, "left: asked to stop"),
        (
            "w3",
            False,
            "last heard from 10 minutes ago while it rendered batch 7 of job shot-00000000000a",
        ),
    ]


async def test_not_every_dead_worker_is_shown(farm: MemoryFarm) -> None:
    """A farm of jobs leaves hundreds a day; all live ones are shown."""
    for number in range(150):
        await farm.workers.put(a_worker(f"live-{number}", heartbeat_seconds=600))
        await farm.workers.put(a_worker(f"dead-{number}"))
    await farm.clock.advance(300)

    shown = (await usecase.show_workers(farm.watching())).workers

    assert sum(one.live for one in shown) == 150
    assert sum(not one.live for one in shown) == 100


async def test_the_farm_is_summed_up(farm: MemoryFarm) -> None:
    """What waits, who works, what lies where people look."""
    await farm.queued_job("1-12")
    await farm.queue.park(await farm.receive(), reason="nobody can read it")
    await farm.clock.advance(40)
    await farm.workers.put(a_worker("w1"))

    view = await usecase.show_farm(farm.watching())

    assert view == usecase.FarmView(
        queue_depth=2,
        oldest_waiting_seconds=40,
        workers_live=1,
        workers_busy=0,
        poison_messages=1,
        open_jobs=1,
        why_nothing_renders="a worker is about to take a batch: 2 batches wait, the oldest for "
        "40 s",
    )
    await farm.workers.put(at_work("w1"))
    busy = await usecase.show_farm(farm.watching())
    assert (busy.workers_busy, busy.why_nothing_renders) == (1, "")


async def test_an_empty_farm_says_that_nothing_waits(farm: MemoryFarm) -> None:
    """A job that has ended is none that is open."""
    job = await farm.queued_job("1")
    await farm.work()
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED

    view = await usecase.show_farm(farm.watching())

    assert (view.open_jobs, view.oldest_waiting_seconds) == (0, None)
    assert view.why_nothing_renders == "nothing waits"


async def test_workers_are_forgotten_after_a_day(farm: MemoryFarm) -> None:
    """And not before; a live one never."""
    await farm.workers.put(a_worker("old"))
    await farm.clock.advance(DAY)
    assert await usecase.forget_dead_workers(farm.watching()) == 0
    await farm.workers.put(a_worker("new", heard=farm.clock.now()))
    await farm.clock.advance(1)

    assert await usecase.forget_dead_workers(farm.watching()) == 1
    assert [one.name for one in await farm.workers.all_workers()] == ["new"]


async def test_the_farm_is_told_in_numbers(farm: MemoryFarm) -> None:
    """Every state is there, also where nothing is in it, so that a curve has no gaps."""
    await farm.queued_job("1-12")
    await farm.queue.park(await farm.receive(), reason="nobody can read it")
    await farm.clock.advance(40)
    await farm.workers.put(at_work("w1", heard=farm.clock.now(), waits_for="the share is full"))
    await farm.workers.put(a_worker("w2", heard=farm.clock.now()))
    await farm.workers.put(
        a_worker(
            "w3",
            heard=farm.clock.now(),
            state=workers.WorkerState.STANDBY,
            waits_for="w1 needs the cores of this machine",  # which nobody must be woken for
        )
    )

    numbers = await usecase.measure(farm.watching())

    assert [one.messages for one in numbers.queues] == [2, 1]
    assert numbers.oldest_waiting_seconds == 40
    assert numbers.open_jobs == {
        "submitted": 0,
        "queued": 1,
        "rendering": 0,
        "paused": 0,
        "unread": 0,
    }
    assert numbers.workers == {
        "starting": 0,
        "idle": 1,
        "standby": 1,
        "rendering": 1,
        "leaving": 0,
    }
    assert (numbers.workers_waiting, numbers.workers_lost, numbers.workers_unfit) == (1, 0, 0)
    assert numbers.machine == usage.Machine(cpus=2, memory_gib=4)
    assert numbers.jobs_failed == 0


async def test_what_went_wrong_is_counted_for_an_hour(farm: MemoryFarm) -> None:
    """A worker that leaves in order is no trouble, and an alarm ends by itself."""
    left = workers.WorkerState.LEFT
    await farm.workers.put(at_work("lost"))
    await farm.workers.put(a_worker("unfit", state=left, left_because="crash", unfit=True))
    await farm.workers.put(a_worker("stopped", state=left, left_because="asked to stop"))
    job = await farm.queued_job("1")
    standing = await farm.table.get_job(job.id)
    failed = standing.row.moved(jobs.JobState.FAILED, reason="no camera", now=farm.clock.now())
    await farm.table.replace_job(failed, etag=standing.etag)

    async def counted() -> tuple[int, int, int]:
        numbers = await usecase.measure(farm.watching())
        return numbers.workers_lost, numbers.workers_unfit, numbers.jobs_failed

    await farm.clock.advance(600)
    assert await counted() == (1, 1, 1)
    await farm.clock.advance(3600)
    assert await counted() == (0, 0, 0)
