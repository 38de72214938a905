"""Is whoever listens told what a worker does, in the order in which it does it?"""

import asyncio
from pathlib import Path
from typing import Any

from blendrop import errors
from blendrop.usecases import render
from tests.doubles.farm import MemoryFarm
from tests.doubles.listener import Listener
from tests.doubles.renderer import crash


def of_frames(heard: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return what was told of frames that are done or failed, with the number of their batch."""
    ended = [one for one in heard if one[0] in ("frame_done", "frame_failed")]
    return [(told, batch.number, *more) for told, batch, *more in ended]


def done(*numbers: int) -> list[tuple[str, int, int, float]]:
    """Return what is told of frames of the first batch that are done."""
    return [("frame_done", 0, number, 1.0) for number in numbers]


async def test_a_batch_is_told_of_frame_by_frame(tmp_path: Path) -> None:
    """Those that fail with their class."""
    listener = Listener()
    farm = MemoryFarm(tmp_path / "share", progress=listener)
    farm.renderer.failing = {2: [crash()]}
    job = await farm.queued_job("1-3")

    assert await farm.work() is render.Outcome.RETRY

    (told, batch, left), *frames = listener.heard
    assert (told, batch.job, batch.worker, left) == ("batch_begun", job.id, "w1", 3)
    assert [one for one in frames if one[0] == "frame_begun"] == [
        ("frame_begun", 1),
        ("frame_begun", 2),
        ("frame_begun", 3),
    ]
    # A frame is verified and published while the next is rendered.
    assert of_frames(frames) in (
        [failed := ("frame_failed", 0, 2, errors.FailureClass.CRASH, 0.0), *done(1, 3)],
        [*done(1), failed, *done(3)],
    )


async def test_renewals_are_told_of(tmp_path: Path) -> None:
    """While a frame takes longer than a third of the lease."""
    listener = Listener()
    farm = MemoryFarm(tmp_path / "share", progress=listener)
    farm.renderer.hold = asyncio.Event()
    await farm.queued_job("1")
    working = asyncio.create_task(farm.work())
    await farm.clock.settle()
    await farm.clock.advance(45)
    farm.renderer.hold.set()

    assert await working is render.Outcome.DONE
    assert [one for one in listener.heard if one[0].startswith("lease")] == [
        ("lease_renewed",),
        ("lease_renewed",),
    ]


async def test_a_share_that_is_away_is_told_of_until_it_is_back(tmp_path: Path) -> None:
    """So that a person sees why a worker that is busy makes no frames."""
    listener = Listener()
    farm = MemoryFarm(tmp_path / "share", progress=listener)
    await farm.queued_job("1")
    published = farm.share.publish
    answers = [errors.UnavailableError("the frame share is full")]

    async def publish(job_id: str, file: Path, name: str) -> bool:
        if answers:
            raise answers.pop()
        return await published(job_id, file, name)

    farm.share.publish = publish  # type: ignore[method-assign]
    working = asyncio.create_task(farm.work())
    async with asyncio.timeout(5):
        while not working.done():
            await asyncio.sleep(0.01)  # the share copies in a thread
            await farm.clock.advance(1)

    assert working.result() is render.Outcome.DONE
    assert [one for one in listener.heard if one[0] == "waiting"] == [
        ("waiting", "the frame share is full"),
        ("waiting", ""),
    ]
