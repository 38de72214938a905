"""What in a .blend would run code or write files by itself, and how is it kept from that?

Blender's switch for automatic scripts covers registered texts and scripted drivers. It does not
cover Freestyle's style modules, which are Python and run as a frame is rendered, nor simulations
that run and write their cache, to any path the .blend names, as soon as the scene is evaluated.
These are switched off before Blender evaluates the scene for the first time: opening a file calls
the `load_post` handlers just before that.

What is switched off or skipped may be part of the picture, so it is reported: a driver that needs
Python leaves its property as it is or at zero, and nothing else would say so.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

from container_worker.inside_blender.refusal import RefusedError

AT_MOST = 200  # entries: enough to act on, and a message of bounded size

_style_modules: list[str] = []
_stopped: list[tuple[str, str, str]] = []  # object, modifier, folder of its cache
_disarmed: list[str] = []  # the file that it was last done for


def arm() -> None:
    """See to it that every file that is opened from now on is disarmed."""
    if _disarm not in bpy.app.handlers.load_post:
        # A handler that is not persistent is removed before the file is there.
        bpy.app.handlers.load_post.append(bpy.app.handlers.persistent(_disarm))


def disarmed(scene_file: str) -> bool:
    """Tell whether the file that was opened last is this one, and nothing of it was left armed."""
    return [scene_file] == _disarmed


def forget() -> None:
    """Begin anew, before a file is opened."""
    for seen in (_style_modules, _stopped, _disarmed):
        seen.clear()


def _disarm(scene_file: str, *_: object) -> None:
    """Blender prints what a handler raises, and goes on: `disarmed` is how that is noticed."""
    for layer in (layer for scene in bpy.data.scenes for layer in scene.view_layers):
        for module in layer.freestyle_settings.modules:
            if layer.freestyle_settings.mode == "SCRIPT" and module.use:
                text = module.script.name if module.script else "no text"
                _style_modules.append(f"Freestyle style module {text!r} of {layer.name!r}")
            module.use = False
    for thing in bpy.data.objects:
        for modifier in thing.modifiers:
            if modifier.type == "FLUID" and modifier.fluid_type == "DOMAIN":
                _disarm_fluid(thing, modifier)
        for cache in point_caches(thing):
            if cache.use_disk_cache and not cache.is_baked:
                cache.use_disk_cache = False  # it would write beside the .blend
    _disarmed.append(scene_file)


def _disarm_fluid(thing: Any, modifier: Any) -> None:
    """Let a domain read a finished bake, and do nothing else."""
    domain = modifier.domain_settings
    folder = Path(bpy.path.abspath(domain.cache_directory)) / "data"
    baked = folder.is_dir() and any(folder.iterdir())
    # Replay, which is what Blender begins with, simulates and writes while frames are drawn.
    if baked and domain.cache_type != "REPLAY" and not domain.is_cache_baking_any:
        return
    if modifier.show_render:
        _stopped.append((thing.name, modifier.name, domain.cache_directory))
    modifier.show_viewport = modifier.show_render = False


def point_caches(thing: Any) -> Iterator[Any]:
    """Yield what an object keeps the past of its simulations in."""
    for modifier in thing.modifiers:
        if modifier.type in {"CLOTH", "SOFT_BODY"}:
            yield modifier.point_cache
        if modifier.type == "PARTICLE_SYSTEM":
            yield modifier.particle_system.point_cache
        if modifier.type == "DYNAMIC_PAINT" and modifier.canvas_settings:
            for surface in modifier.canvas_settings.canvas_surfaces:
                yield surface.point_cache


def stopped_fluids() -> tuple[tuple[str, str, str], ...]:
    """Return object, modifier and cache folder of the domains that have no finished bake."""
    return tuple(_stopped)


class SkippedPython:
    """What of the open file is Python that would change its frames, and does not run."""

    def __init__(self, scene: Any) -> None:
        # Muted drivers do nothing anywhere; simple expressions need no Python.
        self._drivers = [
            (f"{block.name} {curve.data_path}", curve.driver)
            for block, curve in _drivers(scene)
            if curve.driver.type == "SCRIPTED"
            and not curve.mute
            and not curve.driver.is_simple_expression
        ]

    def found(self) -> list[str]:
        """Return what is known of by now: some drivers are tried only as a frame is rendered."""
        drivers = [
            f"driver of {owner}: {driver.expression[:80]}"
            for owner, driver in self._drivers
            if _is_refused(driver)
        ]
        return [*drivers, *_style_modules, *_texts_that_add_handlers()][:AT_MOST]


def _is_refused(driver: Any) -> bool:
    """Whether Blender refuses an expression; what it finds harmless it evaluates all the same.

    It marks the driver itself only if the viewport shows it; of what is seen by the render alone,
    it tells the last expression that it refused.
    """
    said = f"Driver '{driver.expression}'"
    refused: str = bpy.app.autoexec_fail_message
    return driver.use_self or not driver.is_valid or (bool(refused) and said.startswith(refused))


def refusal(skipped: list[str]) -> RefusedError:
    """Return the refusal of a frame that turned out to need Python as it was rendered."""
    return RefusedError(
        "needs_python",
        "frames depend on Python of the .blend, which never runs on a farm: "
        f"{'; '.join(skipped[:10])}",
        "Bake it to keyframes (Object > Animation > Bake Action) or replace it, or set "
        "allow_skipped_python to render without it",
    )


def _drivers(scene: Any) -> Iterator[tuple[Any, Any]]:
    for block in _blocks(scene):
        for owner in (block, getattr(block, "node_tree", None), getattr(block, "shape_keys", None)):
            if owner is not None and owner.animation_data is not None:
                yield from ((block, curve) for curve in owner.animation_data.drivers)


def _blocks(scene: Any) -> Iterator[Any]:
    """Yield what can have drivers that the scene shows."""
    yield scene
    named = (
        "armatures cameras curves grease_pencils hair_curves lattices lightprobes lights "
        "linestyles masks materials meshes metaballs movieclips node_groups objects particles "
        "pointclouds speakers textures volumes worlds"
    )
    for blocks in (getattr(bpy.data, name, ()) for name in named.split()):
        yield from _in_use(blocks)


def _in_use(blocks: Iterable[Any]) -> Iterator[Any]:
    return (block for block in blocks if block.users > block.use_fake_user)


def _texts_that_add_handlers() -> Iterator[str]:
    """Yield the registered texts that change the scene from frame to frame, or mean to.

    Most registered texts only draw the panels of a rig, which no farm needs.
    """
    for text in bpy.data.texts:
        if text.use_module and "handlers" in text.as_string():
            yield f"registered text {text.name!r} that adds handlers"
