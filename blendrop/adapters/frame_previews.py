"""What does a small picture of a frame look like?

Whole blocks of pixels are averaged, as the screen shows them, in plain NumPy: ten times as fast as
a resampling filter, and a preview wants no more.
"""

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from blendrop import errors

LONGEST_SIDE = 640  # pixels, at most
_QUALITY = 80  # of 100
_BACKDROP = 0.2  # the grey behind what is transparent, of 1

Pixels = np.ndarray[Any, Any]  # height × width × channels


def shrunk(pixels: Pixels) -> Pixels:
    """Return the image in 8 bits, its longest side a whole fraction that fits, without alpha.

    OpenImageIO has multiplied the colors with alpha already.
    """
    height, width, channels = pixels.shape
    factor = -(-max(height, width) // LONGEST_SIDE)
    rows, columns = max(height // factor, 1), max(width // factor, 1)
    wide = np.float32 if pixels.dtype.kind == "f" else np.uint32
    total = np.zeros((rows, columns, channels), dtype=wide)
    for y in range(min(factor, height)):
        for x in range(min(factor, width)):
            total += pixels[y::factor, x::factor][:rows, :columns]
    blocks = min(factor, height) * min(factor, width)
    white = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    small = total.astype(np.float32) / (blocks * white)
    if channels in (2, 4):
        small = small[..., :-1] + (1 - small[..., -1:]) * np.float32(_BACKDROP)
    color: Pixels = small[..., :3] if channels > 2 else small[..., :1]
    return (np.nan_to_num(color).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def write(small: Pixels, to: Path) -> None:
    """Write an image of 8 bits as JPEG. Raises FrameError."""
    height, width, channels = small.shape
    spec = oiio.ImageSpec(width, height, channels, oiio.UINT8)
    spec.attribute("compression", f"jpeg:{_QUALITY}")
    file = oiio.ImageOutput.create(str(to))
    written = file is not None and (
        file.open(str(to), spec) and file.write_image(np.ascontiguousarray(small)) and file.close()
    )
    if not written:
        reason = oiio.geterror() if file is None else file.geterror()
        raise errors.FrameError(
            errors.FailureClass.RENDER_ERROR,
            f"its preview cannot be written to {to}: {' '.join(reason.split())}",
            "Look whether the worker's own disk is full",
        )
