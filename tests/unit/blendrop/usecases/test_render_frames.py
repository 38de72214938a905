"""What becomes of the frames of a batch, and of a scene that cannot be rendered?"""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.domain import jobs
from blendrop.usecases import render
from blendrop.usecases.render import Outcome
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import REPORT, crash
from tests.doubles.waiting import until


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path)


async def test_a_scene_that_cannot_be_rendered_fails_the_job_at_once(farm: MemoryFarm) -> None:
    """The reason is on the job, and no other batch is tried."""
    farm.renderer.report = errors.SceneError(
        errors.FailureClass.SETTING_REFUSED, "there is no camera 'B'", "Name one of: A"
    )
    job = await farm.queued_job("1-4", batch_size=2)

    assert await farm.work() is Outcome.JOB_FAILED
    failed = await farm.job(job.id)
    assert (failed.state, failed.reason) == (
        jobs.JobState.FAILED,
        "there is no camera 'B'. Name one of: A.",
    )
    assert await farm.work() is Outcome.OBSOLETE
    assert await farm.queue.depth() == 0


@pytest.mark.parametrize(
    ("allowed", "expected"), [(False, Outcome.JOB_FAILED), (True, Outcome.DONE)]
)
async def test_missing_files_fail_the_job_unless_it_allows_them(
    farm: MemoryFarm, allowed: bool, expected: Outcome
) -> None:
    """No frame is rendered with a texture missing, unless a person said so."""
    farm.renderer.report = ports.SceneReport(
        blender_version="5.0.1",
        image=REPORT.image,
        frame_pattern=REPORT.frame_pattern,
        missing_files=("image wood: //wood.png",),
    )
    job = await farm.queued_job("1")
    standing = await farm.table.get_job(job.id)
    settings = job.settings.model_copy(update={"allow_missing_files": allowed})
    await farm.table.replace_job(
        standing.row.model_copy(update={"settings": settings}), etag=standing.etag
    )

    assert await farm.work() is expected
    assert ("wood.png" in (await farm.job(job.id)).reason) is not allowed


@pytest.mark.parametrize(
    ("allowed", "expected"), [(False, Outcome.JOB_FAILED), (True, Outcome.DONE)]
)
async def test_python_that_frames_need_fails_the_job_unless_it_allows_that(
    farm: MemoryFarm, allowed: bool, expected: Outcome
) -> None:
    """A driver that does not run leaves no trace in a frame but a wrong value."""
    farm.renderer.report = ports.SceneReport(
        blender_version="5.0.1",
        image=REPORT.image,
        frame_pattern=REPORT.frame_pattern,
        skipped_python=("driver of Wheel rotation: turned(frame)",),
    )
    job = await farm.queued_job("1")
    standing = await farm.table.get_job(job.id)
    settings = job.settings.model_copy(update={"allow_skipped_python": allowed})
    await farm.table.replace_job(
        standing.row.model_copy(update={"settings": settings}), etag=standing.etag
    )

    assert await farm.work() is expected
    assert ("driver of Wheel" in (await farm.job(job.id)).reason) is not allowed


