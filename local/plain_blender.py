"""What does plain Blender make of an animation, as `blender -b SCENE -o OUT/ -a` would?

Run by a Python that holds bpy, as a program of its own: `python plain_blender.py SCENE FOLDER`, and
the first and last frame (`-s`, `-e`) if it is not the whole. `--persistent` before all that: with
persistent data, which `blender` itself has no option for.
"""

import sys

import bpy


def main(scene_file: str, folder: str, *between: str, persistent: bool) -> None:
    """Render an animation into a folder."""
    bpy.ops.wm.open_mainfile(filepath=scene_file, load_ui=False)
    if persistent:
        bpy.context.scene.render.use_persistent_data = True
    if between:
        bpy.context.scene.frame_start, bpy.context.scene.frame_end = map(int, between)
    bpy.context.scene.render.filepath = f"{folder}/"
    bpy.ops.render.render(animation=True)


if __name__ == "__main__":
    given = [one for one in sys.argv[1:] if one != "--persistent"]
    main(*given, persistent="--persistent" in sys.argv)
