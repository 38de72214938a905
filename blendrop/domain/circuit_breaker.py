"""Do so many of a job's first frames fail that rendering the rest would only burn money?"""

from collections.abc import Iterable

from blendrop.domain import batches, frames, record

_SURE_AFTER = 2  # attempts: a first failure may be the worker's


class CircuitBreaker(record.Record):
    """When a job is stopped for its failing frames."""

    first_frames: int = 10  # that must have been tried before the job is judged
    share: float = 0.5  # of the frames tried; more than this stops the job

    def reason_to_stop(self, rows: Iterable[batches.Batch], *, frame_attempts: int) -> str:
        """Return why the job of these batches is to be stopped; nothing if it is not.

        A frame counts as failing after two attempts (or fewer, if fewer are made), so that one bad
        worker does not end a good job.
        """
        tried = 0
        failing: list[batches.FrameFailure] = []
        for row in rows:
            sure = [one for one in row.failures if one.attempts >= min(_SURE_AFTER, frame_attempts)]
            failing.extend(sure)
            tried += row.frames_done + len(sure)
        if tried < self.first_frames or len(failing) <= self.share * tried:
            return ""
        first = min(failing, key=lambda one: one.frame)
        return (
            f"the job was stopped, since {len(failing)} of the {tried} frames tried so far fail: "
            f"{frames.canonical(one.frame for one in failing)}. Frame {first.frame}, after "
            f"{first.attempts} attempts: {first.reason}. {first.remedy}."
        )
