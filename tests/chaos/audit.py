"""What is left after the faults: is anything lost, twice, wrong, or stuck?"""

import collections
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import OpenImageIO as oiio

from blendrop import settings
from blendrop.domain import batches, frames, job_settings, jobs
from tests.chaos import person, stand_in_blender
from tests.chaos.person import Asked
from tests.chaos.renders import Render
from tests.doubles.watched_farm import SeenJob

_SLACK = 1.5  # seconds for a renewal to be answered and Blender to be ended, on a busy machine
_PATTERN = "frame_####.png"  # of a job that ended before a worker had opened its scene
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


@dataclass(frozen=True)
class Upload:
    """What was uploaded, and so what must come of it."""

    job: str
    scene_id: str
    bad: Mapping[str, str]  # fault by frame


@dataclass(frozen=True)
class Witnessed:
    """What was seen of a trial from outside; times in seconds, moments since the epoch."""

    uploads: Sequence[Upload]
    views: Mapping[str, SeenJob]  # by job, after everything
    renders: Mapping[str, Sequence[Render]] = field(default_factory=dict)  # by job
    asked: Sequence[Asked] = ()  # by a person, in the order of the answers
    malformed: int = 0  # messages that were sent
    disturbed: Sequence[tuple[float, float]] = ()  # when a worker may have been unable to renew
    strange: Sequence[str] = ()  # whatever else should not have happened
    lease: float = 4.0
    expected: Expected = stand_in_blender.pixels


@dataclass
class Found:
    """What the audit counted; `problems` says each in words."""

    jobs: int = 0
    cancelled: int = 0  # jobs, by a person and for good
    frames: int = 0
    wasted: int = 0  # renders that ended, of frames that had been rendered to the end before
    cut_off: int = 0  # renders of good frames that were begun and never ended
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    stuck: int = 0
    problems: list[str] = field(default_factory=list)
    injected: collections.Counter[str] = field(default_factory=collections.Counter)


async def audit(farm: LeftBehind, seen: Witnessed) -> Found:
    """Compare everything that is left with what was asked for."""
    found = Found(jobs=len(seen.uploads))
    for upload in seen.uploads:
        view = seen.views.get(upload.job)
        if view is None or not view.job.ended:
            found.stuck += 1
            state = f"{view.job.state}: {view.job.reason}" if view else "never made"
            found.problems.append(f"job {upload.job} is stuck: {state}")
            continue
        _audit_job(farm, upload, view, seen, found)
        _audit_renders(upload, seen, found)
    left = await farm.depth()
    if left:
        found.stuck += left
        found.problems.append(f"{left} messages are left on the queue")
    parked = await farm.depth(settings.POISON_QUEUE)
    if parked < seen.malformed:
        found.lost += 1
        found.problems.append(f"{seen.malformed} messages were malformed, and {parked} are parked")
    unanswered = [one for one in seen.asked if one.status not in {person.DONE, person.REFUSED}]
    found.stuck += len(unanswered)
    found.problems.extend(f"nobody answered, but {one.status}: {one}" for one in unanswered)
    found.wrong += len(seen.strange)
    found.problems.extend(seen.strange)
    return found


def _audit_job(
    farm: LeftBehind, upload: Upload, view: SeenJob, seen: Witnessed, found: Found
) -> None:
    job, folder = view.job, farm.share / view.job.id
    cancelled = any(until == math.inf for _, until in cancellations(seen.asked, job.id))
    found.cancelled += cancelled
    failures = {one.frame: one for batch in view.batches for one in batch.failures}
    wanted = set(job.frame_numbers())
    found.frames += len(wanted)
    pattern = job.frame_pattern or _PATTERN
    names = {frames.file_name(pattern, number): number for number in wanted}
    standing = set()
    if folder.exists():  # not that of a job that was cancelled before its first frame
        standing = {path.name for path in folder.iterdir() if path.is_file()}
    asked = job.settings.model_dump(include=set(job_settings.PIXELS))
    for name, number in names.items():
        if name in standing:
            if pixels(folder / name) != seen.expected(upload.scene_id, number, asked):
                found.wrong += 1
                found.problems.append(f"{job.id}/{name} has the wrong pixels")
        elif not cancelled and (number not in failures or not failures[number].reason):
            found.lost += 1
            found.problems.append(f"{job.id}/{name} is lost: job {job.state}: {job.reason}")
    for bad in map(int, upload.bad):
        if bad not in failures and not cancelled:
            found.wrong += 1
            found.problems.append(f"frame {bad} of {job.id} is bad, and did not fail")
    strange = standing - set(names)
    found.duplicated += len(strange)
    found.problems.extend(f"{job.id}/{name} is nobody's" for name in sorted(strange))
    should_be = jobs.JobState.FAILED if failures else jobs.JobState.COMPLETED
    if cancelled:
        should_be = jobs.JobState.CANCELLED
    open_rows = [batch.number for batch in view.batches if batch.state in batches.OPEN]
    if job.state is not should_be or open_rows:
        found.wrong += 1
        found.problems.append(
            f"{job.id} is {job.state} and not {should_be}, with batches {open_rows} open"
        )


def _audit_renders(upload: Upload, seen: Witnessed, found: Found) -> None:
    good = [one for one in seen.renders.get(upload.job, ()) if str(one.frame) not in upload.bad]
    ended = collections.Counter(one.frame for one in good if one.ended is not None)
    found.wasted += sum(times - 1 for times in ended.values())
    found.cut_off += sum(one.ended is None for one in good)
    for since, until in cancellations(seen.asked, upload.job):
        bound = _bound(seen, since)
        for one in seen.renders.get(upload.job, ()):
            if since + bound < one.began < until:
                found.wrong += 1
                found.problems.append(
                    f"frame {one.frame} of {upload.job} was begun {one.began - since:.1f} s after "
                    f"a person had cancelled the job, where {bound:.1f} s are allowed"
                )


def cancellations(asked: Sequence[Asked], job_id: str) -> list[tuple[float, float]]:
    """Return from when until when a job was cancelled, in seconds since the epoch."""
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for one in asked:
        if one.job != job_id or one.status != person.DONE:
            continue
        if one.what == "cancel" and since is None:
            since = one.answered
        if one.what == "retry" and since is not None:
            spans.append((since, one.asked))
            since = None
    return spans if since is None else [*spans, (since, math.inf)]


def _bound(seen: Witnessed, since: float) -> float:
    """Return how long after a cancellation frames may still be begun, in seconds.

    Until the next renewal, after a third of a lease. A worker that is held, or cannot reach the
    storage, learns of it no later than its lease has run out.
    """
    soon = seen.lease / 3 + _SLACK
    disturbed = any(
        began < since + soon and ended > since - seen.lease for began, ended in seen.disturbed
    )
    return seen.lease + _SLACK if disturbed else soon


def pixels(path: Path) -> bytes:
    """Return the pixels of an image, 8 bits each."""
    image: Any = oiio.ImageBuf(str(path)).get_pixels(oiio.UINT8)
    return bytes(image.tobytes())


def scene(scene_id: str, head: bytes, bad: Mapping[str, str], seconds: float) -> bytes:
    """Return the file of a scene that the stand-in draws."""
    spec = {"id": scene_id, "bad": dict(bad), "seconds": seconds}
    return head + stand_in_blender.MARK + json.dumps(spec).encode()
