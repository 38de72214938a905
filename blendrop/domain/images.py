"""What must the image of a frame be, for the frame to count as done?"""

from collections.abc import Mapping
from enum import StrEnum

from blendrop.domain import record


class ExpectedImage(record.Record):
    """What the scene and the settings ask a frame's image to be, as Blender reported it."""

    file_format: str  # Blender's name: PNG, JPEG, OPEN_EXR, OPEN_EXR_MULTILAYER, TIFF, …
    width: int  # pixels
    height: int  # pixels
    channels: int  # 1 (BW), 3 (RGB) or 4 (RGBA) of each view; `passes` says it where there are any
    color_depth: str  # bits of a channel: "8", "16" or "32"
    # That a multilayer file must hold, by `Layer.Pass`, and how many channels of each at least.
    passes: Mapping[str, int] = {}
    views: tuple[str, ...] = ()  # that the file holds beside each other, like left and right
    textures_missing: bool = False  # so that Blender's pink is nobody's choice of colour


class FrameFlag(StrEnum):
    """What makes a whole, rightly sized image worth a person's look."""

    ONE_COLOR = "one_color"
    TRANSPARENT = "transparent"
    MISSING_TEXTURE_PINK = "missing_texture_pink"
    NOT_A_NUMBER = "not_a_number"
