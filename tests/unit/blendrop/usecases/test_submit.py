"""Does an upload become one job, whatever is repeated or cut off?"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from blendrop import errors
from blendrop.domain import jobs
from blendrop.usecases import recover, submit
from tests.doubles.blend_file import head
from tests.doubles.farm import MemoryFarm

GOOD = head(("Scene", 1, 10))


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


async def upload(farm: MemoryFarm, content: bytes = GOOD, **metadata: str) -> jobs.Job:
    """Upload a scene, and let its trigger fire."""
    farm.scenes.put("shot.blend", content, metadata)
    job = await submit.uploaded(farm.submission(), "shot.blend")
    assert job is not None
    return job


async def drained(farm: MemoryFarm) -> Counter[int]:
    """Let a worker do all there is; return how often each frame was rendered."""
    while await farm.queue.depth():
        await farm.work()
        await farm.clock.advance(1)
    return Counter(farm.renderer.rendered)


async def test_a_scene_becomes_a_job_whose_batches_wait(farm: MemoryFarm) -> None:
    """What is not asked for, the .blend says; its first, middle and last frame go first."""
    job = await upload(farm)
    assert (job.state, job.frames, job.blender_version) == (jobs.JobState.QUEUED, "1-10", "4.2")
    standing = [one.row.frames async for one in farm.table.batches_of(job.id)]
    assert standing == ["1", "6", "10", "2-5", "7-9"]
    assert await farm.queue.depth() == job.batch_count == 5
    assert await drained(farm) == Counter(range(1, 11))
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_an_artist_sees_the_extremes_first(farm: MemoryFarm) -> None:
    """A worker renders the first, the middle and the last frame before any other."""
    await upload(farm)
    await drained(farm)
    assert farm.renderer.rendered == [1, 6, 10, 2, 3, 4, 5, 7, 8, 9]


async def test_a_size_that_a_person_gives_is_kept_to(farm: MemoryFarm) -> None:
    """All batches are of it, in the order of the frames."""
    job = await upload(farm, batch_size="3")
    standing = [one.row.frames async for one in farm.table.batches_of(job.id)]
    assert standing == ["1-3", "4-6", "7-9", "10"]
    assert job.batch_count == 4


async def test_a_repeated_trigger_ends_in_the_same_job(farm: MemoryFarm) -> None:
    """While it waits, and after it has ended."""
    job = await upload(farm)
    again = await submit.uploaded(farm.submission(), "shot.blend")
    assert again == job
    assert await farm.queue.depth() == 5
    await drained(farm)
    after = await submit.uploaded(farm.submission(), "shot.blend")
    assert after is not None
    assert after.state is jobs.JobState.COMPLETED
    assert await drained(farm) == Counter(range(1, 11))


class CutOff:
    """A port that fails at one of its calls, before or after having done it."""

    def __init__(self, port: object, calls: list[str], at: int, *, after: bool) -> None:
        self._port, self._calls, self._at, self._after = port, calls, at, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if name == "batches_of":
            return call

        async def counted(*args: object, **named: object) -> object:
            self._calls.append(name)
            fails = len(self._calls) == self._at
            if fails and not self._after:
                raise errors.UnavailableError(f"cut off before {name}")
            done = await call(*args, **named)
            if fails:
                raise errors.UnavailableError(f"cut off after {name}")
            return done

        return counted


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("mended_by", ["the trigger", "the sweeper"])
async def test_a_submission_cut_off_anywhere_is_completed(
    tmp_path: Path, after: bool, mended_by: str
) -> None:
    """At every single call of the storage: each frame is rendered, and rendered once."""
    at = calls_made = 0
    while at <= calls_made:
        at += 1
        farm = MemoryFarm(tmp_path / f"{at}")
        farm.scenes.put("shot.blend", GOOD, {})
        calls: list[str] = []
        world = farm.submission()
        for port in ("scenes", "jobs", "queue"):
            object.__setattr__(world, port, CutOff(getattr(world, port), calls, at, after=after))
        try:
            await submit.uploaded(world, "shot.blend")
        except errors.UnavailableError:
            listed = await farm.table.open_jobs()
            if mended_by == "the trigger" or not listed:
                await submit.uploaded(farm.submission(), "shot.blend")
            else:
                await farm.clock.advance(200)
                await recover.sweep(farm.submission())
        calls_made = len(calls)
        assert await drained(farm) == Counter(range(1, 11)), f"cut off {calls[-1:]}, call {at}"
        (job,), _ = await farm.table.list_jobs(page_size=9)
        assert job.state is jobs.JobState.COMPLETED, f"cut off {calls[-1:]}, call {at}"
        await farm.clock.advance(400)
        await recover.sweep(farm.submission())
        assert await farm.table.open_jobs() == []
    assert at > 6


@pytest.mark.parametrize(
    ("content", "metadata", "words"),
    [
        (b"", {}, ["empty"]),
        (GOOD[:30], {}, ["cut off", "Upload it again"]),
        (head(("Scene", 1, 2), version="5.1", large=True), {}, ["5.1", "newest Blender here"]),
        (head(("Scene", 1, 999_999)), {}, ["20000"]),
        (GOOD, {"frames": "1-"}, ["frames '1-'"]),
        (GOOD, {"scene": "Other"}, ["frame range of scene 'Other'"]),
        (
            b"text",
            {"samples": "0", "frmaes": "1"},
            ["samples", "Did you mean frames", "Blender sa"],
        ),
    ],
)
async def test_what_cannot_be_rendered_is_a_failed_job_with_every_problem(
    farm: MemoryFarm, content: bytes, metadata: dict[str, str], words: list[str]
) -> None:
    """And no message that would start a worker."""
    job = await upload(farm, content, **metadata)
    assert job.state is jobs.JobState.FAILED
    for word in words:
        assert word in job.reason
    assert await farm.queue.depth() == 0
    assert await farm.table.open_jobs() == []


async def test_a_name_that_is_too_long_is_refused_without_a_read(farm: MemoryFarm) -> None:
    """Its job's reason is short enough to be read."""
    name = "x" * 600 + ".blend"
    farm.scenes.put(name, GOOD, {})
    job = await submit.uploaded(farm.submission(), name)
    assert job is not None
    assert job.state is jobs.JobState.FAILED
    assert "606 characters" in job.reason
    assert len(job.reason) < 500


