"""What is this worker doing right now?"""

import math
from collections.abc import Callable

from blendrop import errors, ports
from blendrop.domain import batches, workers
from blendrop.usecases import render
from container_worker.metrics import Metrics

_SOON, _LATEST = 5, 3600  # seconds until somebody should ask again


class Activity(ports.Progress):
    """Carries out `ports.Progress`: keeps the worker's row up to date in memory, and counts."""

    def __init__(
        self,
        worker: workers.Worker,
        *,
        clock: ports.Clock,
        metrics: Metrics,
        charged: Callable[[], float] = float,  # seconds that jobs were charged with; 0.0
    ) -> None:
        self.unfit = ""  # why the worker is to be replaced
        self._worker = worker
        self._clock = clock
        self._metrics = metrics
        self._charged = charged
        self._frame_seconds: list[float] = []  # of the batch in hand

    def worker(self) -> workers.Worker:
        """Return the worker's row as of now."""
        charged = round(self._charged(), 3)
        return self._worker.model_copy(
            update={"heard": self._clock.now(), "charged_seconds": charged}
        )

    def retry_after(self) -> int:
        """Return in how many seconds the worker may be idle; 0: it is."""
        if self._worker.state in workers.FREE:
            return 0
        batch = self._worker.rendering
        if batch is None or not self._frame_seconds:
            return _SOON
        mean = sum(self._frame_seconds) / len(self._frame_seconds)
        return min(max(math.ceil(mean * batch.frames_left), 1), _LATEST)

    def ready(self) -> None:
        """Blender is warm."""
        self._enter(workers.WorkerState.IDLE)

    def leaving(self, reason: str) -> None:
        """The worker was asked to stop."""
        if self._worker.state is not workers.WorkerState.LEFT:
            self._enter(workers.WorkerState.LEAVING, left_because=reason)

    def left(self, reason: str, *, unfit: bool = False) -> None:
        """The worker ends."""
        if unfit:
            self.unfit = reason
        self._enter(workers.WorkerState.LEFT, left_because=reason, rendering=None, unfit=unfit)

    def message_received(self, *, waited: float, deliveries: int) -> None:
        """A message is here for that often, so many seconds after it was sent."""
        if deliveries > 1:
            self._metrics.redeliveries.add(1)
        else:
            self._metrics.queue_wait.record(max(waited, 0))

    def scene_found(self, *, cached: bool) -> None:
        """A scene lies on the worker's disk; it did before, or was downloaded for this."""
        self._metrics.scenes.add(1, {"result": "hit" if cached else "miss"})

    def batch_begun(self, batch: batches.Batch, *, frames_left: int) -> None:
        """A batch is this worker's, and has Blender; so many of its frames are to be rendered."""
        self._frame_seconds = []
        self._metrics.busy.set(1)
        held = workers.RenderingNow(
            job=batch.job,
            batch=batch.number,
            frames=batch.frames,
            attempt=batch.attempt,
            since=self._clock.now(),
            frames_done=batch.frames_done,
            frames_left=frames_left,
        )
        self._work(workers.WorkerState.RENDERING, held)

    def scene_opened(self, *, seconds: float) -> None:
        """Blender has loaded the scene, which it had not open."""
        self._metrics.load_seconds.record(seconds)

    def frame_begun(self, frame: int) -> None:
        """A frame of the batch that was begun last is in hand."""
        self._change(frame=frame, frame_since=self._clock.now())

    def frame_done(self, batch: batches.Batch, frame: int, *, seconds: float) -> None:
        """A frame has its final name; the next batch may be begun already."""
        self._metrics.frames.add(1, {"result": "done", "failure_class": ""})
        self._metrics.frame_seconds.record(seconds)
        self._frame_ended(batch, frame, seconds=seconds)

    def frame_failed(
        self,
        batch: batches.Batch,
        frame: int,
        failure_class: errors.FailureClass,
        *,
        seconds: float,
    ) -> None:
        """A frame has no good image from this attempt, which took so long in vain."""
        failed = {"result": "failed", "failure_class": str(failure_class)}
        self._metrics.frames.add(1, failed)
        self._metrics.wasted.add(seconds)
        self._frame_ended(batch, frame, seconds=None)

    def waiting(self, reason: str) -> None:
        """The world is away, and is tried again and again; empty: it is back."""
        if reason != self._worker.waits_for:
            self._worker = self._worker.model_copy(update={"waits_for": reason})

    def standing_by(self, reason: str) -> None:
        """It takes no message, for others use the cores it shares with them; empty: it does."""
        state = self._worker.state
        if reason and state in workers.FREE:
            self._enter(workers.WorkerState.STANDBY, waits_for=reason)
        elif state is workers.WorkerState.STANDBY:
            self._enter(workers.WorkerState.IDLE, waits_for="")

    def lease_renewed(self) -> None:
        """The batch stays this worker's for another lease."""
        self._metrics.renewals.add(1, {"result": "renewed"})

    def lease_renewal_failed(self) -> None:
        """A renewal was not answered; the lease runs on as it did."""
        self._metrics.renewals.add(1, {"result": "failed"})

    def message_left(self, outcome: str, *, idle: bool = True) -> None:
        """The message was carried out or left; `idle`: the worker holds nothing more."""
        self._metrics.messages.add(1, {"outcome": outcome})
        if outcome == render.Outcome.LEASE_LOST:
            self._metrics.leases_lost.add(1)
        if not idle:
            return
        self._metrics.busy.set(0)
        self.waiting("")
        self._work(workers.WorkerState.IDLE, None)

    def _frame_ended(self, batch: batches.Batch, frame: int, *, seconds: float | None) -> None:
        """Count a frame of the batch in hand: done in so many seconds, or failed."""
        held = self._worker.rendering
        if held is None or (held.job, held.batch) != (batch.job, batch.number):
            return  # it was the last of the batch before
        if seconds is not None:
            self._frame_seconds.append(seconds)
        if held.frame == frame:  # and the next is not in hand yet
            self._change(frame=None, frame_since=None)
        self._change(
            frames_done=held.frames_done + (seconds is not None),
            frames_left=max(held.frames_left - 1, 0),
        )

    def _change(self, **changes: object) -> None:
        """Change what is known of the batch in hand."""
        if self._worker.rendering is not None:
            held = self._worker.rendering.model_copy(update=changes)
            self._worker = self._worker.model_copy(update={"rendering": held})

    def _work(self, state: workers.WorkerState, held: workers.RenderingNow | None) -> None:
        """Hold another batch or none; a worker that leaves stays one that leaves."""
        if self._worker.state is workers.WorkerState.LEAVING:
            self._worker = self._worker.model_copy(update={"rendering": held})
        else:
            self._enter(state, rendering=held)

    def _enter(self, state: workers.WorkerState, **changes: object) -> None:
        since = self._worker.since if state is self._worker.state else self._clock.now()
        self._worker = self._worker.model_copy(update={"state": state, "since": since, **changes})
