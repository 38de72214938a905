"""When does a worker take a message, and when does it leave?"""

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog

from blendrop import errors, ports
from blendrop.usecases import render
from blendrop.usecases.handover import Stage
from blendrop.usecases.render_frames import Rendering
from container_worker.shared_cores import SharedCores

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

    @property
    def in_doubt(self) -> bool:
        """Whether nothing has succeeded here since something failed."""
        return bool(self._failed)


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
    cores: SharedCores,
    *,
    poll_seconds: float,
    idle_seconds: float,
    grace_seconds: float,
    failed_jobs: int,
) -> None:
    """Attend to messages until asked to stop, or idle for `idle_seconds` (0: never leave).

    One at a time has Blender; the next is received as the last frame of the one before is about to
    end; none as long as others need the `cores` of this machine. After a stop was asked for, the
    frame in hand has `grace_seconds` to finish.

    Raises:
        UnfitWorkerError: batches of `failed_jobs` jobs in a row came to nothing here.
    """
    fitness = _Fitness(failed_jobs)
    hands = _Hands(world, stopping, grace_seconds, fitness)
    idle_since = world.clock.elapsed()
    pause = poll_seconds
    try:
        while not stopping.requested.is_set():
            since = world.clock.elapsed()
            stands_by = ""
            if not hands.full:
                cores.rests(in_vain=fitness.in_doubt)
                stands_by = cores.why_stand_by()
                world.progress.standing_by(stands_by)
            try:
                delivery = None if stands_by else await world.queue.receive(lease=world.lease)
                if delivery is not None:
                    cores.takes()
                    waited = (world.clock.now() - delivery.inserted).total_seconds()
                    deliveries = delivery.dequeue_count
                    world.progress.message_received(waited=waited, deliveries=deliveries)
                    await hands.take(delivery, since)
                await hands.note_ended()
            except errors.UnavailableError as away:
                world.progress.waiting(str(away))
                log.warning("storage_unavailable", reason=str(away), retry_in=pause)
                await stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = poll_seconds
            if not stands_by:
                world.progress.waiting("")
            if delivery is not None or hands.full:
                idle_since = world.clock.elapsed()
            if delivery is None and hands.full:
                await hands.one_ended()  # until then Blender would not be free for another
            elif delivery is None:
                if idle_seconds and world.clock.elapsed() - idle_since >= idle_seconds:
                    log.info("worker_leaves", reason=f"no message for {idle_seconds} s")
                    return
                await stopping.wait(poll_seconds)
    finally:
        await hands.emptied()


class _Hands:
    """The messages that are attended to: the one with Blender, and one before or after it."""

    def __init__(
        self, world: Rendering, stopping: Stopping, grace_seconds: float, fitness: _Fitness
    ) -> None:
        self._world = world
        self._stopping = stopping
        self._grace_seconds = grace_seconds
        self._fitness = fitness
        self._attending: list[asyncio.Task[render.Attended | None]] = []

    @property
    def full(self) -> bool:
        """Whether anything is attended to."""
        return bool(self._attending)

    async def take(self, delivery: ports.Delivery, since: float) -> None:
        """Attend to a message; return when it is time to receive the next.

        Raises:
            UnavailableError: the storage or the frame share is away.
            UnfitWorkerError: batches of too many jobs came to nothing.
        """
        stage = Stage()
        attending = asyncio.create_task(self._attend(delivery, since, stage))
        self._attending.append(attending)
        soon = asyncio.create_task(stage.nearly_through.wait())
        await asyncio.wait({attending, soon}, return_when=asyncio.FIRST_COMPLETED)
        soon.cancel()
        if before := self._attending[:-1]:
            await asyncio.wait(before)
        await self.note_ended()

    async def note_ended(self) -> None:
        """Take what has ended into account. Raises as `take` does."""
        for one in [one for one in self._attending if one.done()]:
            self._attending.remove(one)
            self._fitness.note(one.result())

    async def one_ended(self) -> None:
        """Return when something that is attended to has ended."""
        await asyncio.wait(self._attending, return_when=asyncio.FIRST_COMPLETED)

    async def emptied(self) -> None:
        """Return when nothing is attended to any more; given up at once unless a stop was asked."""
        if not self._attending:
            return
        if not self._stopping.requested.is_set():
            for one in self._attending:
                one.cancel()
        await asyncio.wait(self._attending)

    async def _attend(
        self, delivery: ports.Delivery, since: float, stage: Stage
    ) -> render.Attended | None:
        """Return what became of the message; None if the grace was over before it was done."""
        world, outcome = self._world, str(render.Outcome.STOPPED)
        attending = asyncio.create_task(render.attend(world, delivery, since=since, stage=stage))
        stop_requested = asyncio.create_task(self._stopping.requested.wait())
        try:
            await asyncio.wait({attending, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            if not attending.done() and stage.begun:
                await asyncio.wait({attending}, timeout=self._grace_seconds)
                if not attending.done():
                    log.warning(
                        "grace_over", reason=f"the frame took longer than {self._grace_seconds} s"
                    )
            attending.cancel()
            await asyncio.wait({attending})
            if attending.cancelled():
                return None
            outcome = "unavailable"  # unless there is a result
            attended = attending.result()
            outcome = attended.outcome
            return attended
        finally:
            stop_requested.cancel()
            attending.cancel()
            await asyncio.wait({attending})
            me = asyncio.current_task()
            others = [one for one in self._attending if one is not me and not one.done()]
            world.progress.message_left(outcome, idle=not others)
