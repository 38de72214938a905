"""The counters of rate limits in memory, for tests."""

import datetime


class MemoryRateCounters:
    """Carries out `ports.RateCounters`."""

    def __init__(self) -> None:
        self._counts: dict[tuple[datetime.datetime, str], int] = {}

    async def add(self, counter: str, amount: int, *, ends: datetime.datetime) -> int:
        """Count on; return the count up to and including this."""
        key = (ends, counter)
        self._counts[key] = self._counts.get(key, 0) + amount
        return self._counts[key]

    async def forget(self, *, before: datetime.datetime) -> int:
        """Remove the counters of windows that ended before then; return how many those were."""
        old = [key for key in self._counts if key[0] < before]
        for key in old:
            del self._counts[key]
        return len(old)
