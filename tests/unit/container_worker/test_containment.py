"""Does nothing of a scene run or write by itself, and does the job say what was left out?"""

from collections.abc import Callable
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain.job_settings import JobSettings
from container_worker.blender_renderer import BlenderRenderer

Scenes = Callable[[str], Path]
ESCAPED = Path("/tmp/blendrop-escaped")


@pytest.mark.parametrize(
    ("kind", "skipped"),
    [
        ("script", ("driver of Cube location: __import__", "registered text 'startup.py'")),
        ("freestyle", ("Freestyle style module 'style.py' of 'ViewLayer'",)),
    ],
)
async def test_no_python_of_a_scene_ever_runs(
    renderer: BlenderRenderer, scene: Scenes, tmp_path: Path, kind: str, skipped: tuple[str, ...]
) -> None:
    """It is reported before the first frame, and does not run where the job allows that either."""
    asked = JobSettings(allow_skipped_python=True)
    report = await renderer.open_scene(scene(kind), asked, version="5.0")
    for frame in (1, 2):
        await renderer.render(frame, f"{frame}.png")

    assert len(report.skipped_python) == len(skipped)
    for one, start in zip(report.skipped_python, skipped, strict=True):
        assert one.startswith(start)
    assert not list((tmp_path / "blender").rglob("script-ran"))
    assert not (Path.home() / "script-ran").exists()


async def test_a_driver_that_only_the_render_meets_fails_the_job(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Blender would render it with a value of zero, and say so nowhere but in its log."""
    report = await renderer.open_scene(scene("render_driver"), JobSettings(), version="5.0")
    assert report.skipped_python == ()
    with pytest.raises(errors.SceneError, match="driver of Cube scale") as refused:
        await renderer.render(1, "1.png")
    assert refused.value.failure_class is errors.FailureClass.NEEDS_PYTHON
    assert "allow_skipped_python" in refused.value.remedy


async def test_what_needs_no_python_is_not_complained_of(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Simple and harmless expressions, muted drivers, and the panels of a rig."""
    report = await renderer.open_scene(scene("harmless"), JobSettings(), version="5.0")
    assert report.skipped_python == ()
    await renderer.render(1, "1.png")


async def test_a_simulation_neither_runs_nor_writes(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Smoke would be simulated, and cached wherever the .blend says, as soon as it is opened."""
    report = await renderer.open_scene(scene("fluid"), JobSettings(), version="5.0")
    for frame in (1, 2):
        await renderer.render(frame, f"{frame}.png")

    assert report.missing_files == (f"simulation, not baked, Smoke of Cube: {ESCAPED}/smoke",)
    assert not ESCAPED.exists()


async def test_nothing_is_cached_beside_the_scene(renderer: BlenderRenderer, scene: Scenes) -> None:
    """It would stay on the worker's disk, and the next job's frames could be made of it."""
    path = scene("particles")
    report = await renderer.open_scene(path, JobSettings(), version="5.0")
    for frame in (1, 2, 3):
        await renderer.render(frame, f"{frame}.png")

    assert report.missing_files == ("simulation, not baked, Particles of Cube: ",)
    assert not list(path.parent.glob("blendcache_*"))


async def test_output_goes_nowhere_but_to_the_frames_own_folder(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Whatever paths the .blend sets, in its output or in File Output nodes."""
    assert not ESCAPED.exists()
    report = await renderer.open_scene(scene("escape"), JobSettings(), version="5.0")
    rendered = await renderer.render(3, "out_0003.png")

    assert report.frame_pattern == "out_####.png"
    assert not ESCAPED.exists()
    assert rendered.extra_files
    for extra in rendered.extra_files:
        assert extra.path.resolve().is_relative_to(rendered.path.parent)
        assert ".." not in Path(extra.name).parts
