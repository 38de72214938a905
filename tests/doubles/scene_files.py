"""Small scenes, made by a real Blender: run as `python scene_files.py KIND FILE` where bpy is."""

import sys

import bpy

KINDS = {
    "tiny": "a cube that moves, 32x18 Workbench, frames 1 to 6",
    "missing_image": "the same, with a texture that is not there",
    "script": "the same, with a text that is registered to run, and a scripted driver",
    "escape": "the same, with a File Output node and an output path that lead elsewhere",
    "eat_memory": "the same, subdivided into more faces than any machine holds",
    "endless": "the same, with more samples than anyone waits for",
}


def main(kind: str, path: str) -> None:
    """Write one scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    mesh = bpy.data.meshes.new("Cube")
    corners = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    mesh.from_pydata(corners, [], faces)
    cube = bpy.data.objects.new("Cube", mesh)
    scene.collection.objects.link(cube)
    for frame in (1, 6):
        cube.rotation_euler = (0.3, 0.2 * frame, 0.1)
        cube.location = (frame * 0.3 - 1, 0, 0)
        cube.keyframe_insert("location", frame=frame)
        cube.keyframe_insert("rotation_euler", frame=frame)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location = (0, 0, 9)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_start, scene.frame_end = 1, 6
    render = scene.render
    render.engine = "CYCLES" if kind not in {"tiny", "script"} else "BLENDER_WORKBENCH"
    scene.cycles.use_denoising = False  # not every build of Blender can
    if render.engine == "CYCLES":
        scene.cycles.samples = 1
        sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
        sun.data.energy = 3
        scene.collection.objects.link(sun)
    render.resolution_x, render.resolution_y, render.resolution_percentage = 32, 18, 100
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    render.filepath = "//tiny_####"
    {
        "missing_image": miss_image,
        "script": run_scripts,
        "escape": escape,
        "eat_memory": eat_memory,
        "endless": never_end,
    }.get(kind, bool)(scene)
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=True)


def miss_image(scene: bpy.types.Scene) -> None:
    """Give the cube a texture that is not on any disk."""
    image = bpy.data.images.new("gone", 8, 8)
    image.source = "FILE"
    image.filepath = "//textures/gone.png"
    material = bpy.data.materials.new("Textured")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    links.new(texture.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    scene.objects["Cube"].data.materials.append(material)


def run_scripts(scene: bpy.types.Scene) -> None:
    """Try to run Python in all the ways that a .blend has: a text, a driver, a handler by text."""
    text = bpy.data.texts.new("startup.py")
    text.write(
        "import os, pathlib, bpy\n"
        "pathlib.Path(os.path.expanduser('~/script-ran')).write_text('text')\n"
        "def ran(*_): pathlib.Path(os.path.expanduser('~/script-ran')).write_text('handler')\n"
        "bpy.app.handlers.frame_change_pre.append(ran)\n"
    )
    text.use_module = True
    curve = scene.objects["Cube"].driver_add("location", 2)
    curve.driver.type = "SCRIPTED"
    curve.driver.expression = (
        "__import__('pathlib').Path(__import__('os').path.expanduser('~/script-ran'))"
        ".write_text('driver') * 0"
    )


def eat_memory(scene: bpy.types.Scene) -> None:
    """Subdivide the cube into 100 million faces."""
    subdivision = scene.objects["Cube"].modifiers.new("Subdivision", "SUBSURF")
    subdivision.levels = 0
    subdivision.render_levels = 11
    more = scene.objects["Cube"].modifiers.new("More", "SUBSURF")
    more.levels = 0
    more.render_levels = 2


def never_end(scene: bpy.types.Scene) -> None:
    """Ask for days of work."""
    scene.cycles.samples = 2**24 - 1
    scene.cycles.use_adaptive_sampling = False
    scene.render.resolution_percentage = 1000


def escape(scene: bpy.types.Scene) -> None:
    """Let the output and a File Output node lead out of every folder."""
    scene.render.filepath = "//../../../../../../tmp/blendrop-escaped/out_####"
    if bpy.app.version >= (5, 0, 0):
        tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        result = tree.nodes.new("NodeGroupOutput")
        output = tree.nodes.new("CompositorNodeOutputFile")
        output.directory = "/tmp/blendrop-escaped"
        output.file_name = "../../tmp/blendrop-escaped/node_"
        output.file_output_items.new("RGBA", "depth")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        result = tree.nodes.new("CompositorNodeComposite")
        output = tree.nodes.new("CompositorNodeOutputFile")
        output.base_path = "/tmp/blendrop-escaped"
        output.file_slots[0].path = "../../tmp/blendrop-escaped/node_"
    source = tree.nodes.new("CompositorNodeRLayers")
    tree.links.new(source.outputs["Image"], result.inputs[0])
    tree.links.new(source.outputs["Image"], output.inputs[0])


if __name__ == "__main__":
    main(*sys.argv[-2:])
