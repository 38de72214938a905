"""What does the CLI need to know of the farm's answers?

Only the fields that it shows or decides by; whatever else an answer holds is let through, so that
an older CLI gets along with a newer farm.
"""

from typing import Any, TypeVar

import pydantic

from blendrop import errors

Json = dict[str, Any]


class Scene(pydantic.BaseModel):
    """The .blend of a job."""

    name: str = ""
    size: int = 0


class Job(pydantic.BaseModel):
    """A job's own row."""

    id: str
    state: str
    reason: str = ""
    scene: Scene = Scene()
    blender_version: str = ""
    frames: str = ""
    frame_count: int = 0
    batch_count: int = 0
    created: str = ""
    owner: str | None = None


class Holding(pydantic.BaseModel):
    """A batch in the hands of a worker."""

    worker: str
    batch: int
    frames: str = ""
    frames_done: int = 0
    waits: str = ""  # why it cannot go on; empty while it renders


class Failure(pydantic.BaseModel):
    """Why a frame has no image."""

    frame: int = 0
    attempts: int = 0
    failure_class: str = ""
    reason: str = ""
    remedy: str = ""
    worker: str = ""
    log_tail: str = ""


class Flagged(pydantic.BaseModel):
    """A frame that is right as a file, and looks suspicious."""

    frame: int
    flags: list[str] = []


class CostPart(pydantic.BaseModel):
    """What one thing that was used costs."""

    what: str
    amount: float = 0.0
    cost: float = 0.0


class Cost(pydantic.BaseModel):
    """What a job costs, as far as the farm's prices go."""

    so_far: float = 0.0
    per_frame: float | None = None
    projected: float | None = None
    currency: str = ""
    parts: list[CostPart] = []
    lacks: list[str] = []


class JobView(pydantic.BaseModel):
    """A job and how far it is."""

    job: Job
    frames_done: int = 0
    frames_failed: str = ""
    frames_left: int | None = None
    frames_per_second: float | None = None
    eta_seconds: float | None = None
    attempts: int | None = None
    render_seconds: float = 0.0
    wasted_seconds: float | None = None
    cost: Cost | None = None
    workers: list[Holding] = []
    failures: list[Failure] = []
    flagged: list[Flagged] = []


class Frame(pydantic.BaseModel):
    """One frame of a job."""

    frame: int
    state: str
    name: str = ""
    failure: Failure | None = None


class Frames(pydantic.BaseModel):
    """All frames of a job."""

    frames: list[Frame]


class Page(pydantic.BaseModel):
    """Some jobs of all; `next` asks for those that follow."""

    jobs: list[Json]
    next: str | None = None


class Event(pydantic.BaseModel):
    """Something that happened to a job."""

    at: str = ""
    kind: str = ""
    reason: str = ""
    by: str | None = None


class Events(pydantic.BaseModel):
    """All that happened to a job."""

    events: list[Event]


class UploadTicket(pydantic.BaseModel):
    """Where to send a scene; the URL is signed, and so must not be shown."""

    scene: str
    url: str = pydantic.Field(repr=False)
    block_size: int = pydantic.Field(ge=1, le=4000 * 2**20)


Read = TypeVar("Read", bound=pydantic.BaseModel)


def read(kind: type[Read], answer: object) -> Read:
    """Return an answer of the farm as what it must be.

    Raises:
        UnavailableError: it is something else.
    """
    try:
        return kind.model_validate(answer)
    except pydantic.ValidationError as invalid:
        where = ", ".join(".".join(map(str, error["loc"])) for error in invalid.errors())
        raise errors.UnavailableError(
            f"the farm's answer is not one that this version knows ({where})"
        ) from invalid
