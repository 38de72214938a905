"""Does real Blender render what was asked, and what does it do with scenes that mean harm?"""

import dataclasses
import itertools
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.adapters.frame_images import OpenImageIOVerifier
from blendrop.domain import images
from blendrop.domain.job_settings import JobSettings
from container_worker import blender_renderer, machine
from container_worker.blender import Blender, Bounds
from container_worker.blender_renderer import BlenderRenderer
from local import blenders, pixel_compare

_PLAIN = Path(__file__).parents[3] / "local" / "plain_blender.py"
_SCENES = Path(__file__).parents[2] / "doubles" / "scene_files.py"
PLENTY = Bounds(load_seconds=60, frame_seconds=60, stall_seconds=60)
Scenes = Callable[[str], Path]


async def test_the_scene_says_what_is_not_asked_for(
    renderer: BlenderRenderer, scene: Scenes, tmp_path: Path
) -> None:
    """Size, format, name and frames are the .blend's own, and every frame is verified."""
    report = await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0")

    assert report.frame_pattern == "tiny_####.png"
    assert report.image == images.ExpectedImage(
        file_format="PNG", width=32, height=18, channels=3, color_depth="8"
    )
    for frame in (1, 6, -3):
        rendered = await renderer.render(frame, f"{frame}.png")
        assert rendered.seconds > 0
        assert await OpenImageIOVerifier().verify(rendered.path, report.image) == frozenset()
        rendered.path.rename(tmp_path / rendered.path.name)
    assert pixel_compare.max_difference(tmp_path / "1.png", tmp_path / "6.png") > 0.1


@pytest.mark.parametrize(
    ("asked", "image"),
    [
        pytest.param(
            JobSettings(format="OPEN_EXR", resolution_percent=200),
            {"file_format": "OPEN_EXR", "width": 64, "height": 36},
            id="EXR at 200 %",
        ),
        pytest.param(
            JobSettings(format="OPEN_EXR_MULTILAYER", engine="CYCLES", samples=1),
            {"file_format": "OPEN_EXR_MULTILAYER", "passes": {"ViewLayer.Combined": 4}},
            id="multilayer, Cycles",
        ),
        pytest.param(JobSettings(format="JPEG"), {"file_format": "JPEG"}, id="JPEG"),
    ],
)
async def test_what_is_asked_for_is_laid_over_the_scene(
    renderer: BlenderRenderer,
    scene: Scenes,
    asked: JobSettings,
    image: dict[str, object],
) -> None:
    """The image is as asked, not only the report of it."""
    report = await renderer.open_scene(scene("tiny"), asked, version="5.0")

    assert image.items() <= report.image.model_dump().items()
    rendered = await renderer.render(1, f"1{Path(report.frame_pattern).suffix}")
    await OpenImageIOVerifier().verify(rendered.path, report.image)


