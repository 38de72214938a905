"""Is what an earlier job of the same scene and settings has not rendered again?"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from blendrop import errors
from blendrop.domain import images, job_settings, jobs
from blendrop.usecases import control, show
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import REPORT, crash


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return a farm whose scenes all have the same bytes, whatever their names and versions."""
    return MemoryFarm(tmp_path / "share", scene_content="the same")


async def rendered(
    farm: MemoryFarm, text: str, *, then: jobs.JobState = jobs.JobState.COMPLETED, **asked: Any
) -> tuple[jobs.Job, list[int]]:
    """Let a job be done; return it, and the frames that were rendered for it."""
    settings = job_settings.JobSettings.model_validate(asked)
    job = await farm.queued_job(text, batch_size=3, settings=settings)
    before = len(farm.renderer.rendered)
    while await farm.queue.depth():
        await farm.work()
        await farm.clock.advance(100)
    ended = await farm.job(job.id)
    assert ended.state is then
    return ended, farm.renderer.rendered[before:]


async def test_the_same_scene_and_settings_render_nothing_again(farm: MemoryFarm) -> None:
    """Every frame is there all the same, and the job says how many came from where."""
    first, frames = await rendered(farm, "1-4")
    assert (frames, first.taken_from) == ([1, 2, 3, 4], "")

    again, frames = await rendered(farm, "1-4", priority="high", batch_size=2)
    assert frames == []
    assert farm.files(again.id) == [
        "logs",
        "previews",
        *(f"shot_000{one}.png" for one in (1, 2, 3, 4)),
    ]
    view = await show.job(farm.showing(), again.id)
    assert (view.job.taken_from, view.frames_taken_over, view.frames_done) == (first.id, 4, 4)
    assert view.job.reason.endswith(f"4 of them were taken over, from job {first.id}")
    reasons = [one.reason async for one in farm.table.events_of(again.id)]
    assert any(first.id in reason for reason in reasons)


async def test_a_changed_range_renders_only_what_is_new(farm: MemoryFarm) -> None:
    """Also over several jobs, the last of which has not all of it, and after one was deleted."""
    oldest, _ = await rendered(farm, "1-4")
    middle, frames = await rendered(farm, "3-6")
    assert frames == [5, 6]
    assert (await show.job(farm.showing(), middle.id)).frames_taken_over == 2

    newest, frames = await rendered(farm, "1-8")
    assert frames == [7, 8]
    await control.delete(farm.control(), middle.id, by="ada")
    _, frames = await rendered(farm, "2-9")
    assert frames == [9]
    assert {oldest.id, newest.id} <= {path.name for path in farm.folder.iterdir()}


async def test_force_renders_all(farm: MemoryFarm) -> None:
    """And what it rendered is what is taken over from then on."""
    await rendered(farm, "1-3")

    forced, frames = await rendered(farm, "1-2", force=True)
    assert (frames, forced.taken_from) == ([1, 2], "")
    again, frames = await rendered(farm, "1-3")
    assert (frames, again.taken_from) == ([3], forced.id)


@pytest.mark.parametrize(
    "asked",
    [{"samples": 3}, {"camera": "Other"}, {"resolution_percent": 50}, {"engine": "WORKBENCH"}],
)
async def test_other_settings_render_other_frames(farm: MemoryFarm, asked: dict[str, Any]) -> None:
    """Whatever changes pixels."""
    await rendered(farm, "1-2")
    _, frames = await rendered(farm, "1-2", **asked)
    assert frames == [1, 2]


async def test_other_bytes_render_other_frames(farm: MemoryFarm) -> None:
    """Under the same name."""
    await rendered(farm, "1-2")
    farm.scene_content = "others"
    _, frames = await rendered(farm, "1-2")
    assert frames == [1, 2]


async def test_another_blender_renders_other_frames(farm: MemoryFarm) -> None:
    """The one that renders counts, to its last digit, and not the one that saved the scene."""
    await rendered(farm, "1-2")
    farm.renderer.report = dataclasses.replace(REPORT, blender_version="5.0.2")
    _, frames = await rendered(farm, "1-2")
    assert frames == [1, 2]


async def test_frames_are_named_as_their_own_job_names_them(farm: MemoryFarm) -> None:
    """A scene may be called otherwise by now, and its frames after it."""
    await rendered(farm, "1-2")
    farm.renderer.report = dataclasses.replace(REPORT, frame_pattern="take_##.png")
    again, frames = await rendered(farm, "1-3")
    assert frames == [3]
    names = ["take_01.png", "take_02.png", "take_03.png"]
    assert farm.files(again.id) == ["logs", "previews", *names]
    for beside in ("logs/{}.log", "previews/{}.jpg"):
        assert all((farm.folder / again.id / beside.format(name)).exists() for name in names)


async def test_a_suspicious_frame_stays_one(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at anew, and flagged as it was before."""
    black = frozenset({images.FrameFlag.ONE_COLOR})

    async def doubtful(*_: object) -> frozenset[images.FrameFlag]:
        return black

    monkeypatch.setattr(farm.verifier, "verify", doubtful)
    await rendered(farm, "1")
    again, frames = await rendered(farm, "1")
    assert frames == []
    assert [one.frame for one in (await farm.batch(again.id)).flagged] == [1]


async def test_what_failed_or_is_damaged_is_rendered(farm: MemoryFarm) -> None:
    """Only a file that stands and is whole counts."""
    farm.renderer.failing = {2: [crash() for _ in range(3)]}
    first, _ = await rendered(farm, "1-3", then=jobs.JobState.FAILED)
    damaged = errors.FrameError(errors.FailureClass.DAMAGED_IMAGE, "cut off", "Render it again")
    (farm.folder / first.id / "shot_0003.png").write_text("damaged")
    farm.verifier.doubted = {"damaged": damaged}

    _, frames = await rendered(farm, "1-3")
    assert frames == [2, 3]


async def test_a_job_with_extra_outputs_is_rendered_anew(farm: MemoryFarm) -> None:
    """Nobody knows which of those belong to which frame."""
    first, _ = await rendered(farm, "1-2")
    (farm.folder / first.id / "extra").mkdir()
    _, frames = await rendered(farm, "1-2")
    assert frames == [1, 2]
