"""A clock that stands still until a test moves it."""

import asyncio
import datetime

START = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


class ManualClock:
    """Carries out `ports.Clock`; sleepers wake when the test advances the time past them."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime.datetime:
        """Return the wall-clock time."""
        return START + datetime.timedelta(seconds=self._elapsed)

    def elapsed(self) -> float:
        """Return seconds since the clock was made."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the time by as much."""
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, waking))
        await waking

    async def advance(self, seconds: float) -> None:
        """Move the time on, waking sleepers in their order, and let everyone run."""
        until = self._elapsed + seconds
        while True:
            due = sorted((one for one in self._sleepers if one[0] <= until), key=lambda one: one[0])
            if not due:
                break
            self._sleepers.remove(due[0])
            self._elapsed = max(self._elapsed, due[0][0])
            if not due[0][1].done():
                due[0][1].set_result(None)
            await self.settle()
        self._elapsed = until
        await self.settle()

    def pause(self, seconds: float) -> None:
        """Move the time on without letting anyone run, as when the process was stopped."""
        self._elapsed += seconds

    async def settle(self) -> None:
        """Let everyone run until they wait again."""
        for _ in range(50):
            await asyncio.sleep(0)