async def test_a_scene_stays_open_from_batch_to_batch(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Opening it again with the same settings costs nothing; with others it is opened anew."""
    first = await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0")
    assert await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0") is first
    other = JobSettings(format="JPEG")
    assert await renderer.open_scene(scene("tiny"), other, version="5.0") is not first


@pytest.mark.parametrize(
    ("asked", "failure"),
    [
        (JobSettings(scene="Nowhere", frames="1"), errors.FailureClass.SETTING_REFUSED),
        (JobSettings(camera="Nobody"), errors.FailureClass.SETTING_REFUSED),
    ],
)
async def test_a_setting_that_does_not_fit_the_scene_is_refused_with_what_would(
    renderer: BlenderRenderer, scene: Scenes, asked: JobSettings, failure: errors.FailureClass
) -> None:
    """The remedy names what is there."""
    with pytest.raises(errors.SceneError) as refused:
        await renderer.open_scene(scene("tiny"), asked, version="5.0")
    assert refused.value.failure_class is failure
    assert any(word in str(refused.value) for word in ("Scene", "Camera"))


@pytest.mark.parametrize("order", [(1, 2, 3, 4, 5, 6), (6, 1, 4, 3, 5, 2)])
async def test_every_frame_is_what_an_animation_render_makes_of_it(
    installed_blenders: Mapping[str, str], tmp_path: Path, order: tuple[int, ...]
) -> None:
    """In whatever order; of what plain Blender evaluates, nothing is left out."""
    for version, program in installed_blenders.items():
        if not blenders.is_interpreter(program):
            continue  # plain Blender is asked by way of `bpy`
        scene, plain = tmp_path / f"{version}.blend", tmp_path / version / "plain"
        for command in ([_SCENES, "moving", scene], [_PLAIN, scene, plain]):
            subprocess.run([program, *command], check=True, capture_output=True)  # noqa: ASYNC221
        renderer = BlenderRenderer({version: program}, scratch=tmp_path / version, bounds=PLENTY)
        await renderer.open_scene(scene, JobSettings(), version=version)
        for frame in order:
            rendered = await renderer.render(frame, f"{frame}.png")
            different = pixel_compare.max_difference(rendered.path, plain / f"{frame:04d}.png")
            assert different == 0.0, (version, frame)
        await renderer.close()
        frames = sorted(plain.iterdir())
        assert len(frames) == 6
        pairs = itertools.pairwise(frames)
        assert all(pixel_compare.max_difference(*two) > 0.05 for two in pairs)


async def test_samples_that_are_given_hold_though_the_scene_animates_them(
    renderer: BlenderRenderer, scene: Scenes, tmp_path: Path
) -> None:
    """The artist asked for a quick look, and pays for no more than that."""
    report = await renderer.open_scene(scene("moving"), JobSettings(samples=3), version="5.0")
    given = (await renderer.render(6, "6.png")).path.rename(tmp_path / "given.png")
    assert report.notes == (
        "The .blend animates its samples; they are as the job gives them instead",
    )
    report = await renderer.open_scene(scene("moving"), JobSettings(), version="5.0")
    animated = (await renderer.render(6, "6.png")).path
    assert report.notes == ()
    assert pixel_compare.max_difference(given, animated) > 0.1


async def test_what_the_viewport_alone_shows_costs_no_frame_anything(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Nobody looks at it; characters that bend would take several times as long."""
    path = scene("viewport")
    await renderer.warm_up()
    began = time.monotonic()
    await renderer.open_scene(path, JobSettings(), version="5.0")
    opening = time.monotonic() - began  # which evaluates it, once
    await renderer.render(1, "1.png")
    seconds = [(await renderer.render(frame, f"{frame}.png")).seconds for frame in range(2, 7)]

    assert opening > 0.3
    assert min(seconds) < opening / 4, (opening, seconds)


async def test_the_cores_that_frames_keep_busy_are_known_after_some_seconds_of_them(
    renderer: BlenderRenderer, scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the scene that is open alone; what it took to open it and to make it ready counts not."""
    assert renderer.cores_used is None
    asked = JobSettings(engine="CYCLES", samples=400, resolution_percent=200)
    await renderer.open_scene(scene("tiny"), asked, version="5.0")
    await renderer.render(1, "1.png")
    with monkeypatch.context() as impatient:
        impatient.setattr(blender_renderer, "_MEASURED", 0.0)
        assert renderer.cores_used is None
    began = time.monotonic()
    await renderer.render(2, "2.png")
    took = time.monotonic() - began
    assert renderer.cores_used is None  # 2 s have not passed yet

    monkeypatch.setattr(blender_renderer, "_MEASURED", took / 2)
    assert renderer.cores_used is not None
    assert 0.3 < renderer.cores_used < machine.cpus(Path("/sys/fs/cgroup")) + 0.2
    await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0")
    assert renderer.cores_used is None


async def test_a_damaged_scene_fails_the_job_and_blender_goes_on(
    renderer: BlenderRenderer, scene: Scenes, tmp_path: Path
) -> None:
    """The head was whole; what comes after it was not."""
    damaged = tmp_path / "damaged.blend"
    whole = scene("tiny").read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(errors.SceneError) as refused:
        await renderer.open_scene(damaged, JobSettings(), version="5.0")
    assert refused.value.failure_class is errors.FailureClass.SCENE_UNREADABLE
    await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0")


async def test_a_scene_of_a_newer_blender_is_refused(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """The farm's engineer sees what the worker lacks."""
    with pytest.raises(errors.SceneError, match=r"saved by Blender 9\.1") as refused:
        await renderer.open_scene(scene("tiny"), JobSettings(), version="9.1")
    assert refused.value.failure_class is errors.FailureClass.BLENDER_TOO_OLD


async def test_every_blender_of_this_machine_renders(
    installed_blenders: Mapping[str, str], tmp_path: Path
) -> None:
    """Executables and bpy alike, old ones and new ones, each a scene that it saved itself."""
    for version, program in installed_blenders.items():
        path = tmp_path / f"{version}.blend"
        command = blenders.script_command(program, _SCENES, "tiny", str(path))
        subprocess.run(command, check=True, capture_output=True)  # noqa: ASYNC221 before the farm
        renderer = BlenderRenderer({version: program}, scratch=tmp_path / version, bounds=PLENTY)
        try:
            asked = JobSettings(engine="CYCLES", samples=1)
            report = await renderer.open_scene(path, asked, version=version)
            rendered = await renderer.render(2, "2.png")
            assert await OpenImageIOVerifier().verify(rendered.path, report.image) == frozenset()
        finally:
            await renderer.close()
        assert report.blender_version.startswith(f"{version}.")


async def test_blender_has_no_network_where_the_kernel_allows_it(
    renderer: BlenderRenderer, tmp_path: Path
) -> None:
    """Whatever a scene runs, there is nobody for it to talk to."""
    allowed = subprocess.run(  # noqa: ASYNC221 a moment
        ["unshare", "--user", "--map-current-user", "--net", "true"], check=False
    )
    await renderer.warm_up()
    assert renderer.pid is not None
    network = Path(f"/proc/{renderer.pid}/ns/net").readlink()
    own = Path("/proc/self/ns/net").readlink()
    assert (network != own) is (allowed.returncode == 0)


async def test_a_worker_without_the_card_it_is_told_to_use_says_so(
    blender_python: Path, tmp_path: Path
) -> None:
    """Rather than render on the CPU, and cost the more."""
    told = dataclasses.replace(PLENTY, device="CUDA")
    renderer = BlenderRenderer({"5.0": str(blender_python)}, scratch=tmp_path, bounds=told)
    with pytest.raises(errors.UnfitWorkerError, match="finds no CUDA device") as refused:
        await renderer.warm_up()
    await renderer.close()
    assert "BLENDROP_CYCLES_DEVICE" in str(refused.value)


async def test_a_worker_whose_blender_hangs_as_it_starts_is_unfit(tmp_path: Path) -> None:
    """It is to be replaced, and says what kept it."""
    mute = tmp_path / "blender"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o755)
    impatient = dataclasses.replace(PLENTY, stall_seconds=0.5)
    renderer = BlenderRenderer({"5.0": str(mute)}, scratch=tmp_path / "scratch", bounds=impatient)

    with pytest.raises(errors.UnfitWorkerError, match="no sign of progress"):
        await renderer.warm_up()

    assert renderer.pid is None


async def test_a_frame_fails_with_the_workers_disk_as_its_reason(
    renderer: BlenderRenderer, scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blender only says that it could not write; what is wrong is not the frame."""
    await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0")
    too_long = "n" * 300  # which Blender cannot write either

    with pytest.raises(errors.FrameError) as unwritten:
        await renderer.render(1, too_long)
    full = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(errors.FrameError, match="it is full") as failed:
        await renderer.render(1, too_long)

    assert unwritten.value.failure_class is not errors.FailureClass.WORKER_DISK
    assert failed.value.failure_class is errors.FailureClass.WORKER_DISK
    assert "BLENDROP_SCENE_CACHE_BYTES" in failed.value.remedy


async def test_a_disk_that_takes_no_folder_fails_the_frame_and_not_the_worker(
    renderer: BlenderRenderer, scene: Scenes, tmp_path: Path
) -> None:
    """Another worker may have a better one."""
    await renderer.open_scene(scene("tiny"), JobSettings(), version="5.0")
    (tmp_path / "blender" / "frames").write_text("in the way")
    with pytest.raises(errors.FrameError, match="Not a directory") as failed:
        await renderer.render(1, "1.png")
    assert failed.value.failure_class is errors.FailureClass.WORKER_DISK


async def test_persistent_data_changes_no_pixel_and_goes_where_memory_does_not_hold(
    renderer: BlenderRenderer, scene: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Blender ran out of memory, the scene is opened without; its frames are the same."""

    async def frames(folder: Path) -> tuple[ports.SceneReport, list[Path]]:
        folder.mkdir()
        report = await renderer.open_scene(scene("filmic"), JobSettings(), version="5.0")
        kept = []
        for frame in (1, 2, 3):
            rendered = await renderer.render(frame, f"{frame}.png")
            kept.append(Path(shutil.copy(rendered.path, folder)))
        return report, kept

    plenty, with_it = await frames(tmp_path / "with")

    async def eaten(blender: Blender, frame: int, to: Path) -> dict[str, object]:
        await blender.kill()
        raise errors.FrameError(errors.FailureClass.OUT_OF_MEMORY, "it had 900 MiB", "Less")

    with monkeypatch.context() as patched:
        patched.setattr(Blender, "render", eaten)
        with pytest.raises(errors.FrameError):
            await renderer.render(4, "4.png")
    lean, without = await frames(tmp_path / "without")

    notes = [[note for note in report.notes if "memory" in note] for report in (plenty, lean)]
    assert [len(one) for one in notes] == [0, 1]
    differences = [
        pixel_compare.max_difference(*pair) for pair in zip(with_it, without, strict=True)
    ]
    assert differences == [0.0, 0.0, 0.0]
