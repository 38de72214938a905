"""Is there room for another job, or do too many batches wait already?"""

import asyncio
import functools
import math

from blendrop import errors, ports
from functions import world

_KNOWN_FOR = 2.0  # seconds that a look at the queue counts
_COME_BACK = 30  # seconds


class Backlog:
    """How deep the queue is, looked at now and then."""

    def __init__(self, queue: ports.BatchQueue, clock: ports.Clock, *, at_most: int) -> None:
        self._queue = queue
        self._clock = clock
        self._at_most = at_most
        self._depth = 0
        self._looked = -math.inf
        self._looking = asyncio.Lock()

    async def check(self) -> None:
        """Do nothing if there is room.

        Raises:
            BacklogError: there is none.
            UnavailableError: the queue is away, so that nothing could be put on it either.
        """
        async with self._looking:
            if self._clock.elapsed() - self._looked >= _KNOWN_FOR:
                self._depth = await self._queue.depth()
                self._looked = self._clock.elapsed()
        if self._depth > self._at_most:
            raise errors.BacklogError(
                f"{self._depth} batches wait to be rendered already, and no more than "
                f"{self._at_most} may; nothing was written, come back in {_COME_BACK} s",
                retry_seconds=_COME_BACK,
            )


@functools.cache
def _backlog() -> Backlog:
    return Backlog(world.batch_queue(), world.clock(), at_most=world.settings().backlog)


async def room() -> None:
    """Take a request only if there is room (a dependency). Raises as `Backlog.check` does."""
    await _backlog().check()
