"""How does a frame look on a screen, where its own file holds scene-linear light?

Blender alone knows the scene's view transform, look, exposure and curves, so it writes what it
shows: the same image as if the output were PNG.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

# What everything else can show as it is; the rest is linear (OpenEXR, HDR) or film's logarithm.
_SHOWN_AS_THEY_ARE = frozenset(
    {"PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "TARGA", "TARGA_RAW", "WEBP", "IRIS"}
)
_PNG = {
    "media_type": "IMAGE",  # since 5.0; it must be set first
    "file_format": "PNG",
    "color_mode": "RGBA",
    "color_depth": "8",
    "compression": 0,  # it is read once, by the worker beside us
    "color_management": "FOLLOW_SCENE",
}


def write(scene: Any, frame: Path) -> tuple[str, str]:
    """Return the image that shows what was just rendered to `frame`, or why there is none.

    It is the frame itself, or a PNG beside it. The frame is whole without it, so that nothing is
    raised.
    """
    if scene.render.image_settings.file_format in _SHOWN_AS_THEY_ARE:
        return str(frame), ""
    if scene.render.use_multiview and not _has_both_eyes(scene.render):
        return "", "the scene has views other than left and right, which no PNG can show"
    path = frame.with_name(f"{frame.name}.display.png")
    try:
        with _as_png(scene.render):
            result = bpy.data.images["Render Result"]
            if scene.render.use_multiview:
                # Blender learns only by a first, failing attempt that its result has views.
                with contextlib.suppress(RuntimeError):
                    result.save_render(str(path), scene=scene)
            result.save_render(str(path), scene=scene)
    except (RuntimeError, KeyError, TypeError) as error:
        return "", f"Blender cannot show the frame: {' '.join(str(error).split())}"
    return str(path), ""


def _has_both_eyes(render: Any) -> bool:
    return {"left", "right"} <= {view.name for view in render.views if view.use}


@contextlib.contextmanager
def _as_png(render: Any) -> Iterator[None]:
    """Set the output to PNG, of both eyes in one, and back to every bit of what it was."""
    image = render.image_settings
    names = [name for name in _PNG if hasattr(image, name)]
    # Each may change those after it, and not every format knows every format of views.
    kept = {name: getattr(image, name) for name in [*names, "views_format"]}
    try:
        for name in names:
            setattr(image, name, _PNG[name])
        if render.use_multiview:
            image.views_format = "STEREO_3D"  # otherwise each view would be a file of its own
        yield
    finally:
        for name, value in kept.items():
            setattr(image, name, value)
