"""Which scenes are measured? Each is made by Blender, the same every time.

Run by Blender as a program of its own, never imported: `python scenes.py KIND OUT.blend`.

tiny       160×90, 16 samples, a handful of faces: what the farm itself costs shows most
medium     240×135, 12 samples, subdivided meshes that turn, packed textures
heavy      160×90, 4 samples, half a million faces once subdivided, a packed image, 41 MB; only the
           camera moves
uneven     160×90, most frames of few samples, three of very many
workbench  the tiny one, by Workbench
one core   most of a frame is a modifier that works on one core and changes from frame to frame
shot       240×135, 240 frames: a flight through bodies of glass, with a cut; its frames' times are
           kept for `make simulate`
"""

import math
import sys
from pathlib import Path

import bpy
import numpy as np

FRAMES = {
    "tiny": 24,
    "medium": 12,
    "heavy": 24,
    "uneven": 24,
    "workbench": 24,
    "one core": 24,
    "shot": 240,
}


def main(kind: str, path: str) -> None:
    """Write one scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, FRAMES[kind]
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = 160, 90
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    render.filepath = "//frame_####"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.seed = "CPU", 16, 0
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    sun = bpy.data.lights.new("Sun", "SUN")
    sun.energy = 3
    placed(scene, "Sun", sun, (0, 0, 5)).rotation_euler = (0.5, 0.3, 0)
    camera = placed(scene, "Camera", bpy.data.cameras.new("Camera"), (0, -8, 4))
    camera.rotation_euler = (1.1, 0, 0)
    scene.camera = camera
    SCENES[kind](scene)
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=False)


def tiny(scene: bpy.types.Scene) -> None:
    """Two things that hardly count."""
    grid(scene, "Floor", 2, scale=8)
    turn(ball(scene, "Ball", 12), scene.frame_end)


def medium(scene: bpy.types.Scene) -> None:
    """A dozen smooth bodies that turn, each with a texture."""
    scene.render.resolution_x, scene.render.resolution_y = 240, 135
    scene.cycles.samples = 12
    floor = grid(scene, "Floor", 200, scale=10)
    floor.data.materials.append(textured("Floor", 1024))
    for number in range(12):
        body = ball(scene, f"Body {number}", 24)
        body.location = (number % 4 * 2.2 - 3.3, number // 4 * 2.2 - 1, 1)
        body.modifiers.new("Smooth", "SUBSURF").render_levels = 2
        body.data.materials.append(textured(f"Body {number}", 512, seed=number))
        turn(body, scene.frame_end)


def heavy(scene: bpy.types.Scene) -> None:
    """A landscape that takes long to be made ready for rendering, and stands still."""
    scene.cycles.samples = 4
    land = grid(scene, "Land", 350, scale=12, rough=0.15)
    fine = land.modifiers.new("Fine", "SUBSURF")
    fine.subdivision_type, fine.render_levels = "SIMPLE", 1
    land.data.materials.append(textured("Land", 3000))
    camera = scene.camera
    for frame in (1, scene.frame_end):
        camera.location.x = frame * 0.05
        camera.keyframe_insert("location", frame=frame)


def uneven(scene: bpy.types.Scene) -> None:
    """Three frames that cost as much as all others together, and more."""
    tiny(scene)
    for frame in range(1, scene.frame_end + 1):
        scene.cycles.samples = 90 if frame in (5, 6, 19) else 4
        scene.cycles.keyframe_insert("samples", frame=frame)


def workbench(scene: bpy.types.Scene) -> None:
    """What takes least of all to render."""
    tiny(scene)
    scene.render.engine = "BLENDER_WORKBENCH"


def one_core(scene: bpy.types.Scene) -> None:
    """A landscape that loses more of its faces in each frame."""
    scene.cycles.samples = 1
    land = grid(scene, "Land", 220, scale=12, rough=0.15)
    fewer = land.modifiers.new("Fewer", "DECIMATE")
    for frame, ratio in ((1, 0.9), (scene.frame_end, 0.1)):
        fewer.ratio = ratio
        fewer.keyframe_insert("ratio", frame=frame)


def shot(scene: bpy.types.Scene) -> None:
    """A flight from afar into bodies of glass and out at the sky; then a cut, to one of them."""
    scene.render.resolution_x, scene.render.resolution_y = 240, 135
    scene.cycles.samples, scene.cycles.max_bounces = 24, 16
    grid(scene, "Floor", 50, scale=20, rough=0.4).data.materials.append(textured("Floor", 512))
    chances = np.random.default_rng(0)
    glass = surface("Glass")
    glass.node_tree.nodes["Principled BSDF"].inputs["Transmission Weight"].default_value = 1
    for number in range(40):
        body = ball(scene, f"Body {number}", 16)
        body.location = (*chances.uniform(-4, 4, size=2), chances.uniform(0.5, 3))
        body.data.materials.append(glass)
        turn(body, scene.frame_end)
    camera = scene.camera
    stations = (
        (1, (0, -40, 6), (1.45, 0, 0)),
        (100, (0, -1, 1.5), (1.55, 0, 0)),
        (140, (0, 9, 3), (2.2, 0, 0)),
        (160, (0, 12, 4), (2.6, 0, 0)),
        (161, (0.5, -6, 1.5), (1.5, 0, 0)),  # the cut
        (240, (3, -5, 1.5), (1.5, 0, 0.5)),
    )
    for frame, place, turned in stations:
        camera.location, camera.rotation_euler = place, turned
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)


SCENES = {
    "tiny": tiny,
    "medium": medium,
    "heavy": heavy,
    "uneven": uneven,
    "workbench": workbench,
    "one core": one_core,
    "shot": shot,
}


def placed(
    scene: bpy.types.Scene,
    name: str,
    data: bpy.types.ID,
    at: tuple[float, float, float] = (0, 0, 0),
) -> bpy.types.Object:
    """Put an object with this data into the scene."""
    thing = bpy.data.objects.new(name, data)
    thing.location = at
    scene.collection.objects.link(thing)
    return thing


def turn(thing: bpy.types.Object, last: int) -> None:
    """Let a thing turn once."""
    for frame in (1, last):
        thing.rotation_euler = (0, 0, 2 * math.pi * (frame - 1) / last)
        thing.keyframe_insert("rotation_euler", frame=frame)


def grid(
    scene: bpy.types.Scene, name: str, cuts: int, *, scale: float, rough: float = 0.0
) -> bpy.types.Object:
    """Add a square of so many faces a side."""
    side = cuts + 1
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    z = rough * np.random.default_rng(0).random(x.shape) / scale
    corners = np.stack([x, y, z], axis=-1).reshape(-1, 3) * scale
    first = (np.arange(cuts)[:, None] * side + np.arange(cuts)).reshape(-1)
    faces = np.stack([first, first + 1, first + side + 1, first + side], axis=-1)
    return placed(scene, name, mesh_of(name, corners, faces))


def ball(scene: bpy.types.Scene, name: str, rings: int) -> bpy.types.Object:
    """Add a ball of twice as many faces round as up."""
    up, round_ = np.meshgrid(
        np.linspace(0.01, math.pi - 0.01, rings), np.linspace(0, 2 * math.pi, 2 * rings)
    )
    corners = np.stack(
        [np.sin(up) * np.cos(round_), np.sin(up) * np.sin(round_), np.cos(up)], axis=-1
    ).reshape(-1, 3)
    first = (np.arange(2 * rings - 1)[:, None] * rings + np.arange(rings - 1)).reshape(-1)
    faces = np.stack([first, first + 1, first + rings + 1, first + rings], axis=-1)
    thing = placed(scene, name, mesh_of(name, corners, faces), (0, 0, 1))
    thing.scale = (1, 0.7, 1)  # so that it is seen to turn
    return thing


def mesh_of(name: str, corners: np.ndarray, faces: np.ndarray) -> bpy.types.Mesh:
    """Make a mesh of quads, without a list of Python's for each."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(corners))
    mesh.vertices.foreach_set("co", corners.astype(np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.astype(np.int32).ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 4, dtype=np.int32))
    mesh.update(calc_edges=True)
    layer = mesh.uv_layers.new(name="UVMap")
    layer.data.foreach_set("uv", corners[faces.ravel(), :2].astype(np.float32).ravel())
    return mesh


def surface(name: str) -> bpy.types.Material:
    """Make a material of a Principled BSDF."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    return material


def textured(name: str, side: int, *, seed: int = 0) -> bpy.types.Material:
    """Make a material with an image of noise that is packed into the .blend."""
    image = bpy.data.images.new(name, side, side)
    pixels = np.random.default_rng(seed).random((side * side, 4), dtype=np.float32)
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    material = surface(name)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    links.new(texture.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return material


if __name__ == "__main__":
    main(sys.argv[-2], str(Path(sys.argv[-1]).absolute()))
