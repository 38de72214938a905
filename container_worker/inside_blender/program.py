"""Which commands does the worker give Blender, and what does Blender answer?

Run as `blender -b … --python program.py -- --pipe R W --device D`, or by a Python that has the
`bpy` module as `python program.py --pipe R W --device D`. R and W are file descriptors, D is what
Cycles renders on; every message is one JSON object on one line:

    load    scene_file, settings,      → loaded    what the scene is, with the settings laid over it
            persistent_data
    render  frame, path                → rendered  the file, how it looks, those of File Output
                                                   nodes, the cost
    quit                               → the process ends

While it renders it says `progress`. What cannot be done is answered by `error` with class, reason
and remedy, and the program goes on. Standard output and error are Blender's own, and go to a log.
"""

import ctypes
import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import bpy  # noqa: TID251 this package runs inside Blender

# At the end of the path, so that nothing of ours hides a module of Blender's.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from container_worker.inside_blender import (
    compositor_files,
    containment,
    display_image,
    image_output,
    missing_files,
    scene_settings,
)
from container_worker.inside_blender.refusal import RefusedError

Message = dict[str, Any]
PROGRESS_SECONDS = 0.5  # at least, between two progress messages
_ASIDE = "Blendrop looks aside"


class Pipe:
    """The two pipes to the worker; when the worker's end closes, the process ends at once."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._write_lock = threading.Lock()
        self.commands: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def start_reading(self) -> None:
        """Take commands as they come, whatever Blender is busy with."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with os.fdopen(self._read_fd, encoding="utf-8") as lines:
            for line in lines:
                self.commands.put(json.loads(line))
        # A clean exit would wait for the render; with the worker gone nobody wants its result.
        os._exit(3)

    def say(self, event: str, **fields: object) -> None:
        """Send one message to the worker."""
        line = json.dumps({"event": event, **fields}) + "\n"
        rest = line.encode()
        with self._write_lock:
            while rest:
                rest = rest[os.write(self._write_fd, rest) :]


