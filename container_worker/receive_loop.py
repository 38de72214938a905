"""When does a worker take a message, and when does it leave?"""

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog

from blendrop import errors, ports
from blendrop.usecases import render
from blendrop.usecases.render_frames import Rendering

log = structlog.stdlib.get_logger(__name__)

_LONGEST_PAUSE = 30.0  # seconds between two tries while the storage is away


_FRUITLESS = frozenset({render.Outcome.RETRY, render.Outcome.FAILED})


@dataclass
class _Fitness:
    """Whether it may be this worker that fails, and not what it renders."""

    failed_jobs: int  # at most, in a row
    _failed: set[str] = field(default_factory=set)

    def note(self, attended: render.Attended | None) -> None:
        """Take a batch into account. Raises UnfitWorkerError."""
        if attended is None:
            return
        if attended.frames_done:
            self._failed.clear()
        elif attended.outcome in _FRUITLESS:
            self._failed.add(attended.job)
        if len(self._failed) >= self.failed_jobs:
            raise errors.UnfitWorkerError(
                f"every frame of {len(self._failed)} jobs in a row failed here: "
                f"{', '.join(sorted(self._failed))}. The worker leaves, to be replaced by a new "
                "one; if that fails, too, look at its disk, memory and Blender"
            )


@dataclass
class Stopping:
    """Whether the worker was asked to stop; SIGTERM sets it."""

    requested: asyncio.Event = field(default_factory=asyncio.Event)

    def request(self) -> None:
        """Ask the worker to stop."""
        log.info("stop_requested")
        self.requested.set()

    async def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until the worker is asked to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.requested.wait(), seconds)


async def run(
    world: Rendering,
    stopping: Stopping,
    *,
    poll_seconds: float,
    idle_seconds: float,
    grace_seconds: float,
    failed_jobs: int,
) -> None:
    """Attend to messages, one at a time, until asked to stop, or idle for `idle_seconds` (0: ever).

    After a stop was asked for, the frame in hand has `grace_seconds` to finish.

    Raises:
        UnfitWorkerError: batches of `failed_jobs` jobs in a row came to nothing here.
    """
    fitness = _Fitness(failed_jobs)
    idle_since = world.clock.elapsed()
    pause = poll_seconds
    while not stopping.requested.is_set():
        since = world.clock.elapsed()
        try:
            delivery = await world.queue.receive(lease=world.lease)
            if delivery is not None:
                fitness.note(await _attend(world, stopping, delivery, since, grace_seconds))
                idle_since = world.clock.elapsed()
        except errors.UnavailableError as away:
            world.progress.waiting(str(away))
            log.warning("storage_unavailable", reason=str(away), retry_in=pause)
            await stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            continue
        pause = poll_seconds
        world.progress.waiting("")
        if delivery is None:
            if idle_seconds and world.clock.elapsed() - idle_since >= idle_seconds:
                log.info("worker_leaves", reason=f"no message for {idle_seconds} s")
                return
            await stopping.wait(poll_seconds)


async def _attend(
    world: Rendering,
    stopping: Stopping,
    delivery: ports.Delivery,
    since: float,
    grace_seconds: float,
) -> render.Attended | None:
    """Return what became of the message; None if the grace was over before it was done."""
    outcome = str(render.Outcome.STOPPED)
    attending = asyncio.create_task(render.attend(world, delivery, since=since))
    stop_requested = asyncio.create_task(stopping.requested.wait())
    try:
        await asyncio.wait({attending, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
        if not attending.done():
            await asyncio.wait({attending}, timeout=grace_seconds)
        if not attending.done():
            log.warning("grace_over", reason=f"the frame took longer than {grace_seconds} s")
            attending.cancel()
            await asyncio.wait({attending})
        if attending.cancelled():
            return None
        outcome = "unavailable"  # unless there is a result
        attended = attending.result()
        outcome = attended.outcome
        log.info("message_attended", outcome=attended.outcome, message=delivery.message_id)
        return attended
    finally:
        stop_requested.cancel()
        attending.cancel()
        world.progress.message_left(outcome)
