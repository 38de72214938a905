"""Small scenes, made by a real Blender: run as `python scene_files.py KIND FILE` where bpy is."""

import os
import shutil
import sys
from pathlib import Path

import bpy

KINDS = {
    "tiny": "a cube that moves, 32x18 Workbench, frames 1 to 6",
    "viewport": "the same, with a modifier that the viewport alone shows, and takes long over",
    "missing_image": "the same, with a texture that is not there",
    "script": "the same, with a text that is registered to run, and a scripted driver",
    "harmless": "the same, with drivers that need no Python, and a text that draws a rig's panel",
    "render_driver": "the same, with a scripted driver on what only the render shows",
    "freestyle": "the same, with Freestyle lines drawn by a style module, which is Python",
    "fluid": "the same, with smoke that simulates as it renders, and caches it elsewhere",
    "particles": "the same, with particles that are cached on the disk",
    "disk_baked": "the same, with cloth that was baked to a disk that is not here",
    "missing_everything": "the same, with one of each kind of file that can be missing",
    "escape": "the same, with a File Output node and an output path that lead elsewhere",
    "eat_memory": "the same, subdivided into more faces than any machine holds",
    "endless": "the same, with more samples than anyone waits for",
    "passes": "two view layers with passes of every kind, composited, as half floats",
    "stereo": "two eyes in one OpenEXR file",
    "stereo_layers": "two eyes in one multilayer file, composited",
    "stereo_sides": "two eyes side by side in one PNG",
    "stereo_files": "an image for each eye",
    "stereo_one_eye": "two eyes side by side, one of them turned off",
    "strips": "a colour strip in the sequencer, in multilayer files",
    "stereo_strips": "the same, in stereo",
    "muted_strips": "the same, muted",
    "movie": "a movie as output",
    "odd_output": "a cropped border, wide pixels, no extension, no overwriting, a template as name",
    "no_layer": "no view layer that is enabled",
    "format_TIFF": "that format, and so for each that Blender has",
    "filmic": "a colour management that is not the default, and an image that is mirrored",
    "standard": "the same in another view transform",
    "moving": "a scene of which everything moves, in every way that an animation has",
}


ESCAPED = "/tmp/blendrop-escaped"
_WORKBENCH = {"tiny", "viewport", "script", "spy", "harmless", "render_driver"}


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
    render.engine = "CYCLES" if kind not in _WORKBENCH else "BLENDER_WORKBENCH"
    scene.cycles.use_denoising = False  # not every build of Blender can
    scene.cycles.use_adaptive_sampling = False  # as many samples as a test asks for
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
        "moving": move_everything,
        "viewport": burden_the_viewport,
        "missing_image": miss_image,
        "script": run_scripts,
        "spy": read_environment,
        "harmless": drive_harmlessly,
        "render_driver": drive_what_is_rendered,
        "freestyle": draw_by_script,
        "fluid": simulate_smoke,
        "particles": cache_particles,
        "disk_baked": bake_to_disk,
        "missing_everything": miss_everything,
        "escape": escape,
        "eat_memory": eat_memory,
        "endless": never_end,
        "passes": give_passes,
        "stereo": see_with_two_eyes,
        "stereo_layers": see_layers_with_two_eyes,
        "stereo_sides": see_side_by_side,
        "stereo_files": see_in_two_files,
        "stereo_one_eye": close_one_eye,
        "strips": cut_strips,
        "stereo_strips": cut_strips_for_two_eyes,
        "muted_strips": mute_strips,
        "movie": film,
        "odd_output": write_oddly,
        "no_layer": turn_layers_off,
        "filmic": grade,
        "standard": grade_otherwise,
    }.get(kind, bool)(scene)
    if kind.startswith("format_"):
        render.image_settings.file_format = kind.removeprefix("format_")
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=True, relative_remap=False)
    shutil.rmtree(ESCAPED, ignore_errors=True)  # smoke simulates here, too
    sys.stdout.flush()
    os._exit(0)  # Blender aborts as it takes smoke down


def keyed(owner: bpy.types.bpy_struct, name: str, *values: tuple[int, object]) -> None:
    """Give a property some values, each at its frame."""
    for frame, value in values:
        setattr(owner, name, value)
        owner.keyframe_insert(name, frame=frame)


