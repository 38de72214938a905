"""Which passes does a multilayer OpenEXR file hold, and are they those that were asked for?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import OpenImageIO as oiio

from blendrop.domain import images

# The pixel types of a pass's channels, by `Layer.Pass` and view (empty where there are no views).
Held = Mapping[tuple[str, str], Sequence[str]]
_TYPES = {"16": "half", "32": "float"}


def held(parts: Sequence[oiio.ImageSpec], views: Sequence[str]) -> Held:
    """Return the passes of a file.

    A channel is called `Layer.Pass.Channel`. Where a file has several views, Blender before 5.0
    (and since then if it interleaves) puts the view's name before the channel's; otherwise each
    part says of which view it is.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for part in parts:
        of_part = part.getattribute("view") or ""
        types = part.channelformats or [part.format] * part.nchannels
        for channel, pixel_type in zip(part.channelnames, types, strict=True):
            name, _, _ = channel.rpartition(".")
            view = of_part if views else ""
            if views and not of_part:
                name, _, view = name.rpartition(".")
            found[name, view].append(str(pixel_type))
    return found


def differences(found: Held, expected: images.ExpectedImage) -> Iterator[str]:
    """Yield what differs from what was asked for, each like `passes lack ViewLayer.Mist`."""
    wanted = [
        (name, view, least)
        for name, least in expected.passes.items()
        for view in expected.views or [""]
    ]
    if lacking := [_named(name, view) for name, view, _ in wanted if (name, view) not in found]:
        yield f"passes lack {', '.join(lacking)}"
    asked = _TYPES.get(expected.color_depth, "float")
    for name, view, least in wanted:
        types = found.get((name, view))
        if types is None:
            continue
        if len(types) < least:
            yield f"pass {_named(name, view)} has {len(types)} channels and not {least}"
        if not set(types) <= _allowed(name, asked):
            yield f"pass {_named(name, view)} is {', '.join(sorted(set(types)))} and not {asked}"


def _allowed(name: str, asked: str) -> set[str]:
    """Return the pixel types a pass may have.

    Half floats are for colors alone: Blender writes depth, vectors, masks and Cryptomatte as whole
    floats whatever was asked for (`RE_RenderPassIsColor`).
    """
    return {asked} if name.endswith(".Combined") else {asked, "float"}


def _named(name: str, view: str) -> str:
    return f"{name} ({view})" if view else name
