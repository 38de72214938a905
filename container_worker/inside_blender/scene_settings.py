"""How is a .blend opened, and how are a job's settings laid over what it says?"""

import contextlib
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

from container_worker.inside_blender import containment, image_output, sequencer
from container_worker.inside_blender.refusal import RefusedError, named

Settings = dict[str, Any]
ENGINES = {
    "CYCLES": ("CYCLES",),
    "EEVEE": ("BLENDER_EEVEE_NEXT", "BLENDER_EEVEE"),  # it was "next" from 4.2 to 4.5
    "WORKBENCH": ("BLENDER_WORKBENCH",),
}


def prepare_blender(device: str) -> None:
    """Set what holds for every scene, whatever Blender was started with.

    Raises:
        RefusedError: this machine has no such device for Cycles.
    """
    preferences = bpy.context.preferences
    preferences.filepaths.use_scripts_auto_execute = False
    preferences.filepaths.use_auto_save_temporary_files = False
    preferences.edit.use_negative_frames = True
    containment.arm()
    _EngineField.learn()
    if device != "CPU":
        _use_graphics_cards(device)


def _use_graphics_cards(kind: str) -> None:
    cycles = bpy.context.preferences.addons["cycles"].preferences
    try:
        cycles.compute_device_type = kind
    except TypeError as error:
        raise RefusedError(
            "render_error",
            f"this Blender cannot render on {kind}: {' '.join(str(error).split())}",
            "Set BLENDROP_CYCLES_DEVICE to CPU, or give the worker a Blender that can",
        ) from error
    cycles.get_devices()
    cards = [device for device in cycles.devices if device.type == kind]
    if not cards:
        raise RefusedError(
            "render_error",
            f"Blender finds no {kind} device on this worker",
            "Give the worker one, with its driver, or set BLENDROP_CYCLES_DEVICE to CPU",
        )
    for device in cycles.devices:
        device.use = device.type == kind