def move_everything(scene: bpy.types.Scene) -> None:
    """Shapes, lights, materials, settings, what is seen, and which camera it is seen by."""
    cube, sun = scene.objects["Cube"], scene.objects["Sun"].data
    cube.shape_key_add(name="Basis")
    bulge = cube.shape_key_add(name="Bulge")
    for corner in bulge.data:
        corner.co *= 1.6
    keyed(bulge, "value", (1, 0.0), (6, 1.0))
    smooth = cube.modifiers.new("Smooth", "SUBSURF")
    smooth.levels, smooth.render_levels = 0, 2
    keyed(cube.modifiers.new("Wave", "WAVE"), "height", (1, 0.2), (6, 0.8))
    _grow_by_the_clock(cube.modifiers.new("Clock", "NODES"))
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    rig.data.edit_bones.new("Bone").tail = (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    bone = rig.pose.bones["Bone"]
    bone.rotation_mode = "XYZ"
    keyed(bone, "rotation_euler", (1, (0, 0, 0)), (6, (0, 0, 0.9)))
    cube.vertex_groups.new(name="Bone").add(range(4), 1.0, "ADD")
    cube.modifiers.new("Rig", "ARMATURE").object = rig
    second = bpy.data.objects.new("Second", cube.data.copy())
    second.location = (0, 2, 0)
    scene.collection.objects.link(second)
    keyed(second, "hide_render", (1, False), (3, True), (5, False))
    height = second.driver_add("scale", 2).driver
    height.type, height.expression = "SCRIPTED", "0.5 + frame / 10"
    keyed(sun, "energy", (1, 1.0), (6, 6.0))
    keyed(scene.cycles, "samples", (1, 1), (6, 9))
    material = bpy.data.materials.new("Dyed")
    material.use_nodes = True
    colour = material.node_tree.nodes["Principled BSDF"].inputs["Base Color"]
    keyed(colour, "default_value", (1, (1, 0, 0, 1)), (6, (0, 0, 1, 1)))
    cube.data.materials.append(material)
    low = bpy.data.objects.new("Low", bpy.data.cameras.new("Low"))
    low.location, low.rotation_euler = (0, -9, 0), (1.57, 0, 0)
    scene.collection.objects.link(low)
    for frame, camera in ((1, scene.camera), (4, low)):
        scene.timeline_markers.new(camera.name, frame=frame).camera = camera


def _grow_by_the_clock(modifier: bpy.types.NodesModifier) -> None:
    """Lift every point with the seconds that have passed."""
    tree = modifier.node_group = bpy.data.node_groups.new("Clock", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "NodeGroupOutput", "GeometryNodeSetPosition")
    begin, end, lift = (tree.nodes.new(kind) for kind in kinds)
    clock = tree.nodes.new("GeometryNodeInputSceneTime")
    upwards = tree.nodes.new("ShaderNodeCombineXYZ")
    tree.links.new(begin.outputs[0], lift.inputs["Geometry"])
    tree.links.new(clock.outputs["Seconds"], upwards.inputs["Z"])
    tree.links.new(upwards.outputs[0], lift.inputs["Offset"])
    tree.links.new(lift.outputs[0], end.inputs[0])


def burden_the_viewport(scene: bpy.types.Scene) -> None:
    """Subdivide the cube, and thin it out again by a share that changes with each frame."""
    cube = scene.objects["Cube"]
    cube.modifiers.new("Finer", "SUBSURF").levels = 7
    fewer = cube.modifiers.new("Fewer", "DECIMATE")
    keyed(fewer, "ratio", (1, 0.2), (6, 0.1))
    for modifier in cube.modifiers:
        modifier.show_render = False


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


def read_environment(scene: bpy.types.Scene) -> None:
    """Try to write down all variables of the environment, and to let one of them be seen."""
    text = bpy.data.texts.new("spy.py")
    text.write(
        "import os, pathlib\n"
        "pathlib.Path(os.path.expanduser('~/script-ran')).write_text(str(os.environ))\n"
        "print('spied', os.environ)\n"
    )
    text.use_module = True
    drive(scene.objects["Cube"], 0, "len(__import__('os').environ['BLENDROP_STORAGE'])")


def drive(thing: bpy.types.Object, axis: int, expression: str) -> None:
    """Drive one axis of an object's scale."""
    curve = thing.driver_add("scale", axis)
    curve.driver.type = "SCRIPTED"
    curve.driver.expression = expression


def drive_harmlessly(scene: bpy.types.Scene) -> None:
    """Use what Blender evaluates by itself, what it finds harmless, and a rig's panel."""
    drive(scene.objects["Cube"], 0, "1 + sin(frame) * 0.1")
    drive(scene.objects["Cube"], 1, "[1, 2][0]")
    muted = scene.objects["Cube"].driver_add("scale", 2)
    muted.driver.expression = "__import__('os').getpid()"
    muted.mute = True
    text = bpy.data.texts.new("rig_ui.py")
    text.write("import bpy\nclass Panel(bpy.types.Panel):\n    bl_label = 'Rig'\n")
    text.use_module = True


def drive_what_is_rendered(scene: bpy.types.Scene) -> None:
    """Hide what is driven from the viewport: Blender meets the driver only as it renders."""
    drive(scene.objects["Cube"], 0, "__import__('math').pi")
    scene.objects["Cube"].hide_viewport = True


def draw_by_script(scene: bpy.types.Scene) -> None:
    """Let Freestyle run a text of the .blend for each frame."""
    scene.render.use_freestyle = True
    text = bpy.data.texts.new("style.py")
    text.write("import os\nopen(os.path.expanduser('~/script-ran'), 'w').write('style')\n")
    freestyle = scene.view_layers[0].freestyle_settings
    freestyle.mode = "SCRIPT"
    module = freestyle.modules.new()
    module.script, module.use = text, True


def simulate_smoke(scene: bpy.types.Scene) -> None:
    """Let the cube be smoke that Blender simulates, and writes down, while it renders."""
    modifier = scene.objects["Cube"].modifiers.new("Smoke", "FLUID")
    modifier.fluid_type = "DOMAIN"
    modifier.domain_settings.resolution_max = 8
    modifier.domain_settings.cache_type = "REPLAY"
    modifier.domain_settings.cache_directory = f"{ESCAPED}/smoke"


def cache_particles(scene: bpy.types.Scene) -> None:
    """Let particles be cached beside the .blend, wherever that lies."""
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])  # without a place there is no cache on disk
    modifier = scene.objects["Cube"].modifiers.new("Particles", "PARTICLE_SYSTEM")
    modifier.particle_system.point_cache.use_disk_cache = True


