"""Do the frames of a scene come from its sequencer's strips?"""

from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

_MUTED_COUNT = bpy.app.version < (4, 5, 0)  # seen: 4.2 renders black, 4.5 the scene itself


def draws(scene: Any) -> bool:
    """Tell whether Blender renders the strips instead of the scene (`RE_seq_render_active`)."""
    editor = scene.sequence_editor
    if not scene.render.use_sequencer or editor is None:
        return False
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    return any(
        strip.type != "SOUND" and (_MUTED_COUNT or not _is_muted(editor, strip)) for strip in strips
    )


def _is_muted(editor: Any, strip: Any) -> bool:
    return bool(strip.mute or editor.channels[strip.channel].mute)
