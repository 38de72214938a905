"""Does a worker that dies at any of its steps leave a job that another one finishes?"""

import contextlib
import datetime
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from blendrop.domain import batch_sizes, jobs
from blendrop.usecases import recover, render
from tests.doubles.clock import ManualClock
from tests.doubles.farm import LEASE, MemoryFarm
from tests.doubles.renderer import crash

_PORTS = ("jobs", "queue", "scenes", "share", "renderer", "verifier", "previews")


class KilledError(BaseException):
    """What SIGKILL is to a process: nothing of it runs any more."""


class Deadly:
    """A port at one of whose calls the worker dies, before or after it was carried out."""

    def __init__(self, port: object, calls: list[str], at: int, *, after: bool) -> None:
        self._port, self._calls, self._at, self._after = port, calls, at, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if name in {"batches_of", "last_log"}:
            return call

        async def counted(*args: object, **named: object) -> object:
            self._calls.append(name)
            dies = len(self._calls) >= self._at
            if dies and (not self._after or len(self._calls) > self._at):
                raise KilledError
            done = await call(*args, **named)
            if dies:
                raise KilledError
            return done

        return counted


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_killed_at_any_call_loses_nothing(tmp_path: Path, after: bool) -> None:
    """Of the storage, the share or Blender; two frames at most are rendered again."""
    at = calls_made = 0
    steps: set[str] = set()
    while at <= calls_made:
        at += 1
        farm = MemoryFarm(tmp_path / f"{at}")
        farm.renderer.failing = {3: [crash()]}
        job = await farm.queued_job("1-4")
        calls: list[str] = []
        for attempt in (1, 2):  # the second attempt is the one after the crash
            world = farm.rendering(f"w{attempt}")
            for port in _PORTS:
                dying = Deadly(getattr(world, port), calls, at, after=after)
                object.__setattr__(world, port, dying)
            delivery = await farm.queue.receive(lease=LEASE)
            if delivery is None:
                break
            try:
                await render.attend(world, delivery, since=farm.clock.elapsed())
            except KilledError:
                break
            await farm.clock.advance(11)
        calls_made = len(calls)
        steps.update(calls[-1:])
        await farm.clock.advance(400)
        await recover.sweep(farm.submission())
        while await farm.queue.depth():
            await farm.work("w3")
            await farm.clock.advance(20)

        where = f"killed at call {at}: {calls[-1:]}"
        assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED, where
        names = [f"shot_000{number}.png" for number in (1, 2, 3, 4)]
        assert farm.files(job.id) == ["logs", "previews", *names], where
        rendered = Counter(farm.renderer.rendered)
        # The crash, the frame in hand, and the one before it that was not published yet.
        assert rendered.total() <= 4 + 1 + 2, where
        await farm.clock.advance(400)
        await recover.sweep(farm.submission())
        assert await farm.table.open_jobs() == [], where
    assert steps >= {
        "replace_batch",
        "replace_job",
        "publish",
        "delete",
        "render",
        "verify",
        "preview",
    }


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_worker_killed_while_it_shares_its_batch_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Whatever was cut off by then is a batch of its own, and each frame in one alone."""
    monkeypatch.setattr(batch_sizes, "_ROUNDS", 0.5)  # one batch takes it all
    at = calls_made = 0
    steps: set[str] = set()
    while at <= calls_made:
        at += 1
        farm = MemoryFarm(tmp_path / f"{at}", batch_seconds=0.5)
        job = await farm.queued_job("1-4", cut_for=2)
        farm.renderer.before = lambda _, farm=farm: farm.clock.pause(1)  # type: ignore[misc]
        calls: list[str] = []
        world = farm.rendering("w1")
        for port in _PORTS:
            dying = Deadly(getattr(world, port), calls, at, after=after)
            object.__setattr__(world, port, dying)
        with contextlib.suppress(KilledError):
            await render.attend(world, await farm.receive(), since=farm.clock.elapsed())
        calls_made = len(calls)
        steps.update(calls[-1:])
        for _ in range(2):
            await farm.clock.advance(400)
            await recover.sweep(farm.submission())
            while await farm.queue.depth():
                if (delivery := await farm.queue.receive(lease=LEASE)) is not None:
                    since = farm.clock.elapsed()
                    await render.attend(farm.rendering("w3"), delivery, since=since)
                await farm.clock.advance(20)

        where = f"killed at call {at}: {calls[-1:]}"
        assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED, where
        rows = [one.row async for one in farm.table.batches_of(job.id)]
        assert sorted(one for row in rows for one in row.frame_numbers()) == [1, 2, 3, 4], where
        assert farm.queue.parked == [], where  # no message was sent before its row was there
        assert Counter(farm.renderer.rendered).total() <= 4 + 2, (
            where
        )  # the frame in hand, and the one being verified
    assert steps >= {"oldest_waiting", "get_job", "split_batch", "send"}


class Skewed(ManualClock):
    """A clock that goes with another one, and shows another time of day."""

    def __init__(self, clock: ManualClock, by: datetime.timedelta) -> None:
        super().__init__()
        self._clock, self._by = clock, by
        self.sleep = clock.sleep  # type: ignore[method-assign]
        self.elapsed = clock.elapsed  # type: ignore[method-assign]

    def now(self) -> datetime.datetime:
        """Return a time of day that is wrong."""
        return self._clock.now() + self._by


@pytest.mark.parametrize("minutes", [-600, -1, 1, 600])
async def test_a_worker_whose_clock_is_wrong_does_no_harm(tmp_path: Path, minutes: int) -> None:
    """At the worst it takes over what another is at, and a frame is rendered once more."""
    farm = MemoryFarm(tmp_path / "share")
    job = await farm.queued_job("1-8", batch_size=2)
    skewed = Skewed(farm.clock, datetime.timedelta(minutes=minutes))
    while await farm.queue.depth():
        for clock, name in ((skewed, "wrong"), (farm.clock, "right")):
            world = farm.rendering(name)
            object.__setattr__(world, "clock", clock)
            if (delivery := await farm.queue.receive(lease=LEASE)) is not None:
                await render.attend(world, delivery, since=clock.elapsed())
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert Counter(farm.renderer.rendered) == Counter(range(1, 9))
