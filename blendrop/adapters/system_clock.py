"""What time is it, here?"""

import asyncio
import datetime
import time

# Goes on while the machine is suspended, as leases do; CLOCK_MONOTONIC stands still then. Not every
# system has it.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, in UTC."""
        return datetime.datetime.now(datetime.UTC)

    def elapsed(self) -> float:
        """Return seconds since some fixed point; goes on while the machine or process sleeps."""
        return time.clock_gettime(_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
