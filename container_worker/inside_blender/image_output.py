"""What will the image of a frame be, and what is its file called?"""

import ctypes
import functools
import re
import unicodedata
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

from container_worker.inside_blender import render_passes, sequencer
from container_worker.inside_blender.refusal import RefusedError

DEFAULT_NAME = "frame_####"
_CHANNELS = {"BW": 1, "RGB": 3, "RGBA": 4}
_EXR = ("OPEN_EXR", "OPEN_EXR_MULTILAYER")
_NAME_BYTES = 100  # of a frame's name without number and extension
_NUMBER_DIGITS = 10


def set_format(scene: Any, name: str | None) -> list[str]:
    """Give the scene a format of single images, and return notes on what was replaced.

    Raises:
        RefusedError: the scene writes more than one image of a frame, or nothing into it.
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
    _refuse_no_layer(scene)
    if render.use_multiview:
        _refuse_separate_views(scene)
        _refuse_lone_view(scene)
    return notes


def _refuse_no_layer(scene: Any) -> None:
    """Refuse what Blender renders as an empty image, or crashes at (multilayer)."""
    if not any(layer.use for layer in scene.view_layers) and not sequencer.draws(scene):
        raise RefusedError(
            "setting_refused",
            f"no view layer of scene {scene.name!r} is enabled for rendering, so that every frame "
            "would be empty",
            "Turn on Use for Rendering in the View Layer properties",
        )


def _refuse_separate_views(scene: Any) -> None:
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
    if image.views_format == "MULTIVIEW" and sequencer.draws(scene):
        raise RefusedError(
            "setting_refused",
            "the scene is stereoscopic and drawn by the sequencer, of which Blender writes one eye "
            "only, or nothing, to a Multi-View file",
            "Set Output > Views Format to Stereo 3D, or render without Stereoscopy",
        )


def _refuse_lone_view(scene: Any) -> None:
    """Refuse what differs from Blender to Blender: one view in a file that is made for several."""
    views = _views(scene)
    stereo = scene.render.image_settings.views_format == "STEREO_3D"
    if len(views) < 2 or (stereo and not {"left", "right"} <= set(views)):
        raise RefusedError(
            "setting_refused",
            f"the scene is stereoscopic, and of its views only {', '.join(views) or 'none'} "
            f"{'are' if len(views) > 1 else 'is'} rendered",
            "Turn on the views left and right in Output > Stereoscopy, or render without it",
        )


def _views(scene: Any) -> list[str]:
    """Return the views that Blender renders (`BKE_scene_multiview_is_render_view_active`)."""
    every = scene.render.views_format == "MULTIVIEW"
    return [
        view.name
        for view in scene.render.views
        if view.use and (every or view.name in {"left", "right"})
    ]


def expected_image(scene: Any) -> dict[str, Any]:
    """Return the fields of `blendrop.domain.images.ExpectedImage` for a frame of this scene."""
    image = scene.render.image_settings
    width, height = _size(scene)
    # What the sequencer draws is one plain image, in a multilayer file too.
    layered = image.file_format == "OPEN_EXR_MULTILAYER" and not sequencer.draws(scene)
    several = scene.render.use_multiview and image.views_format == "MULTIVIEW"
    return {
        "file_format": image.file_format,
        "width": width,
        "height": height,
        "channels": _channels(image),
        "color_depth": image.color_depth,
        "passes": render_passes.expected(scene) if layered else {},
        "views": _views(scene) if several else [],
    }


def _channels(image: Any) -> int:
    """Return the channels of an image; in a multilayer file, of the sequencer's plain one."""
    if image.file_format == "OPEN_EXR_MULTILAYER":
        return 4 if image.color_mode == "RGBA" else 3
    if image.file_format == "OPEN_EXR" and image.color_mode == "BW" and bpy.app.version < (4, 5, 0):
        return 4  # seen in 4.2; 4.5 writes one
    return _CHANNELS[image.color_mode]


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
    """Return a path for Blender to take as it is; where it knows templates, braces mean one."""
    text = str(path)
    return text.replace("{", "{{").replace("}", "}}") if _knows_templates() else text


@functools.cache
def _knows_templates() -> bool:
    """Tell whether this Blender fills in `{variables}`: 4.5 does, 4.2 does not."""
    probe = bpy.data.scenes.new("templates probe")
    try:
        probe.render.filepath = "{{"
        return "{{" not in probe.render.frame_path(frame=1)
    finally:
        bpy.data.scenes.remove(probe)


def frame_pattern(scene: Any) -> str:
    """Return the name of a frame's file, like `shot_####.png`, from the .blend's own output path.

    Blender puts the number where the last run of `#` is, or at the end, and its own extension in
    place of one that stands there. The rest is made safe to be a file name anywhere; an output
    path that names only a folder gives `frame_####`.
    """
    last = re.split(r"[/\\]", scene.render.filepath)[-1]
    name = expand_template(scene, last) or DEFAULT_NAME
    before, number, after = split_number(name)
    stem, dot, extension = after.rpartition(".")
    if f"{dot}{extension}".lower() in bpy.path.extensions_image:
        after = stem
    end = f".{plain_name(after)}" if after.startswith(".") else plain_name(after)
    return f"{plain_name(before)}{number}{end}{scene.render.file_extension}".lstrip(".")


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
    """Return a text with Blender's `{variables}` filled in, or as it is if it has none.

    Raises:
        RefusedError: Blender cannot fill them in, and would refuse to render.
    """
    if not re.search("[{}]", text) or not _knows_templates():
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
