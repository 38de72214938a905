"""How does a worker go from one batch to the next without Blender waiting for it?

One attempt at a time has Blender. As its last frame is about to end, the next message is received,
looked at and kept hidden. Its batch is claimed once Blender is free, which is when that frame is
rendered: the attempt before goes on to verify and publish it, and writes down what it came to. Only
where frames are quick is it claimed beside that frame, for Blender would wait for the answer.
"""

import asyncio
import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from blendrop import errors, ports
from blendrop.usecases.lease import RENEWALS_PER_LEASE, Lease

log = structlog.stdlib.get_logger(__name__)

# How long before Blender is free the next message is received: time for the calls and for some of
# the next scene, and not long enough for another worker to miss the message.
AHEAD = 2.0  # seconds


@dataclass
class Stage:
    """How far one message has come."""

    begun: bool = False  # from here on its batch may be claimed
    # Set when the next message should be received.
    nearly_through: asyncio.Event = field(default_factory=asyncio.Event)
    _blender: asyncio.Lock | None = None  # as long as it is this attempt's

    async def acquire(self, blender: asyncio.Lock) -> None:
        """Return once Blender is this attempt's, which it may be already."""
        if self._blender is None:
            await blender.acquire()
            self._blender = blender

    def through(self) -> None:
        """Let the next attempt have Blender; to say so again changes nothing."""
        if self._blender is not None:
            self._blender.release()
            self._blender = None


@dataclass
class Handover:
    """What the attempts of one worker share: no more than two at a time."""

    blender: asyncio.Lock = field(default_factory=asyncio.Lock)  # whose holder may use it
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)  # held during a claim
    _attempted: set[tuple[str, int]] = field(default_factory=set)  # job and batch
    _held: list[Lease] = field(default_factory=list)
    _finishing: asyncio.Task[None] | None = None  # of the frame that was rendered last
    _took: tuple[str, float] = ("", 0.0)  # its job, and its seconds in Blender

    @contextlib.contextmanager
    def attempt(self, job: str, batch: int) -> Iterator[None]:
        """Be at a batch, from before its claim until its message was dealt with."""
        self._attempted.add((job, batch))
        try:
            yield
        finally:
            self._attempted.discard((job, batch))

    def is_at(self, job: str, batch: int) -> bool:
        """Tell whether another attempt here is at that batch: then its message came twice.

        Its row does not tell: a worker may take over what was its own before it was started anew.
        """
        return (job, batch) in self._attempted

    def took(self, lease: Lease) -> None:
        """A batch was claimed."""
        self._held.append(lease)

    def lets_go(self, lease: Lease) -> None:
        """The row of a batch is about to say that nobody holds it any more."""
        self._held.remove(lease)

    def rendered(self, job: str, seconds: float) -> None:
        """A frame of that job has just taken so long in Blender."""
        self._took = (job, seconds)

    def last_took(self, job: str) -> float | None:
        """Return the seconds of the frame that was rendered last, if it was of that job."""
        last, seconds = self._took
        return seconds if last == job else None

    def soon_free(self, job: str) -> bool:
        """Tell whether what Blender may be at is a frame of that job, which takes not long."""
        took = self.last_took(job)
        return took is not None and took <= AHEAD

    def finishes(self, frame: asyncio.Task[None]) -> None:
        """The frame that was rendered last is verified and published from now on."""
        self._finishing = frame

    async def finished(self) -> None:
        """Wait for that, also if it is of the batch before: Blender has room for two images."""
        if self._finishing is not None:
            await asyncio.wait({self._finishing})  # its own attempt deals with its errors

    async def goes_on_with(self, job: str) -> bool:
        """Tell whether another batch of the job is held here, and is thus open.

        Whoever ends that one settles the job, and sees every row that was written before this was
        asked.
        """
        async with self.claiming:
            return any(lease.batch.job == job and lease.runs() for lease in self._held)


class Waiting:
    """A message that was received before Blender is free for it."""

    def __init__(
        self,
        queue: ports.BatchQueue,
        clock: ports.Clock,
        delivery: ports.Delivery,
        *,
        lease: datetime.timedelta,
        since: float,
    ) -> None:
        self.delivery = delivery
        self.since = since  # the clock's elapsed time when it was last hidden
        self._queue = queue
        self._clock = clock
        self._lease = lease
        self._changing = asyncio.Lock()

    async def until_free(self, blender: asyncio.Lock, stage: Stage) -> None:
        """Return with Blender, having kept the message hidden.

        Raises:
            LeaseLostError: it could not be kept.
        """
        keeping = asyncio.create_task(self._keep())
        try:
            await stage.acquire(blender)
        finally:
            async with self._changing:  # a renewal that is cut off would lose its new pop receipt
                keeping.cancel()
            await asyncio.wait({keeping})
        if self._clock.elapsed() - self.since >= self._lease.total_seconds():
            raise errors.LeaseLostError("the message came back before Blender was free for it")

    async def give_back(self) -> None:
        """Let others see the message at once."""
        try:
            await self._queue.give_back(self.delivery, delay=datetime.timedelta(0))
        except errors.BlendropError as failed:
            log.warning("give_back_failed", reason=f"{failed}; the message comes back by itself")

    async def _keep(self) -> None:
        """Renew until cancelled, or refused: then it is found out that the time has run out."""
        while True:
            await self._clock.sleep(self._lease.total_seconds() / RENEWALS_PER_LEASE)
            async with self._changing:
                asked = self._clock.elapsed()
                try:
                    self.delivery = await self._queue.renew(self.delivery, lease=self._lease)
                except errors.BlendropError as failed:
                    log.warning("message_not_kept", reason=str(failed))
                else:
                    self.since = asked
