"""Does Blender render while a frame is verified and published beside it, and no further?"""

import asyncio
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import images
from blendrop.usecases.render import Outcome
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import SlowVerifier, crash
from tests.doubles.waiting import until


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


async def test_blender_renders_the_next_frame_while_one_is_verified(farm: MemoryFarm) -> None:
    """And no more than that one: the images of two frames lie on the worker's disk."""
    farm.verifier = slow = SlowVerifier()
    await farm.queued_job("1-4")
    working = asyncio.create_task(farm.work())
    await until(lambda: farm.renderer.rendered == [1, 2])
    await asyncio.sleep(0.05)

    assert (farm.renderer.rendered, slow.asked) == ([1, 2], 1)
    slow.go_on.set()
    assert await working is Outcome.DONE
    assert farm.renderer.rendered == [1, 2, 3, 4]


async def test_a_frame_that_crashes_does_not_let_blender_get_two_ahead(farm: MemoryFarm) -> None:
    """The frame before it may still be on its way, and its image must not be overwritten."""
    farm.verifier = slow = SlowVerifier()
    farm.renderer.failing[2] = [crash()]
    job = await farm.queued_job("1-3")
    working = asyncio.create_task(farm.work())
    await until(lambda: farm.renderer.rendered == [1, 2])
    await asyncio.sleep(0.05)

    assert farm.renderer.rendered == [1, 2]
    slow.go_on.set()
    assert await working is Outcome.RETRY
    assert sorted((await farm.batch(job.id)).frame_seconds) == [1, 3]


async def test_a_frame_whose_image_is_gone_is_rendered_again(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was verified may still be lost before it is on the share."""
    verify = farm.verifier.verify

    async def verified_and_lost(
        path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        flags = await verify(path, expected)
        path.unlink()
        return flags

    monkeypatch.setattr(farm.verifier, "verify", verified_and_lost)
    job = await farm.queued_job("1")

    assert await farm.work() is Outcome.RETRY
    (failure,) = (await farm.batch(job.id)).failures
    assert failure.failure_class is errors.FailureClass.WORKER_DISK


async def test_a_frame_that_is_refused_beside_the_next_counts_against_itself(
    farm: MemoryFarm,
) -> None:
    """The one that Blender has in hand by then is none the worse for it."""
    farm.verifier = slow = SlowVerifier()
    slow.doubted["1"] = errors.FrameError(errors.FailureClass.DAMAGED_IMAGE, "cut off", "Look")
    hold = farm.renderer.hold_at(2)
    job = await farm.queued_job("1-3")
    working = asyncio.create_task(farm.work())
    await until(lambda: slow.asked == 1 and farm.renderer.hold is hold)
    slow.go_on.set()
    await until((farm.folder / job.id / "logs" / "shot_0001.png.log").exists)
    await farm.clock.settle()
    hold.set()

    assert await working is Outcome.RETRY
    assert (farm.renderer.rendered, farm.renderer.ended) == ([1, 2, 3], 0)
    batch = await farm.batch(job.id)
    assert [one.frame for one in batch.failures] == [1]
    assert sorted(batch.frame_seconds) == [2, 3]


async def test_a_lease_that_ran_out_beside_a_render_ends_blender_at_once(
    farm: MemoryFarm,
) -> None:
    """What is verified too late is not published, and Blender does not go on for nothing."""
    farm.verifier = slow = SlowVerifier()
    hold = farm.renderer.hold_at(2)
    job = await farm.queued_job("1-2")
    working = asyncio.create_task(farm.work())
    await until(lambda: slow.asked == 1 and farm.renderer.hold is hold)
    farm.clock.pause(61)
    slow.go_on.set()

    assert await asyncio.wait_for(working, 5) is Outcome.LEASE_LOST
    assert (farm.renderer.rendered, farm.renderer.ended) == ([1], 1)
    assert [name for name in farm.files(job.id) if name.endswith(".png")] == []
