"""What do all frames look like at once? A picture of them side by side, the first at the top left.

Every file is decoded whole on the way.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import OpenImageIO as oiio

from blendrop import errors

_WIDTH = 1600  # pixels, about
_GAP = 4
_MOST = 60  # of more frames than this, evenly spread ones are shown


def write(frames: Sequence[Path], to: Path) -> None:
    """Write the contact sheet of at least one frame as a PNG.

    Raises:
        UnavailableError: a frame cannot be read, or the picture cannot be written.
    """
    step = -(-len(frames) // _MOST)
    shown = list(frames)[::step]
    columns = _columns(len(shown))
    rows = -(-len(shown) // columns)
    first = oiio.ImageBuf(str(shown[0])).spec()
    width = max((_WIDTH - _GAP) // columns - _GAP, 1)
    height = max(round(width * first.full_height / first.full_width), 1)
    sheet = oiio.ImageBuf(
        oiio.ImageSpec(
            columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP, 3, oiio.UINT8
        )
    )
    oiio.ImageBufAlgo.fill(sheet, (0.05, 0.05, 0.05))
    for place, path in enumerate(shown):
        small = _small(path, width, height)
        x = _GAP + (place % columns) * (width + _GAP)
        y = _GAP + (place // columns) * (height + _GAP)
        oiio.ImageBufAlgo.paste(sheet, x, y, 0, 0, small)
    if not sheet.write(str(to)):
        raise errors.UnavailableError(f"{to} cannot be written: {sheet.geterror()}")


def _columns(count: int) -> int:
    """Return about the square root, and of the numbers near it the one that leaves no gap."""
    root = math.ceil(math.sqrt(count))
    return min(range(root, root + 3), key=lambda columns: (-count % columns, columns))


def _small(path: Path, width: int, height: int) -> oiio.ImageBuf:
    image = oiio.ImageBuf(str(path))
    if not image.read(convert=oiio.FLOAT):
        raise errors.UnavailableError(f"{path} cannot be read: {image.geterror()}")
    channels = image.spec().nchannels
    color = oiio.ImageBufAlgo.channels(image, (0, 1, 2) if channels > 2 else (0, 0, 0))
    if path.suffix == ".exr":  # scene-linear; screens want sRGB
        color = oiio.ImageBufAlgo.colorconvert(color, "lin_rec709", "sRGB")
    return oiio.ImageBufAlgo.resize(color, roi=oiio.ROI(0, width, 0, height, 0, 1, 0, 3))