def bake_to_disk(scene: bpy.types.Scene) -> None:
    """Bake cloth to the disk, of which the .blend that is uploaded keeps only that it was."""
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
    thing = scene.objects["Cube"]
    cache = thing.modifiers.new("Cloth", "CLOTH").point_cache
    cache.use_disk_cache = True
    cache.frame_end = 3
    with bpy.context.temp_override(scene=scene, active_object=thing, point_cache=cache):
        bpy.ops.ptcache.bake(bake=True)
    for folder in Path(sys.argv[-1]).parent.glob("blendcache_*"):
        shutil.rmtree(folder)


def miss_everything(scene: bpy.types.Scene) -> None:
    """Use one of each kind of file, with none of them there."""
    miss_image(scene)
    thing = scene.objects["Cube"]
    nodes = thing.data.materials[0].node_tree.nodes
    for name, source, path in (
        ("frames", "SEQUENCE", "//gone/frame_0001.png"),
        ("film", "MOVIE", "//gone/film.mp4"),
        ("tiles", "TILED", "//gone/tile.<UDIM>.png"),
    ):
        image = bpy.data.images.new(name, 8, 8, tiled=source == "TILED")
        image.source = source
        image.filepath = path
        nodes.new("ShaderNodeTexImage").image = image
    profile = nodes.new("ShaderNodeTexIES")
    profile.mode, profile.filepath = "EXTERNAL", "//gone/lamp.ies"
    letters = bpy.data.curves.new("Letters", "FONT")
    letters.font = font("//gone/type.ttf")
    scene.collection.objects.link(bpy.data.objects.new("Letters", letters))
    volume = bpy.data.volumes.new("Cloud")
    volume.filepath = "//gone/cloud_0001.vdb"
    scene.collection.objects.link(bpy.data.objects.new("Cloud", volume))
    thing.modifiers.new("Mesh Cache", "MESH_CACHE").filepath = "//gone/walk.pc2"
    thing.modifiers.new("Cloth", "CLOTH")
    thing.modifiers.new("Particles", "PARTICLE_SYSTEM")
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strips.new_image("Strip", "//gone/strip.png", channel=1, frame_start=1)
    bpy.utils.register_class(TheirNode)
    nodes.new("TheirNode").name = "Their Node"
    bpy.utils.unregister_class(TheirNode)
    library = Path(sys.argv[-1]).with_name("library.blend")
    bpy.data.libraries.write(str(library), {bpy.data.materials.new("Linked")}, fake_user=True)
    with bpy.data.libraries.load(str(library), link=True, relative=False) as (_, here):
        here.materials = ["Linked"]
    thing.data.materials.append(here.materials[0])
    bpy.ops.wm.save_as_mainfile(filepath=sys.argv[-1])
    library.unlink()


