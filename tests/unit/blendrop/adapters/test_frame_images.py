"""Is every image that is not whole, or not what was asked for, told from a right one?"""

import subprocess
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from blendrop import errors
from blendrop.adapters.frame_images import OpenImageIOVerifier
from blendrop.domain.images import ExpectedImage, FrameFlag

_PROGRAM = Path(__file__).parents[3] / "doubles" / "image_files.py"
PASSES = {"ViewLayer.Combined": 4, "Second.Combined": 4}
EXPECTED = {
    "png8.png": ("PNG", 3, "8", {}),
    "png16.png": ("PNG", 4, "16", {}),
    "png_bw.png": ("PNG", 1, "8", {}),
    "jpeg.jpg": ("JPEG", 3, "8", {}),
    "exr16.exr": ("OPEN_EXR", 3, "16", {}),
    "exr32.exr": ("OPEN_EXR", 4, "32", {}),
    "multilayer.exr": ("OPEN_EXR_MULTILAYER", 4, "16", PASSES),
    "tiff.tif": ("TIFF", 3, "16", {}),
}


@pytest.fixture(scope="session")
def images(blender_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images that a real Blender made."""
    folder = tmp_path_factory.mktemp("images")
    subprocess.run([blender_python, _PROGRAM, folder], check=True, capture_output=True)
    return folder


def expected(name: str, **changes: object) -> ExpectedImage:
    """Return what the image of that name must be."""
    file_format, channels, depth, passes = EXPECTED[name]
    image = ExpectedImage(
        file_format=file_format,
        width=64,
        height=36,
        channels=channels,
        color_depth=depth,
        passes=passes,
    )
    return image.model_copy(update=changes)


async def failure(path: Path, image: ExpectedImage) -> errors.FrameError:
    """Return why an image is refused, which it must be."""
    with pytest.raises(errors.FrameError) as refused:
        await OpenImageIOVerifier().verify(path, image)
    return refused.value


@pytest.mark.parametrize("name", EXPECTED)
async def test_what_blender_made_is_right(images: Path, name: str) -> None:
    """And nothing about it is suspicious."""
    assert await OpenImageIOVerifier().verify(images / name, expected(name)) == frozenset()


@pytest.mark.parametrize("name", EXPECTED)
async def test_an_image_that_was_cut_off_is_damaged(
    images: Path, tmp_path: Path, name: str
) -> None:
    """Wherever: from its first bytes to all but its last."""
    whole = (images / name).read_bytes()
    cut = tmp_path / name
    for length in {*range(1, len(whole), max(len(whole) // 40, 1)), len(whole) - 1}:
        cut.write_bytes(whole[:length])
        refused = await failure(cut, expected(name))
        assert refused.failure_class is errors.FailureClass.DAMAGED_IMAGE, (length, len(whole))


@pytest.mark.parametrize("name", ["png8.png", "exr16.exr", "tiff.tif"])
async def test_an_image_with_a_hole_of_zeros_is_damaged(
    images: Path, tmp_path: Path, name: str
) -> None:
    """What a copy that lost some blocks looks like."""
    content = bytearray((images / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    (tmp_path / name).write_bytes(content)
    refused = await failure(tmp_path / name, expected(name))
    assert refused.failure_class is errors.FailureClass.DAMAGED_IMAGE


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("png8.png", {"width": 65}, "size is (64, 36) and not (65, 36)"),
        ("png8.png", {"channels": 4}, "channels is 3 and not 4"),
        ("png8.png", {"color_depth": "16"}, "depth is uint8 and not uint16"),
        ("png8.png", {"file_format": "OPEN_EXR", "color_depth": "16"}, "format is png"),
        ("exr16.exr", {"color_depth": "32"}, "depth is half and not float"),
        (
            "multilayer.exr",
            {"passes": {**PASSES, "Second.Mist": 1, "Third.Combined": 4}},
            "passes lack Second.Mist, Third.Combined",
        ),
        ("multilayer.exr", {"passes": {"Second.Combined": 5}}, "Second.Combined has 4 channels"),
        ("multilayer.exr", {"color_depth": "32"}, "pass ViewLayer.Combined is half and not float"),
        ("multilayer.exr", {"views": ("left", "right")}, "passes lack ViewLayer.Combined (left)"),
        ("jpeg.jpg", {"height": 1, "channels": 1}, "size is (64, 36) and not (64, 1), channels"),
    ],
)
async def test_an_image_that_is_not_what_was_asked_for_says_in_what(
    images: Path, name: str, changes: dict[str, object], words: str
) -> None:
    """Everything that differs at once."""
    refused = await failure(images / name, expected(name, **changes))
    assert refused.failure_class is errors.FailureClass.WRONG_IMAGE
    assert words in refused.reason


async def test_no_file_and_an_empty_one_are_no_image(tmp_path: Path) -> None:
    """Blender said that it was done."""
    for path in (tmp_path / "none.png", tmp_path / "empty.png"):
        if path.name == "empty.png":
            path.touch()
        refused = await failure(path, expected("png8.png"))
        assert refused.failure_class is errors.FailureClass.NO_IMAGE


@pytest.mark.parametrize("transform", ["Standard", "Filmic", "AgX"])
async def test_the_pink_of_a_missing_texture_is_flagged(images: Path, transform: str) -> None:
    """Under every view transform; where no texture is missing it is the artist's pink."""
    path = images / f"pink_{transform}.png"
    missing = expected("png8.png", textures_missing=True)
    assert await OpenImageIOVerifier().verify(path, missing) == {FrameFlag.MISSING_TEXTURE_PINK}
    assert await OpenImageIOVerifier().verify(path, expected("png8.png")) == frozenset()
    normal = await OpenImageIOVerifier().verify(images / "png8.png", missing)
    assert normal == frozenset()


async def test_a_transparent_frame_is_flagged(images: Path) -> None:
    """Everything was hidden from the render."""
    image = expected("png16.png", color_depth="8")
    flags = await OpenImageIOVerifier().verify(images / "transparent.png", image)
    assert flags == {FrameFlag.TRANSPARENT, FrameFlag.ONE_COLOR}


@pytest.mark.parametrize("value", [np.nan, np.inf])
async def test_what_is_no_number_is_flagged(tmp_path: Path, value: float) -> None:
    """It spoils the composite, and is seen late."""
    pixels = np.random.default_rng(1).random((36, 64, 4), dtype=np.float32)
    pixels[3, 4, 1] = value
    path = tmp_path / "nan.exr"
    image = oiio.ImageBuf(oiio.ImageSpec(64, 36, 4, oiio.FLOAT))
    image.set_pixels(oiio.ROI(), pixels)
    assert image.write(str(path))
    flags = await OpenImageIOVerifier().verify(path, expected("exr32.exr"))
    assert flags == {FrameFlag.NOT_A_NUMBER}
