"""What does the sweeper do each minute?"""

import datetime
import inspect
import types
from pathlib import Path

import pytest

from blendrop import ports
from blendrop.adapters.memory_rate_counters import MemoryRateCounters
from functions import sweeper, world
from local.function_host import invocation
from tests.doubles.farm import MemoryFarm
from tests.doubles.workers import a_worker


async def swept(
    farm: MemoryFarm, counters: MemoryRateCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the timer go off."""
    monkeypatch.setattr(world, "submission", farm.submission)
    monkeypatch.setattr(world, "watching", farm.watching)
    monkeypatch.setattr(world, "clock", lambda: farm.clock)
    monkeypatch.setattr(world, "rate_counters", lambda: counters)
    monkeypatch.setattr(world, "spans", ports.Spans)
    monkeypatch.setattr(world, "settings", lambda: types.SimpleNamespace(insights=""))

    await inspect.unwrap(sweeper.sweep._function.get_user_function())(
        timer=None, context=invocation.Context(function_name="sweep")
    )


async def test_old_rate_counters_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before their window has ended on every clock."""
    farm, counters = MemoryFarm(tmp_path / "frames"), MemoryRateCounters()
    now = farm.clock.now()
    lately = now - datetime.timedelta(minutes=4)
    await counters.add("ann", 1, ends=now - datetime.timedelta(minutes=6))
    await counters.add("ann", 1, ends=lately)
    await swept(farm, counters, monkeypatch)

    assert await counters.add("ann", 1, ends=lately) == 2
    assert await counters.forget(before=now + datetime.timedelta(days=1)) == 1


async def test_workers_that_are_long_dead_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for them any more."""
    farm = MemoryFarm(tmp_path / "frames")
    await farm.workers.put(a_worker("old"))
    await farm.clock.advance(25 * 3600)
    await farm.workers.put(a_worker("new", heard=farm.clock.now()))
    await swept(farm, MemoryRateCounters(), monkeypatch)

    assert [one.name for one in await farm.workers.all_workers()] == ["new"]
