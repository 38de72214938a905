"""What can go wrong, sorted by what the one who catches it has to do.

BlendropError
├── InvalidRequestError     the request is wrong: refuse it, and say every problem at once
├── UnauthenticatedError    nobody knows who asks: refuse it, and say how to prove it
├── ForbiddenError          who asks may not do this: refuse it
├── NotFoundError           there is no such thing: refuse it
├── ConflictError           someone else changed it: read again and decide anew
├── UnavailableError        the world is away or full: wait, keep what is held, try again
│   └── BacklogError        more work waits than should: take no more, say when to come back
├── LeaseLostError          the batch belongs to someone else now: stop at once, delete nothing
├── UnfitWorkerError        this worker fails whatever it does: leave, and be replaced
├── UnreadableMessageError  no later attempt can read it: park the message, with the reason
└── FrameError              this frame has no good image from this attempt: count it, go on
    └── SceneError          no frame of this scene can be rendered as asked: fail the job
"""

from dataclasses import dataclass
from enum import StrEnum


class BlendropError(Exception):
    """The root of all errors that this package raises on purpose."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request, in the words of the person who can mend it."""

    pointer: str  # which input: a setting's name (`frames`), or `scene_file` for the .blend itself
    value: str  # what was given, as text, shortened where it is long
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.pointer} {self.value!r}: {self.reason}. {self.remedy}."


class InvalidRequestError(BlendropError):
    """The request cannot be carried out as it stands; `problems` lists everything to mend."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(str(problem) for problem in problems))
        self.problems = problems


class UnauthenticatedError(BlendropError):
    """Nothing proves who asks, or the proof does not hold.

    `challenge` is what `WWW-Authenticate` says (RFC 9110, 11.6.1). Neither it nor the text holds
    anything of the proof itself.
    """

    def __init__(self, reason: str, *, challenge: str) -> None:
        super().__init__(reason)
        self.challenge = challenge


class ForbiddenError(BlendropError):
    """It is known who asks, and they may not do this."""


class NotFoundError(BlendropError):
    """What was asked for does not exist."""


class ConflictError(BlendropError):
    """Someone else changed the row or blob since it was read."""


class UnavailableError(BlendropError):
    """A service or the frame share cannot do its work now, but may later."""


class BacklogError(UnavailableError):
    """So much work waits already that no more is taken; nothing was written."""

    def __init__(self, reason: str, *, retry_seconds: int) -> None:
        super().__init__(reason)
        self.retry_seconds = retry_seconds


class LeaseLostError(BlendropError):
    """The hold on a batch has ended: renewal was refused, or its time ran out."""


class UnfitWorkerError(BlendropError):
    """A worker fails whatever it is given."""


class UnreadableMessageError(BlendropError):
    """A queue message that no attempt will ever be able to carry out."""


class FailureClass(StrEnum):
    """What kind of failure kept a frame from being rendered."""

    CRASH = "crash"
    OUT_OF_MEMORY = "out_of_memory"
    FRAME_TIMEOUT = "frame_timeout"
    HANG = "hang"
    NO_IMAGE = "no_image"
    DAMAGED_IMAGE = "damaged_image"
    WRONG_IMAGE = "wrong_image"
    RENDER_ERROR = "render_error"
    WORKER_DISK = "worker_disk"
    WORKER_LOST = "worker_lost"
    SCENE_UNREADABLE = "scene_unreadable"
    SETTING_REFUSED = "setting_refused"
    MISSING_FILES = "missing_files"
    NEEDS_PYTHON = "needs_python"
    BLENDER_TOO_OLD = "blender_too_old"


class FrameError(BlendropError):
    """One frame has no good image from this attempt.

    `reason` and `remedy` are whole sentences without their full stop; `log_tail` holds the last
    lines that Blender printed, or nothing.
    """

    def __init__(
        self, failure_class: FailureClass, reason: str, remedy: str, log_tail: str = ""
    ) -> None:
        super().__init__(f"{failure_class}: {reason}. {remedy}.")
        self.failure_class = failure_class
        self.reason = reason
        self.remedy = remedy
        self.log_tail = log_tail


class SceneError(FrameError):
    """No frame of this scene can be rendered with these settings, by this worker or any other."""
