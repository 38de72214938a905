"""What does a person ask of jobs, again and again until there is an answer?"""

import asyncio
import collections
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from blendrop import errors
from blendrop.domain import batches
from tests.doubles.watched_farm import WatchedFarm

_AGAIN = 0.3  # seconds after an answer that is none
_PATIENCE = 60.0  # seconds
_CURIOSITY = 20.0  # seconds
DONE, REFUSED = 200, 409
_NO_ANSWERS = frozenset({0, 404, 429, 503})  # nobody there, no such job yet, not now


@dataclass(frozen=True)
class Asked:
    """One thing that was asked; times in seconds since the epoch."""

    job: str
    what: str  # cancel, pause, resume or retry
    asked: float  # for the first time
    answered: float
    status: int  # DONE, REFUSED (the job cannot), or the last answer before patience ended


class Person:
    """Someone at the HTTP API, who does one thing after the other to a job."""

    def __init__(self, farm: WatchedFarm) -> None:
        self.asked: list[Asked] = []
        self.strange: list[str] = []  # answers that say neither yes, no, nor later
        self._farm = farm
        self._busy_with: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    @contextlib.asynccontextmanager
    async def at(self, job_id: str) -> AsyncIterator[None]:
        """Have a job to oneself."""
        async with self._busy_with[job_id]:
            yield

    async def waits_for_work(self, job_id: str) -> None:
        """Return as soon as a worker holds a batch of a job, or nobody has for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CURIOSITY):
                while not await self._worked_at(job_id):  # noqa: ASYNC110 a job of other processes
                    await asyncio.sleep(_AGAIN)

    async def _worked_at(self, job_id: str) -> bool:
        with contextlib.suppress(errors.NotFoundError, errors.UnavailableError):
            rows = await self._farm.running.client.batches(job_id)
            return any(row.state is batches.BatchState.RENDERING for row in rows)
        return False

    async def ask(self, job_id: str, what: str) -> bool:
        """Ask until there is an answer, and return whether it is done."""
        asked = time.time()
        while True:
            status = await self._farm.steer(job_id, what)
            if status in {DONE, REFUSED} or time.time() > asked + _PATIENCE:
                break
            if status not in _NO_ANSWERS:
                self.strange.append(f"{what} of job {job_id} was answered with {status}")
            await asyncio.sleep(_AGAIN)
        self.asked.append(Asked(job_id, what, asked, time.time(), status))
        return status == DONE
