"""What will the image of a frame be, and what is its file called?"""

import ctypes
import re
import unicodedata
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

from container_worker.inside_blender.refusal import RefusedError

DEFAULT_NAME = "frame_####"
_CHANNELS = {"BW": 1, "RGB": 3, "RGBA": 4}
_EXR = ("OPEN_EXR", "OPEN_EXR_MULTILAYER")
_NAME_BYTES = 100  # of a frame's name without number and extension
_NUMBER_DIGITS = 10


def set_format(scene: Any, name: str | None) -> list[str]:
    """Give the scene a format of single images, and return notes on what was replaced.

    Raises:
        RefusedError: the scene writes more than one image of a frame.
    """
    render, image = scene.render, scene.render.image_settings
    notes = []
    if name is None and render.is_movie_format:
        notes.append(
            f"The .blend's output is a movie ({image.file_format}); PNG frames are rendered instead"
        )
        name = "PNG"
    name = name or image.file_format
    if hasattr(image, "media_type"):  # since 5.0
        image.media_type = "MULTI_LAYER_IMAGE" if name == "OPEN_EXR_MULTILAYER" else "IMAGE"
    # Blender answers by setting depth and color mode to what the format can hold, if they are not.
    image.file_format = name
    _refuse_separate_views(scene)
    return notes


def _refuse_separate_views(scene: Any) -> None:
    if not scene.render.use_multiview:
        return
    image = scene.render.image_settings
    one_file = image.views_format == "STEREO_3D" or (
        image.views_format == "MULTIVIEW" and image.file_format in _EXR
    )
    if not one_file:
        raise RefusedError(
            "setting_refused",
            "the scene is stereoscopic and writes each eye's image to a file of its own",
            "Set Output > Views Format to Stereo 3D (or Multi-View, for OpenEXR), or render "
            "without Stereoscopy",
        )


def expected_image(scene: Any) -> dict[str, Any]:
    """Return the fields of `blendrop.domain.images.ExpectedImage` for a frame of this scene."""
    image = scene.render.image_settings
    width, height = _size(scene)
    layered = image.file_format == "OPEN_EXR_MULTILAYER"
    views = 1
    if scene.render.use_multiview and image.views_format == "MULTIVIEW" and not layered:
        views = sum(view.use for view in scene.render.views)
    return {
        "file_format": image.file_format,
        "width": width,
        "height": height,
        "channels": 4 if layered else _CHANNELS[image.color_mode] * views,
        "color_depth": image.color_depth,
        "view_layers": [layer.name for layer in scene.view_layers if layer.use] if layered else [],
    }


def _size(scene: Any) -> tuple[int, int]:
    """Return width and height as Blender's render pipeline computes them (`render_init_from_main`).

    The percentage is applied in whole numbers; borders are single-precision and cut off.
    """
    render = scene.render
    width = render.resolution_x * render.resolution_percentage // 100
    height = render.resolution_y * render.resolution_percentage // 100
    if render.use_border and render.use_crop_to_border:
        width, height = (
            _at(render.border_max_x, width) - _at(render.border_min_x, width),
            _at(render.border_max_y, height) - _at(render.border_min_y, height),
        )
    stereo = render.image_settings.stereo_3d_format
    if render.use_multiview and render.image_settings.views_format == "STEREO_3D":
        if stereo.display_mode == "SIDEBYSIDE" and not stereo.use_squeezed_frame:
            width *= 2
        if stereo.display_mode == "TOPBOTTOM" and not stereo.use_squeezed_frame:
            height *= 2
    return width, height


def _at(share: float, length: int) -> int:
    return int(ctypes.c_float(share * length).value)


def literal_path(path: Path) -> str:
    """Return a path for Blender to take as it is; since 5.0 braces mean a template."""
    text = str(path)
    return text.replace("{", "{{").replace("}", "}}") if bpy.app.version >= (5, 0, 0) else text


def frame_pattern(scene: Any) -> str:
    """Return the name of a frame's file, like `shot_####.png`, from the .blend's own output path.

    Blender puts the number where the last run of `#` is, or at the end. The rest is made safe to
    be a file name anywhere; an output path that names only a folder gives `frame_####`.
    """
    last = re.split(r"[/\\]", scene.render.filepath)[-1]
    extension = scene.render.file_extension
    name = expand_template(scene, last) or DEFAULT_NAME
    before, number, after = split_number(name)
    if after.lower() == extension:
        after = ""
    return f"{plain_name(before)}{number}{plain_name(after)}{extension}".lstrip(".")


def split_number(name: str) -> tuple[str, str, str]:
    """Return what stands before the frame number, its run of `#`, and what stands after."""
    *_, (start, end) = [match.span() for match in re.finditer("#+", name)] or [(len(name),) * 2]
    digits = min(end - start, _NUMBER_DIGITS) or 4
    return name[:start], "#" * digits, name[end:]


def plain_name(text: str) -> str:
    """Return a text with nothing in it but letters, digits, `_`, `-` and inner dots."""
    plain = re.sub(r"[^\w.\-]", "_", unicodedata.normalize("NFC", text))
    plain = re.sub(r"\.{2,}", ".", plain).lstrip(".")
    return plain.encode()[:_NAME_BYTES].decode("utf-8", "ignore")


def expand_template(scene: Any, text: str) -> str:
    """Return a text with Blender 5's `{variables}` filled in, or as it is if it has none.

    Raises:
        RefusedError: Blender cannot fill them in, and would refuse to render.
    """
    if bpy.app.version < (5, 0, 0) or not re.search("[{}]", text):
        return text
    render = scene.render
    kept = render.filepath, render.use_file_extension
    stand_in = "\N{LATIN SMALL LETTER O WITH STROKE}number"
    try:
        render.use_file_extension = False
        render.filepath = text.replace("#", stand_in)
        # Blender adds four digits for the frame, since there is no # left.
        filled: str = render.frame_path(frame=1)[:-4]
    except RuntimeError as error:
        raise RefusedError(
            "setting_refused",
            f"the output name {text!r} has a template that Blender cannot fill in: "
            f"{' '.join(str(error).removeprefix('Error: ').split())}",
            "Mend the output path in the .blend",
        ) from error
    finally:
        render.filepath, render.use_file_extension = kept
    return re.split(r"[/\\]", filled)[-1].replace(stand_in, "#")
