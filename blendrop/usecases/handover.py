"""How does a worker go from one batch to the next without Blender waiting for it?

One attempt at a time has Blender. As its last frame is about to end, the next message is received,
looked at and kept hidden; its batch is claimed once Blender is free, while the attempt before
writes down what it came to.
"""

import asyncio
import datetime
from dataclasses import dataclass, field

import structlog

from blendrop import errors, ports
from blendrop.usecases.lease import RENEWALS_PER_LEASE, Lease

log = structlog.stdlib.get_logger(__name__)


@dataclass
class Stage:
    """How far one message has come."""

    begun: bool = False  # it has, or had, Blender: from here on a batch may be claimed
    # Set when the next message should be received.
    nearly_through: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Handover:
    """What the attempts of one worker share."""

    blender: asyncio.Lock = field(default_factory=asyncio.Lock)  # whose holder may use it
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)  # held during a claim
    _held: list[Lease] = field(default_factory=list)

    def took(self, lease: Lease) -> None:
        """A batch was claimed."""
        self._held.append(lease)

    def lets_go(self, lease: Lease) -> None:
        """The row of a batch is about to say that nobody holds it any more."""
        self._held.remove(lease)

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

    async def until_free(self, blender: asyncio.Lock) -> None:
        """Return with Blender, having kept the message hidden.

        Raises:
            LeaseLostError: it could not be kept; Blender is another's.
        """
        keeping = asyncio.create_task(self._keep())
        try:
            await blender.acquire()
        finally:
            async with self._changing:  # a renewal that is cut off would lose its new pop receipt
                keeping.cancel()
            await asyncio.wait({keeping})
        if self._clock.elapsed() - self.since >= self._lease.total_seconds():
            blender.release()
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
