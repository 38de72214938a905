"""Which files does the scene need that are neither packed into the .blend nor on this disk?

Blender renders without them, and says so at most in its log: pink textures, absent objects. The
same goes for simulations that were not baked, since a frame that is rendered by itself has no
frames before it to simulate from.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

from container_worker.inside_blender import containment

AT_MOST = 200  # entries: enough to act on, and a message of bounded size

Entry = dict[str, str]


def find(scene: Any) -> list[Entry]:
    """Return what is missing, each with its kind, name and path (empty where there is none)."""
    found = (
        *_libraries(),
        *_missing_ids(),
        *_images(),
        *_plain_files("font", bpy.data.fonts),
        *_sequences("movie clip", bpy.data.movieclips),
        *_sequences("volume", bpy.data.volumes),
        *_plain_files("cache file", bpy.data.cache_files),
        *_modifier_files(scene),
        *_light_profiles(scene),
        *_strips(scene),
        *_unknown_nodes(scene),
        *_simulations(scene),
    )
    return list({tuple(entry.items()): entry for entry in found}.values())[:AT_MOST]


def _entry(kind: str, name: str, path: str = "") -> Entry:
    return {"kind": kind, "name": name, "path": path}


def _in_use(blocks: Iterable[Any]) -> Iterator[Any]:
    return (block for block in blocks if block.users > block.use_fake_user)


def _on_disk(path: str, owner: Any) -> Path:
    return Path(bpy.path.abspath(path, library=owner.library))


def _libraries() -> Iterator[Entry]:
    for library in bpy.data.libraries:
        if not library.packed_file and not Path(bpy.path.abspath(library.filepath)).is_file():
            yield _entry("library", library.name, library.filepath)


def _missing_ids() -> Iterator[Entry]:
    """Yield what a library that is there does not hold; Blender before 4.2 does not tell."""
    if not hasattr(bpy.data.scenes[0], "is_missing"):
        return
    for block in bpy.data.user_map():
        if block.is_missing and block.library:
            yield _entry("linked data", block.name, block.library.filepath)


def _images() -> Iterator[Entry]:
    for image in _in_use(bpy.data.images):
        if image.source in {"GENERATED", "VIEWER"} or image.packed_file or image.packed_files:
            continue
        path = image.filepath_raw or image.filepath
        if image.source == "TILED":
            yield from _missing_tiles(image, path)
        elif not _exists(path, image, is_sequence=image.source == "SEQUENCE"):
            yield _entry("image", image.name, path)


def _missing_tiles(image: Any, path: str) -> Iterator[Entry]:
    for tile in image.tiles:
        column, row = (tile.number - 1001) % 10, (tile.number - 1001) // 10
        of_tile = path.replace("<UDIM>", str(tile.number))
        of_tile = of_tile.replace("<UVTILE>", f"u{column + 1}_v{row + 1}")
        if not _on_disk(of_tile, image).is_file():
            yield _entry("image", f"{image.name}, tile {tile.number}", of_tile)


def _exists(path: str, owner: Any, *, is_sequence: bool) -> bool:
    file = _on_disk(path, owner)
    if file.is_file():
        return True
    # A sequence may name any of its files, also one that is not there.
    *_, number = ["", *re.findall(r"\d+", file.name)]
    if not is_sequence or not number or not file.parent.is_dir():
        return False
    start, _, end = file.name.rpartition(number)
    like = re.compile(rf"{re.escape(start)}\d+{re.escape(end)}")
    return any(like.fullmatch(other.name) for other in file.parent.iterdir())


def _plain_files(kind: str, blocks: Iterable[Any]) -> Iterator[Entry]:
    for block in _in_use(blocks):
        built_in = block.filepath == "<builtin>"
        if built_in or getattr(block, "packed_file", None):
            continue
        is_sequence = getattr(block, "is_sequence", False)
        if not _exists(block.filepath, block, is_sequence=is_sequence):
            yield _entry(kind, block.name, block.filepath)


def _sequences(kind: str, blocks: Iterable[Any]) -> Iterator[Entry]:
    for block in _in_use(blocks):
        if getattr(block, "packed_file", None):
            continue
        if not _exists(block.filepath, block, is_sequence=True):
            yield _entry(kind, block.name, block.filepath)


def _modifier_files(scene: Any) -> Iterator[Entry]:
    for thing, modifier in _modifiers(scene):
        of_type = modifier.type
        if of_type == "MESH_CACHE" and not _on_disk(modifier.filepath, thing).is_file():
            yield _entry("mesh cache", f"{modifier.name} of {thing.name}", modifier.filepath)
        if (
            of_type == "OCEAN"
            and modifier.is_cached
            and not _on_disk(modifier.filepath, thing).is_dir()
        ):
            yield _entry("ocean cache", f"{modifier.name} of {thing.name}", modifier.filepath)


def _modifiers(scene: Any) -> Iterator[tuple[Any, Any]]:
    for thing in scene.objects:
        if not thing.hide_render:
            yield from ((thing, modifier) for modifier in thing.modifiers if modifier.show_render)


def _node_trees(scene: Any) -> Iterator[tuple[str, Any]]:
    """Yield trees with the name of what they belong to: those of materials are all called alike."""
    yield from ((tree.name, tree) for tree in bpy.data.node_groups)
    owners = (bpy.data.materials, bpy.data.worlds, bpy.data.lights)
    for block in (block for blocks in owners for block in _in_use(blocks)):
        if block.node_tree:
            yield block.name, block.node_tree
    # Since 5.0 the compositor's tree is a node group.
    if bpy.app.version < (5, 0, 0) and scene.use_nodes and scene.node_tree:
        yield scene.name, scene.node_tree


def _light_profiles(scene: Any) -> Iterator[Entry]:
    for _, tree in _node_trees(scene):
        for node in tree.nodes:
            external = node.bl_idname in {"ShaderNodeTexIES", "ShaderNodeScript"} and (
                node.mode == "EXTERNAL"
            )
            if external and not _on_disk(node.filepath, tree).is_file():
                kind = "light profile" if node.bl_idname == "ShaderNodeTexIES" else "shader script"
                yield _entry(kind, node.name, node.filepath)


def _unknown_nodes(scene: Any) -> Iterator[Entry]:
    """Yield the nodes whose add-on, or whose newer Blender, is not here."""
    for owner, tree in _node_trees(scene):
        for node in tree.nodes:
            if node.bl_idname == "NodeUndefined":
                yield _entry("add-on", f"of node {node.name} in {owner}")


def _strips(scene: Any) -> Iterator[Entry]:
    editor = scene.sequence_editor
    if not scene.render.use_sequencer or editor is None:
        return
    for strip in editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all:
        if strip.mute:
            continue
        if strip.type == "MOVIE" and not _on_disk(strip.filepath, scene).is_file():
            yield _entry("movie strip", strip.name, strip.filepath)
        if strip.type == "IMAGE":
            for element in strip.elements:
                path = f"{strip.directory.rstrip('/')}/{element.filename}"
                if not _on_disk(path, scene).is_file():
                    yield _entry("image strip", strip.name, path)


def _simulations(scene: Any) -> Iterator[Entry]:
    kind = "simulation, not baked,"
    for thing, modifier in _modifiers(scene):
        name = f"{modifier.name} of {thing.name}"
        if any(not _is_baked(cache) for cache in _point_caches(modifier)) or (
            modifier.type == "NODES" and _simulates(modifier) and not _bakes_exist(modifier)
        ):
            yield _entry(kind, name)
    for owner, modifier_name, folder in containment.stopped_fluids():
        if owner in scene.objects and not scene.objects[owner].hide_render:
            yield _entry(kind, f"{modifier_name} of {owner}", folder)
    world = scene.rigidbody_world
    if world and world.enabled and world.collection and world.collection.objects:
        moves = any(
            thing.rigid_body
            and thing.rigid_body.type == "ACTIVE"
            and not thing.rigid_body.kinematic
            for thing in world.collection.objects
        )
        if moves and not _is_baked(world.point_cache):
            yield _entry(kind, "Rigid Body World")


def _is_baked(cache: Any) -> bool:
    """Whether what was simulated is in the .blend, or in files that are here."""
    if cache.use_external:
        return _holds_files(Path(bpy.path.abspath(cache.filepath)))
    if cache.use_disk_cache:
        blend = Path(bpy.data.filepath)
        return _holds_files(blend.with_name(f"blendcache_{blend.stem}"))
    return bool(cache.is_baked)


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _point_caches(modifier: Any) -> list[Any]:
    if modifier.type == "PARTICLE_SYSTEM":
        system = modifier.particle_system
        still = system.settings.type == "HAIR" and not system.use_hair_dynamics
        return [] if still or not system.settings.count else [system.point_cache]
    if modifier.type in {"CLOTH", "SOFT_BODY"}:
        return [modifier.point_cache]
    if modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings:
        surfaces = modifier.canvas_settings.canvas_surfaces
        return [surface.point_cache for surface in surfaces if surface.is_active]
    return []


def _simulates(modifier: Any) -> bool:
    """Whether a node group of the modifier has a simulation zone, at any depth."""
    to_see, seen = [modifier.node_group], set()
    while to_see:
        tree = to_see.pop()
        if tree is None or tree.name in seen:
            continue
        seen.add(tree.name)
        for node in tree.nodes:
            if node.bl_idname == "GeometryNodeSimulationOutput":
                return True
            to_see.append(getattr(node, "node_tree", None))
    return False


def _bakes_exist(modifier: Any) -> bool:
    """Whether the bakes of a geometry nodes modifier are packed or on disk.

    Blender does not tell Python whether a bake holds anything; a folder with files is what can be
    seen, and a packed bake is taken at its word.
    """
    if any(getattr(bake, "bake_target", "") == "PACKED" for bake in modifier.bakes):
        return True
    folders = [bake.directory for bake in modifier.bakes if bake.use_custom_path]
    folders.append(modifier.bake_directory)
    return any(
        folder and any(Path(bpy.path.abspath(folder)).glob("**/*.json")) for folder in folders
    )
