"""Is a preview small, and does it show what is transparent, grey or deep as it looks?"""

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from blendrop import errors
from blendrop.adapters import frame_previews
from blendrop.adapters.frame_images import OpenImageIOVerifier
from blendrop.domain.images import ExpectedImage


@pytest.mark.parametrize(
    ("size", "small"),
    [
        ((1080, 1920), (360, 640)),
        ((2160, 3840), (360, 640)),
        ((480, 641), (240, 320)),
        ((90, 160), (90, 160)),
        ((2, 4000), (1, 571)),
        ((1, 1), (1, 1)),
    ],
)
def test_the_longest_side_is_bounded(size: tuple[int, int], small: tuple[int, int]) -> None:
    """And an image that is small already stays as it is."""
    assert frame_previews.shrunk(np.zeros((*size, 3), np.uint8)).shape == (*small, 3)


@pytest.mark.parametrize(
    ("pixel", "kind", "shown"),
    [
        ([255, 128, 0], np.uint8, [255, 128, 0]),
        ([65535, 32896, 0], np.uint16, [255, 128, 0]),
        ([2.0, 0.5, np.nan], np.float32, [255, 128, 0]),
        ([0, 0, 0, 0], np.uint8, [51, 51, 51]),
        ([255, 0, 0, 255], np.uint8, [255, 0, 0]),
        ([128, 0, 0, 128], np.uint8, [153, 25, 25]),
        ([128], np.uint8, [128]),
        ([0, 0], np.uint8, [51]),
    ],
)
def test_each_kind_of_pixel_looks_right(
    pixel: list[float], kind: type[np.generic], shown: list[int]
) -> None:
    """What is transparent stands before a dark grey."""
    image = np.full((700, 1400, len(pixel)), pixel, dtype=kind)
    small = frame_previews.shrunk(image)
    assert small.shape == (233, 466, len(shown))
    assert (small == np.array(shown, np.uint8)).all()


def test_blocks_are_averaged() -> None:
    """A checkerboard becomes grey, and nothing is moved."""
    image = np.zeros((2, 1280, 3), np.uint8)
    image[0, ::2] = image[1, 1::2] = 255
    image[:, :640] = 0
    small = frame_previews.shrunk(image)
    assert (small[0, :320] == 0).all()
    assert (small[0, 320:] == 128).all()


async def test_a_preview_that_cannot_be_read_or_written_says_why(tmp_path: Path) -> None:
    """The worker logs it, and goes on."""
    broken = tmp_path / "a.png"
    broken.write_bytes(b"no image")
    with pytest.raises(errors.FrameError, match="does not decode"):
        await OpenImageIOVerifier().preview(broken)
    with pytest.raises(errors.FrameError, match="preview cannot be written"):
        frame_previews.write(np.zeros((4, 4, 3), np.uint8), tmp_path / "none" / "a.jpg")


async def test_an_image_that_was_verified_is_not_decoded_again(tmp_path: Path) -> None:
    """Its preview is drawn even when the file is gone; that of another file never is."""
    path = tmp_path / "a.png"
    image = oiio.ImageBuf(oiio.ImageSpec(64, 36, 3, oiio.UINT8))
    assert oiio.ImageBufAlgo.checker(image, 8, 8, 1, (0, 0, 0), (1, 1, 1))
    assert image.write(str(path))
    expected = ExpectedImage(file_format="PNG", width=64, height=36, channels=3, color_depth="8")
    looking = OpenImageIOVerifier()
    await looking.verify(path, expected)
    path.unlink()

    assert (await looking.preview(path)).stat().st_size > 0
    with pytest.raises(errors.FrameError):
        await looking.preview(path)
