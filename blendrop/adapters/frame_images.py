"""Is the image of a frame whole, and is it what was asked for?

Everything is decoded, to the last pixel of the last part. What is wrong raises; what is right and
looks odd all the same is flagged.
"""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from blendrop import errors
from blendrop.adapters import exr_passes, frame_previews
from blendrop.domain import images

# Blender's names of formats, and OpenImageIO's.
_FORMATS = {
    "PNG": "png",
    "JPEG": "jpeg",
    "OPEN_EXR": "openexr",
    "OPEN_EXR_MULTILAYER": "openexr",
    "TIFF": "tiff",
    "BMP": "bmp",
    "TARGA": "targa",
    "TARGA_RAW": "targa",
    "WEBP": "webp",
}
# Formats whose channels and depth are just those that the scene asks for.
_EXACT = frozenset({"PNG", "JPEG", "OPEN_EXR", "OPEN_EXR_MULTILAYER", "TIFF"})
_PIXEL_TYPES = {
    ("PNG", "8"): "uint8",
    ("PNG", "16"): "uint16",
    ("JPEG", "8"): "uint8",
    ("TIFF", "8"): "uint8",
    ("TIFF", "16"): "uint16",
    ("OPEN_EXR", "16"): "half",
    ("OPEN_EXR", "32"): "float",
    # Without passes, as the sequencer gives it.
    ("OPEN_EXR_MULTILAYER", "16"): "half",
    ("OPEN_EXR_MULTILAYER", "32"): "float",
}
# A decoder may fill up a file that was cut off and only warn; the last bytes tell. (PNG: the IEND
# chunk, ISO 15948; JPEG: the end-of-image marker, ITU T.81.)
_ENDINGS = {
    "PNG": b"\x00\x00\x00\x00IEND\xaeB`\x82",
    "JPEG": b"\xff\xd9",
}
_LOOK = "Look at the frame's log; rendering it again may help"
# What Blender shows for a texture that is missing is magenta; a view transform makes it paler.
_PINK_SHARE = 0.002  # of all pixels

Pixels = np.ndarray[Any, Any]  # height × width × channels

oiio.attribute("threads", 1)  # the renderer has the cores


