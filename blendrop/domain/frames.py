"""Which frames does a person mean, and how are they written down?

A frame range is written as parts separated by commas. A part is one frame (`7`), a range with both
ends (`1-10`), or a range with a step (`1-20x2`: 1, 3, … 19). Frames may be negative (`-5--1`), a
range may run backwards (`10-1`), parts may overlap and stand in any order: what counts is the set
of frames. `canonical` writes a set in exactly one way, the same in message, row, log, page and CLI.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from blendrop import errors

# Blender's MINAFRAME and MAXFRAME (DNA_scene_types.h): a scene can hold no frame beyond these.
FIRST_POSSIBLE = -1_048_574
LAST_POSSIBLE = 1_048_574

_PART = re.compile(
    r"(?P<first>-?\d{1,9})(?:-(?P<last>-?\d{1,9})(?:x(?P<step>\d{1,9}))?)?", re.ASCII
)
_REMEDY = "Write frames like 1-10, 1-20x2 or 3,7,12-15"


def parse(text: str, *, at_most: int) -> tuple[int, ...]:
    """Return the frames that `text` names, ascending, each once.

    Raises:
        InvalidRequestError: no frames, not a frame range, a frame Blender cannot have, or more
            than `at_most` frames. The range is never expanded beyond that.
    """
    chosen: set[int] = set()
    parts = [part.strip() for part in text.split(",")]
    if not any(parts):
        raise _refused(text, "it names no frame", _REMEDY)
    for part in parts:
        spread = _parse_part(text, part)
        if len(spread) <= at_most:
            chosen.update(spread)
        if len(spread) > at_most or len(chosen) > at_most:
            raise _refused(
                text,
                f"it names more than {at_most} frames, the most that one job may have here",
                "Split it over several jobs, or ask the farm's engineer to raise the limit",
            )
    return tuple(sorted(chosen))


def _parse_part(text: str, part: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise _refused(text, f"{_shortened(part)!r} is not a frame or a range of frames", _REMEDY)
    first = int(match["first"])
    last = first if match["last"] is None else int(match["last"])
    step = 1 if match["step"] is None else int(match["step"])
    if step == 0:
        raise _refused(text, f"{part!r} has a step of 0", _REMEDY)
    for frame in (first, last):
        if not FIRST_POSSIBLE <= frame <= LAST_POSSIBLE:
            raise _refused(
                text,
                f"Blender has no frame {frame}: its frames run from "
                f"{FIRST_POSSIBLE} to {LAST_POSSIBLE}",
                _REMEDY,
            )
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)


def _refused(text: str, reason: str, remedy: str) -> errors.InvalidRequestError:
    return errors.InvalidRequestError(
        errors.Problem(pointer="frames", value=_shortened(text), reason=reason, remedy=remedy)
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def canonical(frames: Iterable[int]) -> str:
    """Return the one way to write this set of frames; the empty set is the empty string."""
    return ",".join(_written(run) for run in _runs(sorted(set(frames))))


def _runs(ascending: Sequence[int]) -> Iterator[range]:
    """Cut into evenly spaced runs, longest first come: at least 2 frames at step 1, else 3."""
    at = 0
    while at < len(ascending):
        step = ascending[at + 1] - ascending[at] if at + 1 < len(ascending) else 1
        end = at + 1
        while end < len(ascending) and ascending[end] - ascending[end - 1] == step:
            end += 1
        if end - at < (2 if step == 1 else 3):
            end, step = at + 1, 1
        yield range(ascending[at], ascending[end - 1] + 1, step)
        at = end


def _written(run: range) -> str:
    if len(run) == 1:
        return str(run[0])
    step = "" if run.step == 1 else f"x{run.step}"
    return f"{run[0]}-{run[-1]}{step}"


def split(frames: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Cut frames into batches of at most `size`, in order: every frame in exactly one."""
    return [tuple(frames[start : start + size]) for start in range(0, len(frames), size)]


def file_name(pattern: str, frame: int) -> str:
    """Return the file name of a frame: `shot_####.png` and 7 give `shot_0007.png`.

    The pattern holds one run of `#`, whose length is the least number of digits. A negative frame
    has its minus before the digits (`shot_-0007.png`), as Blender names it (BLI_path_frame).
    """
    run = re.search(r"#+", pattern)
    if run is None:
        raise ValueError(f"frame name pattern {pattern!r} has no #")
    digits = f"{abs(frame):0{len(run[0])}d}"
    sign = "-" if frame < 0 else ""
    return f"{pattern[: run.start()]}{sign}{digits}{pattern[run.end() :]}"