class TheirNode(bpy.types.Node):  # type: ignore[misc]
    """A node of an add-on that the farm does not have."""

    bl_idname = bl_label = "TheirNode"


def font(path: str) -> bpy.types.VectorFont:
    """Return a font whose file is gone: Blender takes only one that was there."""
    there = Path(bpy.utils.system_resource("DATAFILES")) / "fonts" / "Inter.woff2"
    loaded = bpy.data.fonts.load(str(there))
    loaded.filepath = path
    return loaded


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
    scene.render.resolution_percentage = 1000


def escape(scene: bpy.types.Scene) -> None:
    """Let the output and a File Output node lead out of every folder."""
    scene.render.filepath = "//../../../../../../tmp/blendrop-escaped/out_####"
    tree, result = composite(scene)
    output = tree.nodes.new("CompositorNodeOutputFile")
    if bpy.app.version >= (5, 0, 0):
        output.directory = ESCAPED
        output.file_name = "../../tmp/blendrop-escaped/node_"
        output.file_output_items.new("RGBA", "depth")
    else:
        output.base_path = ESCAPED
        output.file_slots[0].path = "../../tmp/blendrop-escaped/node_"
    tree.links.new(result.inputs[0].links[0].from_socket, output.inputs[0])


def composite(scene: bpy.types.Scene) -> tuple[bpy.types.NodeTree, bpy.types.Node]:
    """Let the compositor pass the image on; return its tree and the node of its result."""
    if bpy.app.version >= (5, 0, 0):
        tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        result = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        result = tree.nodes.new("CompositorNodeComposite")
    source = tree.nodes.new("CompositorNodeRLayers")
    tree.links.new(source.outputs["Image"], result.inputs[0])
    return tree, result


def write(scene: bpy.types.Scene, file_format: str, depth: str, color_mode: str = "RGBA") -> None:
    """Set the output's format."""
    image = scene.render.image_settings
    if hasattr(image, "media_type"):  # since 5.0
        layers = file_format == "OPEN_EXR_MULTILAYER"
        image.media_type = "MULTI_LAYER_IMAGE" if layers else "IMAGE"
    image.file_format, image.color_mode, image.color_depth = file_format, color_mode, depth


def give_passes(scene: bpy.types.Scene) -> None:
    """Turn on whatever a view layer of Cycles can have, and another layer with little."""
    write(scene, "OPEN_EXR_MULTILAYER", "16")
    layer = scene.view_layers[0]
    for owner in (layer, layer.cycles):
        for name in dir(owner):
            if name.startswith(("use_pass_", "denoising_store_passes")):
                setattr(owner, name, True)
    layer.pass_cryptomatte_depth = 4
    for name, kind in (("wet.map", "COLOR"), ("height", "VALUE")):
        value = layer.aovs.add()
        value.name, value.type = name, kind
    layer.lightgroups.add().name = "key"
    scene.view_layers.new("Back.ground").use_pass_mist = True
    scene.view_layers.new("Unused").use = False
    composite(scene)


