"""What is a batch, who may hold it, and what became of its frames?

State      what it means
---------  -----------------------------------------------------------------
planned    its row exists; no worker has tried it yet
rendering  a worker holds its lease, until `lease_until`
queued     it was given back and waits for another attempt
done       every frame has its final name
failed     some frames failed for good; every other one has its final name
cancelled  its job ended before it did
"""

import datetime
from collections.abc import Collection
from enum import StrEnum

from blendrop import errors
from blendrop.domain import frames, images, record, usage


class BatchState(StrEnum):
    """Where a batch stands."""

    PLANNED = "planned"
    QUEUED = "queued"
    RENDERING = "rendering"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = frozenset({BatchState.PLANNED, BatchState.QUEUED, BatchState.RENDERING})

TRANSITIONS: dict[BatchState, frozenset[BatchState]] = {
    BatchState.PLANNED: frozenset({BatchState.RENDERING, BatchState.CANCELLED}),
    BatchState.QUEUED: frozenset({BatchState.RENDERING, BatchState.CANCELLED}),
    # rendering → rendering: another worker takes over a lease that has run out.
    BatchState.RENDERING: frozenset(
        {
            BatchState.RENDERING,
            BatchState.QUEUED,
            BatchState.DONE,
            BatchState.FAILED,
            BatchState.CANCELLED,
        }
    ),
    BatchState.DONE: frozenset(),
    BatchState.FAILED: frozenset({BatchState.QUEUED}),
    BatchState.CANCELLED: frozenset({BatchState.QUEUED}),
}


class FrameFailure(record.Record):
    """Why a frame has no image, after how many attempts."""

    frame: int
    attempts: int
    failure_class: errors.FailureClass
    reason: str
    remedy: str
    worker: str
    log_tail: str = ""


class FlaggedFrame(record.Record):
    """A frame whose image is whole and of the right shape, and yet worth a person's look."""

    frame: int
    flags: tuple[images.FrameFlag, ...]


class Batch(record.Record):
    """Some frames of one job that one message carries."""

    job: str
    number: int  # from 0
    frames: str  # canonical
    state: BatchState = BatchState.PLANNED
    attempt: int = 0  # how often a worker has claimed it
    worker: str = ""  # who holds it, or held it last
    reason: str = ""  # why it waits, for a person; empty while it renders
    lease_until: datetime.datetime | None = None
    traceparent: str = ""  # W3C trace context of its last attempt
    pause_requested: bool = False  # its worker is to give it back after the frame in hand
    frames_done: int = 0
    taken_over: int = 0  # of those, from an earlier job
    # In Blender, of each frame done.
    frame_seconds: dict[int, float] = {}  # noqa: RUF012 a model copies its defaults
    worker_seconds: float = 0.0  # that workers held it, over all attempts
    idle_seconds: float = 0.0  # that they started, or waited before and after it
    used: usage.Usage = usage.Usage()  # in both
    wasted_seconds: float = 0.0  # in Blender, of attempts at frames that failed
    failures: tuple[FrameFailure, ...] = ()  # one for each frame that has failed so far
    flagged: tuple[FlaggedFrame, ...] = ()

    @property
    def render_seconds(self) -> float:
        """In Blender, of the frames done."""
        return sum(self.frame_seconds.values())

    def frame_numbers(self) -> tuple[int, ...]:
        """Return its frames, ascending."""
        return frames.parse(self.frames, at_most=frames.LAST_POSSIBLE)

    def held_by_another(self, worker: str, now: datetime.datetime) -> bool:
        """Tell whether another worker holds a lease on it that has not run out."""
        return (
            self.state is BatchState.RENDERING
            and self.worker != worker
            and self.lease_until is not None
            and now < self.lease_until
        )

    def with_done(self, done: Collection[int]) -> "Batch":
        """Return the batch with those frames done whose files stand, whatever it knew of them.

        A worker may have published a frame and vanished before it could write that down.
        """
        failures = tuple(one for one in self.failures if one.frame not in done)
        return self.model_copy(update={"frames_done": len(done), "failures": failures})

    def claimed(
        self, worker: str, *, lease_until: datetime.datetime, traceparent: str = ""
    ) -> "Batch":
        """Return the batch as held by `worker`, one attempt later."""
        return self._moved(
            BatchState.RENDERING,
            worker=worker,
            lease_until=lease_until,
            attempt=self.attempt + 1,
            traceparent=traceparent,
            pause_requested=False,
            reason="",
        )

    def renewed(self, *, lease_until: datetime.datetime) -> "Batch":
        """Return the batch with its lease running until then."""
        return self.model_copy(update={"lease_until": lease_until})

    def held_for(self, used: usage.Usage) -> "Batch":
        """Return the batch as held by its worker for so much longer."""
        seconds = self.worker_seconds + used.worker_seconds
        return self.model_copy(update={"worker_seconds": seconds, "used": self.used.plus(used)})

    def waited_for(self, used: usage.Usage) -> "Batch":
        """Return the batch as one that a worker started for, or stood ready before or after it."""
        seconds = self.idle_seconds + used.worker_seconds
        return self.model_copy(update={"idle_seconds": seconds, "used": self.used.plus(used)})

    def released(self, state: BatchState) -> "Batch":
        """Return the batch in a state in which no worker holds it."""
        return self._moved(state, lease_until=None)

    def failure_of(self, frame: int) -> FrameFailure | None:
        """Return how often and why a frame has failed so far."""
        return next((failure for failure in self.failures if failure.frame == frame), None)

    def attempts_of(self, frame: int) -> int:
        """Return how many attempts at a frame have failed so far."""
        failure = self.failure_of(frame)
        return 0 if failure is None else failure.attempts

    def with_failure(self, failure: FrameFailure, *, seconds: float = 0.0) -> "Batch":
        """Return the batch with the newest failure of a frame in place of the older one.

        `seconds` is what Blender spent on it in vain.
        """
        others = (other for other in self.failures if other.frame != failure.frame)
        ordered = sorted((*others, failure), key=lambda one: one.frame)
        wasted = self.wasted_seconds + seconds
        return self.model_copy(update={"failures": tuple(ordered), "wasted_seconds": wasted})

    def begun_anew(self) -> "Batch":
        """Return the batch as if nothing had failed, to be tried again because a person asks."""
        return self._moved(BatchState.QUEUED, failures=(), reason="")

    def with_frame_done(
        self, frame: int, *, seconds: float, flags: frozenset[images.FrameFlag]
    ) -> "Batch":
        """Return the batch with one more frame done."""
        flagged = self.flagged
        if flags:
            flagged = (*flagged, FlaggedFrame(frame=frame, flags=tuple(sorted(flags))))
        return self.model_copy(
            update={
                "frames_done": self.frames_done + 1,
                "frame_seconds": {**self.frame_seconds, frame: round(seconds, 3)},
                "failures": tuple(one for one in self.failures if one.frame != frame),
                "flagged": flagged,
            }
        )

    def with_frame_taken_over(self, frame: int, *, flags: frozenset[images.FrameFlag]) -> "Batch":
        """Return the batch with one more frame done, which an earlier job had rendered."""
        done = self.with_frame_done(frame, seconds=0.0, flags=flags)
        return done.model_copy(
            update={"taken_over": self.taken_over + 1, "frame_seconds": self.frame_seconds}
        )

    def _moved(self, to: BatchState, **changes: object) -> "Batch":
        if to not in TRANSITIONS[self.state]:
            raise errors.ConflictError(
                f"batch {self.number} of job {self.job} is {self.state} and cannot become {to}"
            )
        return self.model_copy(update={"state": to, **changes})
