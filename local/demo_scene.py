"""What does the demo render? Drops that part and merge over a dark studio floor, in a loop.

Run by Blender as a program of its own, never imported: by the interpreter that holds bpy
(`python local/demo_scene.py OUT.blend`), or by `blender -b -P local/demo_scene.py -- OUT.blend`.
The scene is the same every time: nothing in it is left to chance, and the sampler's seed is fixed.
"""

import math
import sys

import bpy

FRAMES = 24
BEADS = 9

Point = tuple[float, float, float]


def main(path: str) -> None:
    """Write the scene to `path`."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    set_up_render(scene)
    set_up_world(scene)
    build_studio(scene)
    build_drops(scene)
    build_beads()
    build_lights(scene)
    build_camera(scene)
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=True)


def set_up_render(scene: bpy.types.Scene) -> None:
    """A few samples and a denoiser: about a second a frame on two cores."""
    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.render.fps = 24
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = 480, 270
    scene.render.filepath = "//drops_####"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.samples = 8
    cycles.seed = 0
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_quality = "BALANCED"
    cycles.denoising_prefilter = "FAST"
    cycles.use_light_tree = False  # with four lights it costs more than it saves
    cycles.max_bounces = cycles.glossy_bounces = 3
    cycles.diffuse_bounces = 1
    cycles.caustics_reflective = cycles.caustics_refractive = False


def set_up_world(scene: bpy.types.Scene) -> None:
    """A night-blue room that only just shows."""
    world = bpy.data.worlds.new("Night")
    scene.world = world
    use_nodes(world)
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.008, 0.012, 0.03, 1)
    background.inputs["Strength"].default_value = 1.0


def build_studio(scene: bpy.types.Scene) -> None:
    """A floor that bends up into a back wall, in one glossy dark sheet."""
    outline = [(-7.0, 0.0)]
    outline += [
        (5 + 3 * math.sin(angle), 3 - 3 * math.cos(angle))
        for angle in (step / 16 * math.pi / 2 for step in range(17))
    ]
    outline.append((8.0, 9.0))
    vertices = [(x, y, z) for y, z in outline for x in (-14.0, 14.0)]
    faces = [(n, n + 1, n + 3, n + 2) for n in range(0, len(vertices) - 2, 2)]
    mesh = bpy.data.meshes.new("Studio")
    mesh.from_pydata(vertices, [], faces)
    mesh.polygons.foreach_set("use_smooth", [True] * len(faces))
    mesh.materials.append(principled("Studio", color=(0.03, 0.035, 0.06), roughness=0.22, coat=0.0))
    place(scene, "Studio", mesh)


def build_drops(scene: bpy.types.Scene) -> None:
    """Balls of one metaball family, each on its own loop: near each other they flow together."""
    skin = drop_material()
    loops = [  # centre, swing, turns in the loop, phase, radius
        ((0.0, 0.0, 1.25), (0.10, 0.08, 0.10), (1, 1, 2), 0.0, 1.05),
        ((0.0, 0.0, 1.35), (1.55, 0.55, 0.35), (1, 1, 1), 0.0, 0.72),
        ((0.0, 0.0, 1.30), (1.50, 0.50, 0.45), (1, 1, 1), 0.5, 0.66),
        ((0.1, 0.0, 1.70), (0.65, 0.60, 0.80), (1, 1, 1), 0.25, 0.56),
        ((-0.1, 0.0, 1.30), (0.95, 0.70, 0.75), (1, 1, 1), 0.72, 0.50),
        ((0.0, 0.0, 2.45), (0.35, 0.30, 0.30), (1, 2, 1), 0.1, 0.36),
        ((2.25, 0.3, 1.55), (0.25, 0.30, 0.45), (1, 1, 1), 0.6, 0.40),
        ((-2.25, 0.2, 1.05), (0.30, 0.25, 0.40), (1, 1, 1), 0.2, 0.44),
    ]
    for number, (centre, swing, turns, phase, radius) in enumerate(loops):
        ball = bpy.data.metaballs.new("Drop")
        ball.resolution = ball.render_resolution = 0.07
        ball.threshold = 0.55
        ball.elements.new().radius = radius * 1.55
        ball.materials.append(skin)
        drop = place(scene, "Drop" if number == 0 else f"Drop.{number:03d}", ball)
        for frame in range(1, FRAMES + 1):
            angle = [2 * math.pi * (turn * (frame - 1) / FRAMES + phase) for turn in turns]
            drop.location = (
                centre[0] + swing[0] * math.cos(angle[0]),
                centre[1] + swing[1] * math.sin(angle[1]),
                centre[2] + swing[2] * math.sin(angle[2] + 0.9 * number),
            )
            drop.keyframe_insert("location", frame=frame)


def drop_material() -> bpy.types.Material:
    """Candy under clear coat: amber below, rose in the middle, violet above."""
    material = principled("Drop", color=(1, 1, 1), roughness=0.16, coat=1.0)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    shader = nodes["Principled BSDF"]
    position = nodes.new("ShaderNodeNewGeometry")
    axes = nodes.new("ShaderNodeSeparateXYZ")
    height = nodes.new("ShaderNodeMapRange")
    height.inputs["From Min"].default_value = 0.35
    height.inputs["From Max"].default_value = 2.75
    ramp = nodes.new("ShaderNodeValToRGB")
    stops = ramp.color_ramp.elements
    stops[0].position, stops[0].color = 0.0, (1.0, 0.32, 0.03, 1)
    stops[1].position, stops[1].color = 1.0, (0.10, 0.16, 0.95, 1)
    stops.new(0.42).color = (0.95, 0.06, 0.16, 1)
    stops.new(0.72).color = (0.36, 0.05, 0.62, 1)
    links.new(position.outputs["Position"], axes.inputs["Vector"])
    links.new(axes.outputs["Z"], height.inputs["Value"])
    links.new(height.outputs["Result"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
    # A little light of its own stands for the light that would shine through.
    links.new(ramp.outputs["Color"], shader.inputs["Emission Color"])
    shader.inputs["Emission Strength"].default_value = 0.12
    return material


def build_beads() -> None:
    """Small brass balls that roll in a ring on the floor; the nearest are out of focus."""
    brass = principled("Brass", color=(0.95, 0.60, 0.22), roughness=0.14, metallic=1.0)
    for number in range(BEADS):
        radius = (0.16, 0.22, 0.12)[number % 3]
        bpy.ops.mesh.primitive_uv_sphere_add(segments=40, ring_count=20, radius=radius)
        bead = bpy.context.object
        bead.data.polygons.foreach_set("use_smooth", [True] * len(bead.data.polygons))
        bead.data.materials.append(brass)
        for frame in range(1, FRAMES + 1):
            # A third of a turn moves each bead to where one of its own size was: a seamless loop.
            turned = number / BEADS + (frame - 1) / FRAMES / 3
            angle = 2 * math.pi * turned
            bead.location = (2.9 * math.cos(angle), 2.3 * math.sin(angle) - 0.6, radius)
            bead.keyframe_insert("location", frame=frame)


def build_lights(scene: bpy.types.Scene) -> None:
    """A warm key, a cool rim from behind, and a soft strip above that the coats reflect."""
    warm, cool, rose, white = (
        (1.0, 0.72, 0.45),
        (0.30, 0.55, 1.0),
        (0.75, 0.2, 0.6),
        (1.0, 0.95, 0.9),
    )
    area_light(scene, "Key", (-4.5, -3.5, 4.5), size=(2.2, 2.2), watts=420, color=warm)
    area_light(scene, "Rim", (4.8, 3.0, 3.6), size=(1.2, 3.0), watts=520, color=cool)
    area_light(scene, "Strip", (0.5, -0.5, 6.0), size=(5.0, 0.7), watts=220, color=white)
    wall = (0.0, 8.0, 3.0)
    area_light(scene, "Wall", (0.0, 4.0, 0.8), size=(6.0, 0.4), watts=110, color=rose, to=wall)


def area_light(
    scene: bpy.types.Scene,
    name: str,
    location: Point,
    *,
    size: tuple[float, float],
    watts: float,
    color: Point,
    to: Point = (0.0, 0.0, 1.2),
) -> None:
    """Add a rectangle of light that shines towards `to`."""
    light = bpy.data.lights.new(name, "AREA")
    light.shape = "RECTANGLE"
    light.size, light.size_y = size
    light.energy = watts
    light.color = color
    look_at(place(scene, name, light, location), to)


def build_camera(scene: bpy.types.Scene) -> None:
    """A long lens, wide open, that sways once in the loop."""
    camera = bpy.data.cameras.new("Camera")
    camera.lens = 58
    camera.dof.use_dof = True
    camera.dof.aperture_fstop = 0.7
    body = place(scene, "Camera", camera)
    for frame in range(1, FRAMES + 1):
        angle = 2 * math.pi * (frame - 1) / FRAMES
        body.location = (0.5 * math.sin(angle), -11.0, 2.3 + 0.12 * math.cos(angle))
        look_at(body, (0.0, 0.0, 1.2))
        body.keyframe_insert("location", frame=frame)
        body.keyframe_insert("rotation_euler", frame=frame)
    camera.dof.focus_distance = 10.4
    scene.camera = body


def principled(
    name: str, *, color: Point, roughness: float, metallic: float = 0.0, coat: float = 0.0
) -> bpy.types.Material:
    """Make a material of Blender's one shader for most things."""
    material = bpy.data.materials.new(name)
    use_nodes(material)
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*color, 1)
    inputs["Roughness"].default_value = roughness
    inputs["Metallic"].default_value = metallic
    inputs["Coat Weight"].default_value = coat
    inputs["Coat Roughness"].default_value = 0.03
    return material


def use_nodes(shaded: bpy.types.Material | bpy.types.World) -> None:
    """Give it a node tree; since Blender 5.0 it has one from the start."""
    if bpy.app.version < (5, 0, 0):
        shaded.use_nodes = True


def place(
    scene: bpy.types.Scene, name: str, data: bpy.types.ID, location: Point = (0.0, 0.0, 0.0)
) -> bpy.types.Object:
    """Put an object with this data into the scene."""
    placed = bpy.data.objects.new(name, data)
    placed.location = location
    scene.collection.objects.link(placed)
    return placed


def look_at(placed: bpy.types.Object, point: Point) -> None:
    """Turn a camera or light, which look down by themselves, towards a point."""
    x, y, z = (to - at for to, at in zip(point, placed.location, strict=True))
    placed.rotation_euler = (math.acos(-z / math.hypot(x, y, z)), 0.0, -math.atan2(x, y))


if __name__ == "__main__":
    main(sys.argv[-1])
