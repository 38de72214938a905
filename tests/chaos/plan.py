"""What does a seed say: which jobs there are, which faults come when, and whom do they befall?

Each user of chance has a generator of its own, and each fault and job its own in turn, so that what
one of them draws, and when, changes nothing for the others.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos import stand_in_blender

RESTART = "storage: restart"
KINDS = (
    "worker: SIGKILL",
    "worker: SIGTERM",
    "worker: SIGSTOP",
    "Blender: SIGKILL",
    "storage: errors, resets, lost answers",
    "storage: slow",
    RESTART,
    "message: twice",
    "message: malformed",
    "message: late and out of order",
    "share: away",
    "share: full",
    "share: read-only",
    "clock: wrong",
    "person: cancel",
    "person: pause, then resume",
    "person: retry",
)
_BETWEEN = 0.65  # seconds from one fault to the next, on average


@dataclass(frozen=True)
class PlannedJob:
    """What is uploaded."""

    number: int
    scene_id: str
    last_frame: int  # from 1
    bad: Mapping[str, str]  # fault by frame
    frame_seconds: float
    metadata: Mapping[str, str]  # settings of the job


@dataclass(frozen=True)
class PlannedFault:
    """One thing that is done to the farm."""

    at: float  # seconds from the beginning, those not counted in which the storage restarts
    kind: str
    worker: int  # whom it befalls, if a worker: its place among them
    job: int  # which it befalls, if a job: its place among them
    lasting: float  # 0 to 1, from the shortest to the longest of its kind
    strength: float  # 0 to 1, from the weakest to the strongest of its kind
    seed: str  # of whatever else its kind draws

    def between(self, shortest: float, longest: float) -> float:
        """Return how long it lasts."""
        return shortest + (longest - shortest) * self.lasting


@dataclass(frozen=True)
class Plan:
    """All that a seed decides."""

    jobs: tuple[PlannedJob, ...]
    faults: tuple[PlannedFault, ...]  # in their order


def of(seed: int, *, seconds: float, job_count: int, workers: int) -> Plan:
    """Return what a seed says; every kind of fault comes, and then chance decides."""
    return Plan(
        jobs=tuple(_job(seed, number) for number in range(job_count)),
        faults=_faults(seed, seconds=seconds, job_count=job_count, workers=workers),
    )


def generator(seed: int | str, user: str) -> random.Random:
    """Return the chances of one user of chance."""
    return random.Random(f"{seed} {user}")


def _job(seed: int, number: int) -> PlannedJob:
    chances = generator(seed, f"job {number}")
    last = chances.randint(4, 40)
    bad: dict[str, str] = {}
    if chances.random() < 0.4:
        some = chances.sample(range(1, last + 1), chances.randint(1, max(1, last // 8)))
        bad = {str(frame): chances.choice(stand_in_blender.FAULTS) for frame in some}
    # Some jobs are one long batch, so that what stops a worker midway finds it there.
    size = chances.randint(1, 9) if chances.random() < 0.7 else last
    # Of others the farm chooses the size, and may split what turns out long.
    metadata = {"batch_size": str(size)} if chances.random() < 0.6 else {}
    if chances.random() < 0.3:
        metadata["samples"] = str(chances.randint(1, 99))
    return PlannedJob(
        number=number,
        scene_id=f"scene-{number}-{chances.getrandbits(64):x}",
        last_frame=last,
        bad=bad,
        frame_seconds=chances.uniform(0.1, 0.6),
        metadata=metadata,
    )


def _faults(seed: int, *, seconds: float, job_count: int, workers: int) -> tuple[PlannedFault, ...]:
    chances = generator(seed, "faults")
    further = max(0, round(seconds / _BETWEEN) - len(KINDS))
    kinds = [*KINDS, *chances.choices(KINDS, k=further)]
    chances.shuffle(kinds)
    moments = sorted(chances.uniform(0, seconds) for _ in kinds)
    return tuple(
        PlannedFault(
            at=at,
            kind=kind,
            worker=chances.randrange(workers),
            job=chances.randrange(job_count),
            lasting=chances.random(),
            strength=chances.random(),
            seed=f"{seed} fault {number}",
        )
        for number, (at, kind) in enumerate(zip(moments, kinds, strict=True))
    )