async def test_a_full_share_is_waited_for_with_the_reason_on_the_row(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is kept, the reason shown, and the frame is published when there is room."""
    job = await farm.queued_job("1")
    publish, full, tries = farm.share.publish, [True], []

    async def refused(job_id: str, unfinished: Path, name: str) -> bool:
        tries.append(farm.clock.elapsed())
        if full:
            raise errors.UnavailableError("the share is full")
        return await publish(job_id, unfinished, name)

    monkeypatch.setattr(farm.share, "publish", refused)
    working = asyncio.create_task(farm.work())
    await until(lambda: tries)
    await farm.clock.advance(100)
    assert tries == [0, 1, 3, 7, 15, 31, 61, 91]

    assert (await farm.batch(job.id)).reason == "the share is full"
    full.clear()
    await farm.clock.advance(30)
    await asyncio.sleep(0.05)
    assert await working is Outcome.DONE
    assert (await farm.batch(job.id)).reason == ""


async def test_images_larger_than_the_farm_renders_are_refused(farm: MemoryFarm) -> None:
    """Before the first frame, with both numbers and what to do."""
    job = await farm.queued_job("1")
    large = REPORT.image.model_copy(update={"width": 2000, "height": 1000})
    farm.renderer.report = dataclasses.replace(REPORT, image=large)

    assert await farm.work() is Outcome.JOB_FAILED
    reason = (await farm.job(job.id)).reason
    assert "2000 × 1000" in reason
    assert "BLENDROP_IMAGE_PIXELS" in reason


@pytest.mark.parametrize("gone", [errors.ConflictError("replaced"), errors.NotFoundError("gone")])
async def test_a_scene_that_was_replaced_fails_the_job(
    farm: MemoryFarm, gone: errors.BlendropError
) -> None:
    """Frames of two versions of a scene must not stand side by side."""
    job = await farm.queued_job("1")
    farm.scene_missing = gone

    assert await farm.work() is Outcome.JOB_FAILED
    reason = (await farm.job(job.id)).reason
    assert "was replaced or deleted" in reason
    assert "Upload it again" in reason
    assert await farm.queue.depth() == 0


async def test_an_image_that_is_refused_never_gets_its_name(farm: MemoryFarm) -> None:
    """Blender said that all was well; the look at the image decides."""
    job = await farm.queued_job("1-2")
    damaged = errors.FrameError(errors.FailureClass.DAMAGED_IMAGE, "cut off", "Look")
    farm.verifier.doubted["1"] = damaged

    assert await farm.work() is Outcome.RETRY
    assert farm.files(job.id) == ["logs", "previews", "shot_0002.png"]
    (failure,) = (await farm.batch(job.id)).failures
    assert (failure.frame, failure.failure_class) == (1, errors.FailureClass.DAMAGED_IMAGE)


async def test_a_preview_that_fails_fails_no_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a share that is full by then: a preview is for looking only."""
    farm = MemoryFarm(tmp_path / "frames")
    job = await farm.queued_job("1-2", batch_size=2)
    world = farm.rendering()
    monkeypatch.setattr(world.previews, "failing", crash())
    since = farm.clock.elapsed()
    attended = await render.attend(world, await farm.receive(), since=since)

    assert attended.outcome is render.Outcome.DONE
    assert farm.files(job.id) == ["logs", "shot_0001.png", "shot_0002.png"]
    assert (await farm.batch(job.id)).failures == ()


async def test_a_preview_is_kept_after_its_frame_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below `previews`, called as the frame; one that is missing tells nothing of its frame."""
    farm = MemoryFarm(tmp_path / "frames")
    job = await farm.queued_job("1", batch_size=1)
    standing: list[list[str]] = []
    keep = farm.share.keep

    async def watched(job_id: str, file: Path, name: str) -> None:
        standing.append(farm.files(job_id))
        await keep(job_id, file, name)

    monkeypatch.setattr(farm.share, "keep", watched)
    await farm.work()

    assert standing == [["logs", "shot_0001.png"]]
    small = tmp_path / "frames" / job.id / "previews" / "shot_0001.png.jpg"
    assert small.read_text() == "preview of 1"


async def test_a_share_that_is_away_costs_the_preview_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame stands; waiting for its picture would keep the next frame from being rendered."""
    farm = MemoryFarm(tmp_path / "frames")
    job = await farm.queued_job("1-2", batch_size=2)

    async def away(job_id: str, file: Path, name: str) -> None:
        raise errors.UnavailableError("the frame share is full")

    monkeypatch.setattr(farm.share, "keep", away)
    assert await farm.work() is render.Outcome.DONE
    assert farm.files(job.id) == ["logs", "shot_0001.png", "shot_0002.png"]