def see_with_two_eyes(scene: bpy.types.Scene) -> None:
    """Write both views to one plain OpenEXR file."""
    write(scene, "OPEN_EXR", "16")
    scene.render.use_multiview = True
    scene.render.image_settings.views_format = "MULTIVIEW"


def see_layers_with_two_eyes(scene: bpy.types.Scene) -> None:
    """Write both views of two passes to one multilayer file, composited."""
    see_with_two_eyes(scene)
    write(scene, "OPEN_EXR_MULTILAYER", "16")
    scene.render.image_settings.views_format = "MULTIVIEW"
    scene.view_layers[0].use_pass_mist = True
    composite(scene)


def see_side_by_side(scene: bpy.types.Scene) -> None:
    """Write both views to one PNG of double width."""
    scene.render.use_multiview = True
    image = scene.render.image_settings
    image.views_format = "STEREO_3D"
    image.stereo_3d_format.display_mode = "SIDEBYSIDE"


def see_in_two_files(scene: bpy.types.Scene) -> None:
    """Write a file for each view, as Blender does unless told otherwise."""
    scene.render.use_multiview = True
    scene.render.image_settings.views_format = "INDIVIDUAL"


def close_one_eye(scene: bpy.types.Scene) -> None:
    """Turn the left view off."""
    see_side_by_side(scene)
    scene.render.views["left"].use = False


def cut_strips(scene: bpy.types.Scene) -> None:
    """Let the sequencer draw a colour."""
    write(scene, "OPEN_EXR_MULTILAYER", "16", "RGB")
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    length = {"length": 10} if bpy.app.version >= (5, 0, 0) else {"frame_end": 11}
    strip = strips.new_effect(name="Red", type="COLOR", channel=1, frame_start=1, **length)
    strip.color = (1, 0, 0)


def cut_strips_for_two_eyes(scene: bpy.types.Scene) -> None:
    """Let the sequencer draw for both eyes, into one OpenEXR file."""
    cut_strips(scene)
    see_with_two_eyes(scene)


def mute_strips(scene: bpy.types.Scene) -> None:
    """Mute the only channel there is, so that the scene itself is drawn."""
    cut_strips(scene)
    scene.sequence_editor.channels[1].mute = True


def film(scene: bpy.types.Scene) -> None:
    """Ask for a movie."""
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "VIDEO"
    image.file_format = "FFMPEG"
    scene.render.filepath = "//film.mp4"


def write_oddly(scene: bpy.types.Scene) -> None:
    """Set whatever an output can have that a farm must not follow, or must follow exactly."""
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = 133, 99, 77
    render.pixel_aspect_x = 1.7
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x = 0.123, 0.777
    render.border_min_y, render.border_max_y = 0.31, 0.9
    render.use_file_extension = render.use_overwrite = False
    render.use_placeholder = True
    render.filepath = "//renders/{blend_name}_##.v2.JPG"


def turn_layers_off(scene: bpy.types.Scene) -> None:
    """Leave nothing to render."""
    scene.view_layers[0].use = False


def grade_otherwise(scene: bpy.types.Scene) -> None:
    """Look at the same through Standard."""
    grade(scene)
    scene.view_settings.view_transform = "Standard"


def grade(scene: bpy.types.Scene) -> None:
    """Light it, look at it through Filmic with an exposure of its own, and mirror it."""
    scene.world = bpy.data.worlds.new("World")
    if not scene.world.use_nodes:
        scene.world.use_nodes = True
    background = next(node for node in scene.world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.9, 0.35, 0.1, 1)
    background.inputs["Strength"].default_value = 2
    render = scene.render
    render.resolution_x, render.resolution_y = 160, 90
    scene.cycles.samples = 4
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.exposure = 0.7
    scene.view_layers.new("Second")
    tree, result = composite(scene)
    flip = tree.nodes.new("CompositorNodeFlip")
    tree.links.new(result.inputs[0].links[0].from_socket, flip.inputs["Image"])
    tree.links.new(flip.outputs["Image"], result.inputs[0])


if __name__ == "__main__":
    main(*sys.argv[-2:])
