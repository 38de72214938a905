"""Is the file of a frame what the .blend's own output settings make of it, however odd?"""

from collections.abc import Callable
from pathlib import Path

import OpenImageIO as oiio
import pytest

from blendrop import errors
from blendrop.adapters.frame_images import OpenImageIOVerifier
from blendrop.domain import frames
from blendrop.domain.images import ExpectedImage, FrameFlag
from blendrop.domain.job_settings import JobSettings
from container_worker.blender_renderer import BlenderRenderer

Scenes = Callable[[str], Path]


async def rendered(
    renderer: BlenderRenderer, scene: Path, settings: JobSettings | None = None
) -> tuple[Path, ExpectedImage, frozenset[FrameFlag]]:
    """Return the first frame's file, what it had to be, and what is suspicious about it."""
    report = await renderer.open_scene(scene, settings or JobSettings(), version="5.0")
    frame = await renderer.render(1, frames.file_name(report.frame_pattern, 1))
    flags = await OpenImageIOVerifier().verify(frame.path, report.image)
    return frame.path, report.image, flags


async def test_every_pass_of_every_layer_is_asked_for_and_there(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Blender names them; the layer that is not rendered has none, the compositor its own."""
    path, image, _ = await rendered(renderer, scene("passes"))

    usual = {"Combined": 4, "Depth": 1, "Normal": 3, "Vector": 3, "Mist": 1}
    named = {"wet_map": 3, "height": 1, "Combined_key": 3}
    cryptomatte = {"CryptoObject00": 3, "CryptoMaterial01": 3}
    wanted = usual | named | cryptomatte | {"Denoising Albedo": 3}
    assert {f"ViewLayer.{name}": least for name, least in wanted.items()}.items() <= (
        image.passes.items()
    )
    others = {name for name in image.passes if not name.startswith("ViewLayer.")}
    assert others == {"Composite.Combined", "Back.ground.Combined", "Back.ground.Mist"}
    assert len(_passes(path)) == len(image.passes)


def _passes(path: Path) -> set[str]:
    file = oiio.ImageInput.open(str(path))
    assert file is not None
    names: set[str] = set()
    part = 0
    while file.seek_subimage(part, 0):
        names |= {channel.rpartition(".")[0] for channel in file.spec().channelnames}
        part += 1
    file.close()
    return names


async def test_a_file_without_one_of_its_passes_is_refused_by_name(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """As when the scene was changed under our feet."""
    path, image, _ = await rendered(renderer, scene("passes"))
    asked = {**image.passes, "Back.ground.Depth": 1}

    with pytest.raises(errors.FrameError, match=r"passes lack Back\.ground\.Depth\.") as refused:
        await OpenImageIOVerifier().verify(path, image.model_copy(update={"passes": asked}))
    assert refused.value.failure_class is errors.FailureClass.WRONG_IMAGE
    with pytest.raises(errors.FrameError, match=r"ViewLayer\.Combined is half and not float"):
        await OpenImageIOVerifier().verify(path, image.model_copy(update={"color_depth": "32"}))


@pytest.mark.parametrize("engine", ["WORKBENCH", "EEVEE"])
async def test_each_engine_says_its_own_passes(
    renderer: BlenderRenderer, scene: Scenes, engine: str
) -> None:
    """Those that it cannot give are not asked for. EEVEE would take minutes without a card."""
    asked = JobSettings(engine=engine)
    report = await renderer.open_scene(scene("passes"), asked, version="5.0")
    assert "ViewLayer.Depth" in report.image.passes
    assert ("ViewLayer.Vector" in report.image.passes) is (engine == "EEVEE")
    assert "ViewLayer.Diffuse Indirect" not in report.image.passes
    if engine == "WORKBENCH":
        await rendered(renderer, scene("passes"), asked)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("stereo", (32, 18)), ("stereo_layers", (32, 18)), ("stereo_sides", (64, 18))],
)
async def test_two_eyes_in_one_file_are_both_verified(
    renderer: BlenderRenderer, scene: Scenes, kind: str, size: tuple[int, int]
) -> None:
    """Beside each other, or as views of an OpenEXR file."""
    path, image, _ = await rendered(renderer, scene(kind))
    assert (image.width, image.height) == size
    if kind != "stereo_sides":
        assert image.views == ("left", "right")
        third = image.model_copy(update={"views": ("left", "right", "third")})
        with pytest.raises(errors.FrameError, match=r"channels is 8 and not 12|Mist \(third\)"):
            await OpenImageIOVerifier().verify(path, third)


@pytest.mark.parametrize(
    ("kind", "reason", "remedy"),
    [
        ("stereo_files", "a file of its own", "Stereo 3D"),
        ("stereo_one_eye", "only right is rendered", "Turn on the views"),
        ("stereo_strips", "one eye", "Stereo 3D"),
        ("no_layer", "no view layer of scene 'Scene' is enabled", "Use for Rendering"),
    ],
)
async def test_an_output_that_is_not_one_whole_file_is_refused_before_the_first_frame(
    renderer: BlenderRenderer, scene: Scenes, kind: str, reason: str, remedy: str
) -> None:
    """With what to change; Blender would render it and lose an eye, or write nothing."""
    with pytest.raises(errors.SceneError, match=reason) as refused:
        await renderer.open_scene(scene(kind), JobSettings(), version="5.0")
    assert refused.value.failure_class is errors.FailureClass.SETTING_REFUSED
    assert remedy in refused.value.remedy


async def test_strips_are_one_plain_image_in_a_multilayer_file_too(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """No layer of the scene is in it; once the strips are muted, all are."""
    _, image, flags = await rendered(renderer, scene("strips"))
    assert not image.passes
    assert image.channels == 3
    assert flags == {FrameFlag.ONE_COLOR}
    _, image, flags = await rendered(renderer, scene("muted_strips"))
    assert image.passes == {"ViewLayer.Combined": 4}
    assert not flags


async def test_a_movie_is_rendered_as_frames_with_a_note(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """Each a file of its own, which is what a farm can put back together."""
    path, image, _ = await rendered(renderer, scene("movie"))
    report = await renderer.open_scene(scene("movie"), JobSettings(), version="5.0")
    assert (image.file_format, path.name) == ("PNG", "film.mp40001.png")
    assert "a movie (FFMPEG); PNG frames" in report.notes[0]


async def test_odd_output_settings_give_exactly_the_size_and_name(
    renderer: BlenderRenderer, scene: Scenes
) -> None:
    """A cropped border of a share of the size, wide pixels, Blender's own extension, a template."""
    path, image, _ = await rendered(renderer, scene("odd_output"))
    assert (image.width, image.height) == (67, 45)
    assert path.name == "odd_output_01.v2.png"
    again, _, _ = await rendered(renderer, scene("odd_output"))
    assert again.name == path.name


@pytest.mark.parametrize("kind", ["BMP", "CINEON", "DPX", "HDR", "IRIS", "TARGA", "TIFF", "WEBP"])
async def test_formats_that_only_a_blend_can_ask_for_are_verified_too(
    renderer: BlenderRenderer, scene: Scenes, kind: str
) -> None:
    """A format that the verifier could not read would fail every frame."""
    _, image, flags = await rendered(renderer, scene(f"format_{kind}"))
    assert (image.file_format, flags) == (kind, frozenset())
