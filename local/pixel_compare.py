"""How far apart are the pixels of two images? Bytes may differ (metadata), pixels must not."""

from pathlib import Path

import OpenImageIO as oiio

from blendrop import errors


def max_difference(one: Path, other: Path) -> float:
    """Return the largest difference of any channel of any pixel; 1.0 is from black to white.

    Raises:
        UnavailableError: an image cannot be read, or their sizes or channels differ.
    """
    images = [oiio.ImageBuf(str(path)) for path in (one, other)]
    for path, image in zip((one, other), images, strict=True):
        if not image.read(convert=oiio.FLOAT):
            raise errors.UnavailableError(f"{path} cannot be read: {image.geterror()}")
    shapes = [(each.spec().width, each.spec().height, each.spec().nchannels) for each in images]
    if shapes[0] != shapes[1]:
        raise errors.UnavailableError(f"{one} is {shapes[0]}, and {other} is {shapes[1]}")
    return float(oiio.ImageBufAlgo.compare(images[0], images[1], 0.0, 0.0).maxerror)
