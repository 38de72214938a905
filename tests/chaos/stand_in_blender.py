"""What draws frames in Blender's place, quickly, so that each pixel says what was asked for?

It speaks the same pipe. A scene's file ends in a line of JSON that says which frames are bad, and
how. Run as a program by the worker, imported by the audit. Started with `--notes FOLDER`, it notes
there, in a file of its own, each frame as it begins and ends it: what was written stays, however
the process ends.
"""

import contextlib
import hashlib
import json
import os
import queue
import signal
import struct
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

WIDTH, HEIGHT = 16, 9
MARK = b"\n#CHAOS "
FAULTS = ("crash", "leave", "no_image", "damaged", "wrong_size", "hang", "refuse")
Json = dict[str, Any]


def pixels(
    scene_id: str, frame: int, settings: Mapping[str, Any], size: int = WIDTH * HEIGHT * 3
) -> bytes:
    """Return the RGB of a frame: nothing but a hash of what it is a frame of."""
    asked = {name: value for name, value in settings.items() if value is not None}
    seed = json.dumps([scene_id, frame, asked], sort_keys=True).encode()
    parts = (hashlib.sha256(seed + bytes([n])).digest() for n in range(-(-size // 32)))
    return b"".join(parts)[:size]


def png(rgb: bytes, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Return a PNG (ISO 15948) of 8-bit RGB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checked = kind + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = b"".join(b"\0" + rgb[row * width * 3 : (row + 1) * width * 3] for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class StandIn:
    """One process, with at most one scene open."""

    def __init__(self, read_fd: int, write_fd: int, notes: Path | None = None) -> None:
        self._notes: TextIO | None = None
        if notes is not None:
            own = f"{os.getpid()}-{time.time_ns()}"
            self._notes = (notes / own).open("x", encoding="utf-8")
        self._commands: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._answers = os.fdopen(write_fd, "w", encoding="utf-8")
        threading.Thread(target=self._read, args=[read_fd], daemon=True).start()

    def _read(self, read_fd: int) -> None:
        with os.fdopen(read_fd, encoding="utf-8") as lines, contextlib.suppress(OSError):
            for line in lines:
                self._commands.put(json.loads(line))
        os._exit(3)  # the worker is gone

    def say(self, event: str, **fields: object) -> None:
        """Send one answer."""
        self._answers.write(json.dumps({"event": event, **fields}) + "\n")
        self._answers.flush()

    def note(self, event: str, scene_id: str, frame: int) -> None:
        """Write down that a frame begins or has ended."""
        if self._notes is not None:
            said = {"event": event, "scene": scene_id, "frame": frame, "at": time.time()}
            self._notes.write(json.dumps(said) + "\n")
            self._notes.flush()

    def run(self) -> None:
        """Answer until told to quit."""
        self.say("ready", blender_version="5.0.1")
        spec: Json = {}
        settings: Json = {}
        while (command := self._commands.get())["command"] != "quit":
            if command["command"] == "load":
                spec = json.loads(Path(command["scene_file"]).read_bytes().rpartition(MARK)[2])
                settings = command["settings"]
                image = {"file_format": "PNG", "width": WIDTH, "height": HEIGHT, "channels": 3}
                self.say(
                    "loaded",
                    blender_version="5.0.1",
                    image={**image, "color_depth": "8"},
                    frame_pattern="frame_####.png",
                    missing_files=[],
                    skipped_python=[],
                    notes=[],
                )
            else:
                self._render(spec, settings, command["frame"], Path(command["path"]))

    def _render(self, spec: Json, settings: Json, frame: int, path: Path) -> None:
        self.note("began", spec["id"], frame)
        time.sleep(spec["seconds"])
        fault = spec["bad"].get(str(frame), "")
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif fault == "leave":
            os._exit(11)
        elif fault == "hang":
            time.sleep(600)
        elif fault == "refuse":
            reason = {"class": "render_error", "reason": f"frame {frame} is bad", "remedy": "Mend"}
            self.say("error", **reason)
            return
        if fault != "no_image":
            size = (8, 8) if fault == "wrong_size" else (WIDTH, HEIGHT)
            rgb = pixels(spec["id"], frame, settings, size[0] * size[1] * 3)
            whole = png(rgb, *size)
            path.write_bytes(whole[: len(whole) // 2] if fault == "damaged" else whole)
        self.note("ended", spec["id"], frame)
        self.say(
            "rendered",
            seconds=spec["seconds"],
            display=str(path),
            extra_folder=str(path),
            extra_files=[],
        )


if __name__ == "__main__":
    at = sys.argv.index("--pipe")
    noted = Path(sys.argv[sys.argv.index("--notes") + 1]) if "--notes" in sys.argv else None
    StandIn(int(sys.argv[at + 1]), int(sys.argv[at + 2]), noted).run()