def open_file(scene_file: str) -> None:
    """Open a .blend without running any of its scripts.

    Raises:
        RefusedError: it is no .blend, damaged, or of a newer Blender.
    """
    containment.forget()
    try:
        bpy.ops.wm.open_mainfile(filepath=scene_file, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        _refuse_if_newer(_version_in_file(Path(scene_file)))
        said = " ".join(str(error).replace(scene_file, Path(scene_file).name).split())
        raise RefusedError(
            "scene_unreadable",
            f"Blender {_this_blender()} cannot open the scene: {said.removeprefix('Error: ')}",
            "Check that the upload is whole and opens in Blender; save it again if it does",
        ) from error
    _refuse_if_newer(tuple(bpy.data.version[:2]))
    if not containment.disarmed(scene_file):
        raise RefusedError(
            "scene_unreadable",
            "what the scene could run or write by itself could not be switched off",
            "Look at Blender's log for the reason",
        )


def _this_blender() -> str:
    return ".".join(str(part) for part in bpy.app.version[:2])


def _refuse_if_newer(version: tuple[int, ...] | None) -> None:
    if version and version > tuple(bpy.app.version[:2]):
        saved_by = ".".join(str(part) for part in version)
        raise RefusedError(
            "blender_too_old",
            f"the scene was saved by Blender {saved_by}, and this is Blender {_this_blender()}",
            f"Save it with Blender {_this_blender()}, or give the farm Blender {saved_by}",
        )


def _version_in_file(scene_file: Path) -> tuple[int, ...] | None:
    """Return the version in the head of a file that Blender did not open, None if it has none.

    The head is `BLENDER-v402` (three digits) or, since 5.0, `BLENDER17-01v0500`, mostly within a
    zstd frame; Blender brings the `zstandard` module.
    """
    with scene_file.open("rb") as file:
        head = file.read(64)
        if head[:4] == b"\x28\xb5\x2f\xfd":
            with contextlib.suppress(ImportError):
                import zstandard  # noqa: PLC0415 not every build of Blender has it

                file.seek(0)
                with contextlib.suppress(zstandard.ZstdError):
                    head = zstandard.ZstdDecompressor().stream_reader(file).read(64)
    found = re.match(rb"BLENDER(?:[-_][vV](\d)(\d\d)|\d\d-\d\d[vV](\d\d)(\d\d))", head)
    return tuple(int(group) for group in found.groups() if group) if found else None


def lay_over(settings: Settings, device: str, *, persistent_data: bool) -> tuple[Any, list[str]]:
    """Return the scene to render, with the settings laid over it, and notes for the artist.

    Raises:
        RefusedError: a setting cannot be met by this .blend or this Blender.
    """
    scene = _scene(settings.get("scene"))
    notes: list[str] = []
    _set_camera(scene, settings.get("camera"))
    _set_engine(scene, settings.get("engine"))
    if scene.render.engine == "CYCLES":
        # Whatever the .blend says: the worker knows what it has.
        scene.cycles.device = "CPU" if device == "CPU" else "GPU"
    if (samples := settings.get("samples")) is not None:
        notes += _set_samples(scene, samples)
    if (percent := settings.get("resolution_percent")) is not None:
        scene.render.resolution_percentage = percent
    notes += image_output.set_format(scene, settings.get("format"))
    notes += _set_what_a_farm_needs(scene, persistent_data=persistent_data)
    return scene, notes


def _scene(name: str | None) -> Any:
    if name is None:
        return bpy.context.scene
    if name not in bpy.data.scenes:
        raise RefusedError(
            "setting_refused",
            f"there is no scene {name!r} in the .blend; there are {named(bpy.data.scenes.keys())}",
            "Give the name of one of them as the setting scene, or leave it out",
        )
    return bpy.data.scenes[name]


def cameras(scene: Any) -> list[Any]:
    """Return the camera objects of a scene."""
    return [thing for thing in scene.objects if thing.type == "CAMERA"]


def _set_camera(scene: Any, name: str | None) -> None:
    there = {camera.name: camera for camera in cameras(scene)}
    if name is None:
        bound = any(marker.camera for marker in scene.timeline_markers)
        if scene.camera is None and not bound and not sequencer.draws(scene):
            raise RefusedError(
                "setting_refused",
                f"scene {scene.name!r} has no active camera; its cameras are {named(list(there))}",
                "Give a camera's name as the setting camera, or choose one in the .blend",
            )
        return
    if name not in there:
        raise RefusedError(
            "setting_refused",
            f"there is no camera {name!r} in scene {scene.name!r}; there are {named(list(there))}",
            "Give the name of one of them as the setting camera, or leave it out",
        )
    # Markers would switch to another camera again.
    for marker in scene.timeline_markers:
        marker.camera = None
    scene.camera = there[name]


def _set_engine(scene: Any, name: str | None) -> None:
    if name is None:
        asked = _EngineField.of(scene)
        if asked and asked != scene.render.engine:
            raise RefusedError(
                "setting_refused",
                f"the .blend renders with {asked!r}, which this Blender does not have",
                f"Give one of {', '.join(ENGINES)} as the setting engine",
            )
        return
    for identifier in ENGINES[name]:
        with contextlib.suppress(TypeError):
            scene.render.engine = identifier
            return
    raise RefusedError(
        "setting_refused",
        f"this Blender {_this_blender()} was built without {name}",
        "Choose another engine",
    )


def _set_samples(scene: Any, samples: int) -> list[str]:
    notes: list[str] = []
    if scene.render.engine == "CYCLES":
        path = "cycles.samples"
        scene.cycles.samples = samples
    elif scene.render.engine == "BLENDER_WORKBENCH":
        path = "display.render_aa"
        # Workbench knows these numbers only, and OFF for one sample.
        nearest = min((1, 5, 8, 11, 16, 32), key=lambda known: abs(known - samples))
        scene.display.render_aa = str(nearest) if nearest > 1 else "OFF"
        if nearest != samples:
            notes += [f"Workbench renders {nearest} samples, the nearest to {samples} that it has"]
    else:
        path = "eevee.taa_render_samples"
        scene.eevee.taa_render_samples = samples
    for curve in _curves(scene, path):
        curve.mute = True
        notes += ["The .blend animates its samples; they are as the job gives them instead"]
    return notes


def _set_what_a_farm_needs(scene: Any, *, persistent_data: bool) -> list[str]:
    render = scene.render
    render.use_file_extension = True
    render.use_overwrite = True
    render.use_placeholder = False
    render.use_render_cache = False  # it writes a copy of each frame to a folder of its own
    # With motion blur or motion vectors, persistent data can leave the movement of the frame that
    # was rendered before on an object that stands still in this one (seen in 3.4 and 4.2).
    moves = render.use_motion_blur or any(layer.use_pass_vector for layer in scene.view_layers)
    notes = []
    if render.use_persistent_data and moves:
        notes.append("Persistent data is off, since with motion blur a frame can depend on others")
    # Blender 4.5 goes on with the samples of the frame before where they become fewer; 4.2 and 5.0
    # do not. Those between were not tried.
    resampled = (4, 2) < bpy.app.version[:2] < (5, 0) and any(_curves(scene, "cycles.samples"))
    if render.use_persistent_data and resampled:
        notes.append("Persistent data is off, since this Blender may heed no fewer samples with it")
    if not persistent_data:
        notes.append("Persistent data is off, since Blender ran out of memory with it")
    render.use_persistent_data = (
        render.engine == "CYCLES" and not (moves or resampled) and persistent_data
    )
    return notes


def _curves(scene: Any, path: str) -> Iterator[Any]:
    """Yield what animates a property of a scene: F-curves, those of NLA strips, and drivers."""
    animation = scene.animation_data
    if animation is None:
        return
    strips = [strip for track in animation.nla_tracks for strip in track.strips]
    for action in (animation.action, *(strip.action for strip in strips)):
        yield from (curve for curve in _curves_of(action) if curve.data_path == path)
    yield from (curve for curve in animation.drivers if curve.data_path == path)


def _curves_of(action: Any) -> Iterator[Any]:
    if action is None:
        return
    if not hasattr(action, "layers"):  # before 4.4
        yield from action.fcurves
        return
    for strip in (strip for layer in action.layers for strip in layer.strips):
        for bag in strip.channelbags:
            yield from bag.fcurves


class _EngineField:
    """Where a scene in memory holds the name of its engine.

    Python sees EEVEE where a .blend asks for an engine that is not installed, and Blender would
    render with that. The name itself is only in the scene's struct; at which offset is learnt from
    a scene whose engine is known.
    """

    _offset: int | None = None

    @classmethod
    def learn(cls) -> None:
        probe = bpy.data.scenes.new("engine probe")
        try:
            probe.render.engine = "BLENDER_WORKBENCH"
            for end in range(1024, 65_536, 64):  # the field is met before the struct ends
                memory = ctypes.string_at(probe.as_pointer(), end)
                offset = memory.find(b"BLENDER_WORKBENCH\0")
                if offset >= 0:
                    cls._offset = offset
                    return
        finally:
            bpy.data.scenes.remove(probe)

    @classmethod
    def of(cls, scene: Any) -> str:
        """Return the engine's name, or nothing where Blender keeps it otherwise than known."""
        if cls._offset is None:
            return ""
        field = ctypes.string_at(scene.as_pointer() + cls._offset, 32)
        return field.split(b"\0")[0].decode("utf-8", "replace")
