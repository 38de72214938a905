"""Which frames did Blender render, when, and to the end?"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.doubles.watched_farm import WatchedFarm


@dataclass(frozen=True)
class Render:
    """One time that a frame was begun; times in seconds since the epoch."""

    frame: int
    began: float
    ended: float | None  # None: whatever rendered it was ended first, or it ended itself


def noted(folder: Path, scene_id: str) -> list[Render]:
    """Return what every stand-in that ever ran noted of a scene, whatever became of it."""
    return [one for file in sorted(folder.iterdir()) for one in _of_process(file, scene_id)]


def _of_process(file: Path, scene_id: str) -> Iterator[Render]:
    begun: tuple[int, float] | None = None
    for line in file.read_text(encoding="utf-8").splitlines():
        note = json.loads(line)
        if note["scene"] != scene_id:
            continue
        if begun is not None:
            frame, began = begun
            yield Render(frame, began, note["at"] if note["event"] == "ended" else None)
        begun = (note["frame"], note["at"]) if note["event"] == "began" else None
    if begun is not None:
        yield Render(*begun, None)


def logged(farm: WatchedFarm, job_id: str) -> Sequence[Render]:
    """Return what workers logged of a job: real Blender notes nothing, so only what they saw end.

    A worker that is killed between a frame's last pixel and its log line leaves nothing here.
    """
    return [
        Render(line["frame"], ended - line["seconds"], ended)
        for line in farm.log_lines("worker-*.log")
        if line.get("job") == job_id and line.get("event") == "frame_done"
        for ended in [datetime.datetime.fromisoformat(line["timestamp"]).timestamp()]
    ]
