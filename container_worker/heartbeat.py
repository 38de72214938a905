"""How does the farm know that a worker lives, and why one left?

It writes its row when it starts, at every heartbeat, and when it leaves; in between only if it has
taken or ended a batch or waits for the world, and not more than three times in a heartbeat.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from blendrop import errors, ports
from container_worker.activity import Activity

log = structlog.stdlib.get_logger(__name__)

_LOOKS = 3  # in a heartbeat
_LAST_SECONDS = 2.0  # for the last word: a worker that leaves has little time


class Heartbeat:
    """Tells the table of workers what this one does. That it cannot never hurts a render."""

    def __init__(
        self, table: ports.WorkerTable, activity: Activity, clock: ports.Clock, *, seconds: float
    ) -> None:
        self._table = table
        self._activity = activity
        self._clock = clock
        self._seconds = seconds
        self._told: object = None

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Tell for as long as the block runs, and once more when it ends."""
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
            try:
                await asyncio.wait_for(self._tell(), _LAST_SECONDS)
            except TimeoutError:
                log.warning("heartbeat_failed", reason="the storage did not take the last word")

    async def _keep(self) -> None:
        while True:
            await self._tell()
            for _ in range(_LOOKS):
                await self._clock.sleep(self._seconds / _LOOKS)
                if self._doing() != self._told:
                    break

    async def _tell(self) -> None:
        doing = self._doing()
        try:
            await self._table.put(self._activity.worker())
        except errors.BlendropError as away:
            log.warning("heartbeat_failed", reason=str(away))
        except Exception:  # a fault of ours or of an SDK; the render must not pay for it
            log.exception("heartbeat_failed")
        else:
            self._told = doing

    def _doing(self) -> object:
        worker = self._activity.worker()
        held = worker.rendering
        return worker.state, worker.waits_for, held and (held.job, held.batch)
