"""How many frames make a batch, and when does a worker give some of its batch back?

A job's batches are cut when it is submitted, before anybody knows what its frames cost. They are
large at first, so that few calls are made for each frame, and small at the end, so that all workers
are through at about the same time. What that guess gets wrong is put right while it renders: a
worker whose batch turns out long gives its tail back when others have nothing to do.

`make simulate` judges these rules; docs/performance.md has its figures.
"""

import math
from collections.abc import Sequence

from blendrop.domain import frames

_PROBED_FROM = 10  # frames; a smaller job shows its extremes soon enough
_ROUNDS = 2  # a batch is what is left, cut for every worker and so many rounds
_NEIGHBOURS = 4  # for each worker: as many as are in batches of one or two frames
_PIECE = 1 / 4  # of the target, in each batch that is given back: the farm is about to run dry
_MOST_PIECES = 99  # beside the batch that they are cut off, as many rows as a table changes at once
_LOOKS = 4  # at the queue, in the time of the target


def planned(every: Sequence[int], *, most: int, workers: int) -> list[tuple[int, ...]]:
    """Return the batches of a job, in the order in which they are to be rendered.

    First its extremes: the first, the middle and the last frame, each alone. Then all others, in
    batches of at most `most` frames, which shrink towards the end where there are several workers.
    Frames that are costly stand beside each other, in the same shots: for several workers, each
    batch therefore has frames from all over the job, so that it takes about as long as any other.
    Only the last and smallest are of neighbours, from the middle of the job: from all over, one of
    them would be of its costliest shot, and everybody would wait for that.

    For no workers at all, every batch has `most` frames, and they stand in their order.
    """
    if not workers:
        return frames.split(every, most)
    if len(every) < _PROBED_FROM:
        return _cut(every, most, workers)
    probes = (every[0], every[len(every) // 2], every[-1])
    others = [frame for frame in every if frame not in probes]
    return [*((frame,) for frame in probes), *_cut(others, most, workers)]


def _cut(some: Sequence[int], most: int, workers: int) -> list[tuple[int, ...]]:
    if workers == 1:
        return frames.split(some, most)
    count = min(_NEIGHBOURS * workers, len(some) // 4)
    first = (len(some) - count) // 2
    others = [*some[:first], *some[first + count :]]
    order = [others[place] for place in _spread(len(others))] + list(some[first : first + count])
    cut: list[tuple[int, ...]] = []
    at = 0
    while at < len(order):
        size = min(most, math.ceil((len(order) - at) / (_ROUNDS * workers)))
        cut.append(tuple(sorted(order[at : at + size])))
        at += size
    return cut


def _spread(count: int) -> list[int]:
    """Return the places 0 to count - 1, any few that follow each other from all over the range.

    They are the numbers with their binary digits read from the right (van der Corput, 1935).
    """
    digits = max(1, (count - 1).bit_length())
    mirrored = (int(f"{number:0{digits}b}"[::-1], 2) for number in range(2**digits))
    return [place for place in mirrored if place < count]


def tail(left: Sequence[int], *, frame_seconds: float, target: float) -> list[tuple[int, ...]]:
    """Return the batches that a worker cuts off the frames it has left, for others that are idle.

    It keeps at least the first one. Nothing is cut off what takes no longer than `target` seconds,
    if frames go on to take `frame_seconds` each.
    """
    if len(left) < 2 or len(left) * frame_seconds <= target:
        return []
    size = max(1, int(target * _PIECE / frame_seconds))
    cut_off = left[size:]
    return frames.split(cut_off, max(size, math.ceil(len(cut_off) / _MOST_PIECES)))


def seconds_between_looks(target: float) -> float:
    """Return how long a worker waits, at the least, before it looks again whether others idle."""
    return target / _LOOKS
