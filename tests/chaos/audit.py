"""What is left after the faults: is anything lost, twice, wrong, or stuck?"""

import collections
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import OpenImageIO as oiio

from blendrop import settings
from blendrop.domain import batches, frames, jobs
from tests.chaos import stand_in_blender
from tests.doubles.watched_farm import SeenJob

NOT_BLENDERS = {"frames", "batch_size", "priority", "allow_missing_files"}
# What the pixels of a frame must be, by scene, frame and settings.
Expected = Callable[[str, int, Mapping[str, Any]], bytes]


class LeftBehind(Protocol):
    """A farm after the faults."""

    @property
    def share(self) -> Path:
        """The folder of frames."""
        ...

    async def depth(self, queue: str = ...) -> int:
        """Return how many messages a queue holds."""
        ...

    def times_rendered(self, job_id: str) -> Mapping[int, int]:
        """Return how often each frame of a job was rendered."""
        ...


@dataclass(frozen=True)
class Upload:
    """What was uploaded, and so what must come of it."""

    job: str
    scene_id: str
    bad: Mapping[str, str]  # fault by frame


@dataclass
class Found:
    """What the audit counted; `problems` says each in words."""

    jobs: int = 0
    frames: int = 0
    wasted: int = 0  # renders of frames that had been rendered before
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    stuck: int = 0
    problems: list[str] = field(default_factory=list)
    injected: collections.Counter[str] = field(default_factory=collections.Counter)


async def audit(
    farm: LeftBehind,
    uploads: Sequence[Upload],
    views: Mapping[str, SeenJob],
    malformed: int,
    expected: Expected = stand_in_blender.pixels,
) -> Found:
    """Compare everything that is left with what was asked for."""
    found = Found(jobs=len(uploads))
    for upload in uploads:
        view = views.get(upload.job)
        if view is None or not view.job.ended:
            found.stuck += 1
            state = f"{view.job.state}: {view.job.reason}" if view else "never made"
            found.problems.append(f"job {upload.job} is stuck: {state}")
            continue
        _audit_job(farm, upload, view, found, expected)
    left = await farm.depth()
    if left:
        found.stuck += left
        found.problems.append(f"{left} messages are left on the queue")
    parked = await farm.depth(settings.POISON_QUEUE)
    if parked < malformed:
        found.lost += 1
        found.problems.append(f"{malformed} messages were malformed, and {parked} are parked")
    return found


def _audit_job(
    farm: LeftBehind, upload: Upload, view: SeenJob, found: Found, expected: Expected
) -> None:
    job, folder = view.job, farm.share / view.job.id
    failures = {one.frame: one for batch in view.batches for one in batch.failures}
    wanted = {number for batch in job.batches() for number in batch}
    found.frames += len(wanted)
    names = {frames.file_name(job.frame_pattern, number): number for number in wanted}
    standing = {path.name for path in folder.iterdir() if path.is_file()}
    asked = job.settings.model_dump(exclude=NOT_BLENDERS)
    for name, number in names.items():
        if name in standing:
            if pixels(folder / name) != expected(upload.scene_id, number, asked):
                found.wrong += 1
                found.problems.append(f"{job.id}/{name} has the wrong pixels")
        elif number not in failures or not failures[number].reason:
            found.lost += 1
            found.problems.append(f"{job.id}/{name} is lost: job {job.state}: {job.reason}")
    for bad in map(int, upload.bad):
        if bad not in failures:
            found.wrong += 1
            found.problems.append(f"frame {bad} of {job.id} is bad, and did not fail")
    strange = standing - set(names)
    found.duplicated += len(strange)
    found.problems.extend(f"{job.id}/{name} is nobody's" for name in sorted(strange))
    should_be = jobs.JobState.FAILED if failures else jobs.JobState.COMPLETED
    open_rows = [batch.number for batch in view.batches if batch.state in batches.OPEN]
    if job.state is not should_be or open_rows:
        found.wrong += 1
        found.problems.append(f"{job.id} is {job.state}, with batches {open_rows} open")
    rendered = farm.times_rendered(job.id)
    found.wasted += sum(times - 1 for times in rendered.values())


def pixels(path: Path) -> bytes:
    """Return the pixels of an image, 8 bits each."""
    image: Any = oiio.ImageBuf(str(path)).get_pixels(oiio.UINT8)
    return bytes(image.tobytes())


def scene(scene_id: str, head: bytes, bad: Mapping[str, str], seconds: float) -> bytes:
    """Return the file of a scene that the stand-in draws."""
    spec = {"id": scene_id, "bad": dict(bad), "seconds": seconds}
    return head + stand_in_blender.MARK + json.dumps(spec).encode()
