"""What time is it?"""

import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, for rules that must know it."""

    def now(self) -> datetime.datetime:
        """Return the wall-clock time, in UTC."""
        ...

    def elapsed(self) -> float:
        """Return seconds since some fixed point; goes on while the machine or process sleeps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