@pytest.mark.parametrize("name", ["wood.png", "shot.blend1", "shot.blend.txt", "blend"])
async def test_other_files_are_left_alone(farm: MemoryFarm, name: str) -> None:
    """Not even read."""
    assert await submit.uploaded(farm.submission(), name) is None


async def test_a_scene_deleted_before_its_trigger_makes_no_job(farm: MemoryFarm) -> None:
    """There is nothing to render, and nobody to tell."""
    assert await submit.uploaded(farm.submission(), "gone.blend") is None


async def test_settings_of_the_upload_are_laid_over_the_scene(farm: MemoryFarm) -> None:
    """Frames, and how many of them a batch has."""
    job = await upload(farm, frames="20-1x5", batch_size="1", engine="cycles")
    assert (job.frames, job.batch_count, job.settings.engine) == ("5-20x5", 4, "CYCLES")


@pytest.mark.parametrize(
    "name", ["Küche 100%.blend", "a/b/../c d.BLEND", "日本.blend", ".blend", "-'\"<>.blend"]
)
async def test_every_name_gives_a_safe_id(farm: MemoryFarm, name: str) -> None:
    """It is a folder's name and a table's key."""
    farm.scenes.put(name, GOOD, {})
    job = await submit.uploaded(farm.submission(), name)
    assert job is not None
    assert job.state is jobs.JobState.QUEUED
    assert set(job.id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    await drained(farm)
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
