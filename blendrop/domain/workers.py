"""What does a worker say of itself, and when is it thought dead?

State      what it means
---------  ---------------------------------------------------------------------
starting   its Blender is not warm yet
idle       it looks for a message
standby    it looks for none: others use the cores that it shares with them
rendering  it holds a batch
leaving    it was asked to stop, and takes no further message
left       it has ended, and said why

A worker writes its row again and again; one whose row has grown old is thought dead.
"""

import datetime
import re
from collections.abc import Collection
from enum import StrEnum

from blendrop.domain import record, usage

# Beats that a worker may miss: storage that is away for a moment buries nobody.
_BEATS_MISSED = 3


class WorkerState(StrEnum):
    """What a worker is at."""

    STARTING = "starting"
    IDLE = "idle"
    STANDBY = "standby"
    RENDERING = "rendering"
    LEAVING = "leaving"
    LEFT = "left"


# It holds no batch, and could take one.
FREE = frozenset({WorkerState.IDLE, WorkerState.STANDBY})


class RenderingNow(record.Record):
    """The batch that a worker holds, and how far it is."""

    job: str
    batch: int
    frames: str  # canonical; all of the batch
    attempt: int
    since: datetime.datetime
    frames_done: int = 0  # files that have their final names
    frames_left: int  # without their final names and not failed in this attempt
    frame: int | None = None  # in hand
    frame_since: datetime.datetime | None = None


class Worker(record.Record):
    """One life of one worker: a worker that is started again under its name is another row."""

    name: str
    version: str  # of Blendrop
    blenders: tuple[str, ...]  # oldest first, like 5.0
    cpus: int
    memory_mib: int
    device: str  # that Cycles renders on, like CPU or OPTIX
    graphics_cards: tuple[str, ...] = ()  # where they are known
    status_address: str = ""  # of its own HTTP port; empty: it has none
    heartbeat_seconds: float  # between two heartbeats, at most
    started: datetime.datetime
    heard: datetime.datetime  # when it last said so
    state: WorkerState = WorkerState.STARTING
    since: datetime.datetime  # in this state
    rendering: RenderingNow | None = None
    waits_for: str = ""  # why it does not go on, for a person; empty while it does
    charged_seconds: float = 0.0  # of its life, to jobs; what is left is nobody's yet
    left_because: str = ""  # why it left, or is leaving, for a person
    unfit: bool = False  # it left because it could not go on

    @property
    def id(self) -> str:
        """What its row is called: its name, as far as a table key can hold it, and its start."""
        return f"{re.sub(r'[^A-Za-z0-9._-]', '-', self.name)}-{self.started:%Y%m%dT%H%M%S%f}"

    @property
    def held_up(self) -> bool:
        """Whether the world keeps it from going on; who stands by lets others go on."""
        return bool(self.waits_for) and self.state is not WorkerState.STANDBY

    @property
    def machine(self) -> usage.Machine:
        """How large it is, for what it costs."""
        return usage.Machine(
            cpus=self.cpus, memory_gib=self.memory_mib / 1024, graphics_cards=self.graphics_cards
        )

    def has_blender(self, version: str) -> bool:
        """Tell whether it has a Blender that opens scenes of this version."""
        return any(_key(one) >= _key(version) for one in self.blenders)


def thought_dead(rows: Collection[Worker], now: datetime.datetime) -> dict[str, str]:
    """Return why each worker that is thought dead is, by the name of its row."""
    last_start = {}
    for worker in sorted(rows, key=lambda one: one.started):
        last_start[worker.name] = worker.started
    whys = {one.id: why_dead(one, now, name_taken=last_start[one.name]) for one in rows}
    return {row: why for row, why in whys.items() if why}


def why_dead(
    worker: Worker, now: datetime.datetime, *, name_taken: datetime.datetime | None = None
) -> str:
    """Return why a worker is thought dead, for a person; empty: it is alive.

    A worker that was started under its name after it was last heard from is in its place.
    """
    if worker.state is WorkerState.LEFT:
        return f"left: {worker.left_because}"
    silent = (now - worker.heard).total_seconds()
    if name_taken is not None and name_taken > worker.heard:
        return f"last heard from {how_long(silent)} ago while {_at(worker)}, and started anew since"
    if silent <= _BEATS_MISSED * worker.heartbeat_seconds:
        return ""
    return f"last heard from {how_long(silent)} ago while {_at(worker)}"


def _at(worker: Worker) -> str:
    if worker.rendering is not None:
        return f"it rendered batch {worker.rendering.batch} of job {worker.rendering.job}"
    return {
        WorkerState.STARTING: "it started",
        WorkerState.STANDBY: "it stood by",
        WorkerState.LEAVING: f"it was leaving ({worker.left_because})",
    }.get(worker.state, "it was idle")


def how_long(seconds: float) -> str:
    """Return a time for a person, like 40 s, 3 minutes or 2 hours."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} hours"
    return f"{seconds / 86_400:.0f} days"


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