class Program:
    """Blender, with at most one scene open."""

    def __init__(self, pipe: Pipe, device: str) -> None:
        self._pipe = pipe
        self._device = device
        self._scene_name = ""
        self._file_outputs: compositor_files.FileOutputs | None = None
        self._python: containment.SkippedPython | None = None
        self._python_may_be_skipped = False
        self._frame = 0
        self._last_progress = 0.0

    def run(self) -> None:
        """Answer commands until `quit`."""
        self._pipe.say("ready", blender_version=bpy.app.version_string.split()[0])
        while True:
            command = self._pipe.commands.get()
            if command["command"] == "quit":
                return
            try:
                self._pipe.say(**self._answer(command))
            except RefusedError as refused:
                self._say_error(refused.failure_class, refused.reason, refused.remedy)
            except Exception as error:  # noqa: BLE001 whatever it is, the worker must be told
                traceback.print_exc()
                self._say_error(
                    "render_error",
                    f"Blender raised {type(error).__name__}: {' '.join(str(error).split())}",
                    "The log says where; try the same in Blender's user interface",
                )

    def _answer(self, command: Message) -> Message:
        if command["command"] == "load":
            return self._load(
                command["scene_file"],
                command["settings"],
                persistent_data=command["persistent_data"],
            )
        if command["command"] == "render":
            return self._render(command["frame"], Path(command["path"]))
        raise ValueError(f"unknown command {command['command']!r}")

    def _say_error(self, failure_class: str, reason: str, remedy: str) -> None:
        self._pipe.say("error", **{"class": failure_class, "reason": reason, "remedy": remedy})

    def _load(self, scene_file: str, settings: Message, *, persistent_data: bool) -> Message:
        self._file_outputs = None
        scene_settings.open_file(scene_file)
        # Opening a file removes every handler that is not marked as persistent.
        for handlers in (bpy.app.handlers.render_pre, bpy.app.handlers.render_stats):
            handlers.append(self._report_progress)
        scene, notes = scene_settings.lay_over(
            settings, self._device, persistent_data=persistent_data
        )
        self._scene_name = scene.name
        self._file_outputs = compositor_files.FileOutputs(scene)
        self._python = containment.SkippedPython(scene)
        self._python_may_be_skipped = bool(settings.get("allow_skipped_python"))
        return {
            "event": "loaded",
            "blender_version": bpy.app.version_string.split()[0],
            "scene": scene.name,
            "scenes": sorted(other.name for other in bpy.data.scenes),
            "camera": scene.camera.name if scene.camera else "",
            "cameras": sorted(camera.name for camera in scene_settings.cameras(scene)),
            "engine": scene.render.engine,
            "frames_per_second": scene.render.fps / scene.render.fps_base,
            "frame_start": scene.frame_start,
            "frame_end": scene.frame_end,
            "frame_step": scene.frame_step,
            "image": image_output.expected_image(scene),
            "frame_pattern": image_output.frame_pattern(scene),
            "missing_files": missing_files.find(scene),
            "skipped_python": self._python.found(),
            "notes": notes,
        }

    def _render(self, frame: int, path: Path) -> Message:
        if self._file_outputs is None or self._python is None:
            raise RefusedError("render_error", "no scene is open", "Load one first")
        scene = bpy.data.scenes[self._scene_name]
        extra_folder = Path(f"{path}.extra")
        self._file_outputs.send_to(extra_folder)
        aside = self._aside()
        for one in (scene, aside):  # Blender takes the frame from the scene that it looks at
            one.frame_current = frame
            one.frame_subframe = 0.0
        if scene.frame_current != frame:
            raise RefusedError(
                "render_error",
                f"Blender has no frame {frame}",
                "Give frames from -1048574 to 1048574",
            )
        scene.render.filepath = image_output.literal_path(path)
        self._frame = frame
        began, cpu_began = time.monotonic(), time.process_time()
        # A still at a frame is drawn as `-a` draws it, and unlike it takes negative frames, which
        # the scene's own frame range does not.
        try:
            with bpy.context.temp_override(scene=aside, view_layer=aside.view_layers[0]):
                result = bpy.ops.render.render(write_still=True, scene=scene.name)
        except RuntimeError as error:
            raise RefusedError(
                "render_error",
                f"Blender refused to render frame {frame}: {_one_line(error)}",
                "Mend it in the .blend; rendering this frame in Blender shows the same error",
            ) from error
        if result != {"FINISHED"} or not path.is_file():
            raise RefusedError(
                "no_image",
                f"Blender ended frame {frame} with {', '.join(result)} but wrote no image",
                "See Blender's log; rendering this frame in Blender may show why",
            )
        if not self._python_may_be_skipped and (skipped := self._python.found()):
            raise containment.refusal(skipped)
        seconds = time.monotonic() - began
        display, problem = display_image.write(scene, path)
        return {
            "event": "rendered",
            "frame": frame,
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu_began,
            "peak_memory_bytes": _peak_memory(),
            "path": str(path),
            "display": display,
            "display_problem": problem,
            "extra_folder": str(extra_folder),
            "extra_files": sorted(
                str(file.relative_to(extra_folder))
                for file in extra_folder.rglob("*")
                if file.is_file()
            ),
        }

    def _aside(self) -> Any:
        """Return an empty scene for Blender to look at while it renders another.

        `bpy.ops` evaluates what it looks at, as the viewport shows it, before and after each call:
        of a scene whose shapes change from frame to frame that took three times as long as to
        render it, and no `-a` does so.
        """
        if _ASIDE not in bpy.data.scenes:
            bpy.data.scenes.new(_ASIDE)
        return bpy.data.scenes[_ASIDE]

    def _report_progress(self, stats: object = None, *_: object) -> None:
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            # Blender before 4.0 gives nothing here, and render_pre gives the scene.
            text = stats if isinstance(stats, str) else ""
            self._pipe.say("progress", frame=self._frame, text=text[:200])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).removeprefix("Error: ").split())


def _peak_memory() -> int:
    """Return the most bytes that were resident at once, 0 where the platform does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(fields["VmHWM"].split()[0]) * 1024


def _print_lines_at_once() -> None:
    """Let the log hold every line as it is printed: a crash loses what the C library still held."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        line_buffered = 1  # _IOLBF of glibc's and musl's stdio.h
        libc.setvbuf(
            ctypes.c_void_p.in_dll(libc, "stdout"), None, line_buffered, ctypes.c_size_t(0)
        )


def main() -> None:
    """Serve the pipe that the command line names, and leave."""
    at = sys.argv.index("--pipe")
    pipe = Pipe(int(sys.argv[at + 1]), int(sys.argv[at + 2]))
    _print_lines_at_once()
    pipe.start_reading()
    device = sys.argv[sys.argv.index("--device") + 1]
    try:
        scene_settings.prepare_blender(device)
    except RefusedError as refused:
        said = {"class": refused.failure_class, "reason": refused.reason, "remedy": refused.remedy}
        pipe.say("error", **said)
    else:
        Program(pipe, device).run()
    sys.stdout.flush()
    sys.stderr.flush()
    # A normal exit hangs in bpy while a render handler is registered, and crashes in bpy 4.2.
    os._exit(0)


main()