class OpenImageIOVerifier:
    """Carries out `ports.ImageVerifier` and `ports.PreviewMaker`.

    The pixels that were verified last are kept until their preview is drawn: to decode a large
    image takes longer than anything else that is done with it.
    """

    def __init__(self) -> None:
        self._last: tuple[Path, Pixels] | None = None

    async def verify(
        self, path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        """Decode the whole image; return what makes it suspicious though right.

        Raises:
            FrameError: there is no image, it does not decode whole, or it is not as expected.
        """
        self._last = None
        pixels, flags = await asyncio.to_thread(_verify, path, expected)
        self._last = (path, pixels)
        return flags

    async def preview(self, display: Path) -> Path:
        """Return a small JPEG of a display-referred image, beside it.

        Raises:
            FrameError: the image cannot be read, or the JPEG not written.
        """
        last, self._last = self._last, None
        pixels = last[1] if last and last[0] == display else None
        return await asyncio.to_thread(_preview, display, pixels)


def _preview(display: Path, pixels: Pixels | None) -> Path:
    if pixels is None:
        file = oiio.ImageInput.open(str(display), oiio.ImageSpec())
        if file is None:
            raise _damaged(oiio.geterror())
        try:
            pixels = _decoded(file)
        finally:
            file.close()
    to = display.with_name(f"{display.name}.preview.jpg")
    frame_previews.write(frame_previews.shrunk(pixels), to)
    return to


def _verify(
    path: Path, expected: images.ExpectedImage
) -> tuple[Pixels, frozenset[images.FrameFlag]]:
    if not path.is_file() or path.stat().st_size == 0:
        raise errors.FrameError(
            errors.FailureClass.NO_IMAGE, "Blender said that it was done but left no image", _LOOK
        )
    file = oiio.ImageInput.open(str(path), oiio.ImageSpec())
    if file is None:
        raise _damaged(oiio.geterror())
    try:
        _compare(file, expected)
        pixels = _decoded(file)
        flags = _flags(pixels, file.spec().channelnames, expected)
    finally:
        file.close()
    _refuse_cut_off(path, expected.file_format)
    return pixels, flags


def _refuse_cut_off(path: Path, file_format: str) -> None:
    ending = _ENDINGS.get(file_format, b"")
    with path.open("rb") as file:
        file.seek(-len(ending), 2)
        if file.read() != ending:
            raise _damaged("the file was cut off")


def _damaged(reason: str) -> errors.FrameError:
    return errors.FrameError(
        errors.FailureClass.DAMAGED_IMAGE,
        f"the image does not decode whole ({' '.join(reason.split())})",
        _LOOK,
    )


def _compare(file: oiio.ImageInput, expected: images.ExpectedImage) -> None:
    """Raise if the image is not what was asked for, naming everything that differs."""
    parts = _parts(file)
    first = parts[0]
    asked: dict[str, object] = {
        "format": _FORMATS.get(expected.file_format, file.format_name()),
        "size": (expected.width, expected.height),
    }
    found: dict[str, object] = {"format": file.format_name(), "size": (first.width, first.height)}
    if expected.file_format in _EXACT and not expected.passes:
        views = max(len(expected.views), 1)  # in a part of its own each, or all in one
        asked["channels"] = expected.channels * views
        found["channels"] = sum(part.nchannels for part in parts)
        found["depth"] = str(first.format)
        asked["depth"] = _PIXEL_TYPES.get(
            (expected.file_format, expected.color_depth), found["depth"]
        )
    wrong = [
        f"{name} is {found[name]} and not {asked[name]}"
        for name in asked
        if asked[name] != found[name]
    ]
    if expected.passes:
        wrong += exr_passes.differences(exr_passes.held(parts, expected.views), expected)
    if wrong:
        raise errors.FrameError(
            errors.FailureClass.WRONG_IMAGE,
            f"the image is not as asked for: its {', '.join(wrong)}",
            _LOOK,
        )


def _parts(file: oiio.ImageInput) -> list[oiio.ImageSpec]:
    parts = [file.spec()]
    # Asked for a part that there cannot be, the reader of WEBP loses the one that there is.
    if file.supports("multiimage"):
        while file.seek_subimage(len(parts), 0):
            parts.append(file.spec())
        file.seek_subimage(0, 0)
        file.geterror()  # that there are no more is none
    return parts


def _decoded(file: oiio.ImageInput) -> Pixels:
    """Return the pixels of the first part, having decoded every part."""
    first: Pixels | None = None
    subimage = 0
    while file.seek_subimage(subimage, 0):
        spec = file.spec()
        pixels = file.read_image(subimage, 0, 0, spec.nchannels, spec.format)
        if pixels is None or (error := file.geterror()):
            raise _damaged(error if pixels is not None else file.geterror())
        if first is None:
            first = pixels
        subimage += 1
    assert first is not None  # noqa: S101 an open file has a first part
    return first


def _flags(
    pixels: Pixels, channels: tuple[str, ...], expected: images.ExpectedImage
) -> frozenset[images.FrameFlag]:
    flags = set()
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        flags.add(images.FrameFlag.NOT_A_NUMBER)
    last_names = [name.rsplit(".", 1)[-1] for name in channels]
    color = pixels[..., : min(3, pixels.shape[-1])]
    if (color == color[:1, :1]).all():
        flags.add(images.FrameFlag.ONE_COLOR)
    if "A" in last_names and not pixels[..., last_names.index("A")].any():
        flags.add(images.FrameFlag.TRANSPARENT)
    if expected.textures_missing and color.shape[-1] == 3 and _pink_share(color) > _PINK_SHARE:
        flags.add(images.FrameFlag.MISSING_TEXTURE_PINK)
    return frozenset(flags)


def _pink_share(color: Pixels) -> float:
    """Return the share of pixels that are bright, with red like blue and little green."""
    top = np.iinfo(color.dtype).max if color.dtype.kind == "u" else 1.0
    # Every fourth pixel each way is enough for a share, and sixteen times as fast.
    red, green, blue = (
        np.asarray(color[::4, ::4, one], dtype=np.float32) / top for one in range(3)
    )
    pink = (red > 0.5) & (blue > 0.5) & (green < 0.45 * red) & (np.abs(red - blue) < 0.2 * red)
    return float(pink.mean())
