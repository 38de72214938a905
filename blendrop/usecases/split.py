"""When does a worker give the tail of its batch to others, and how?

The rules are `domain.batch_sizes`; whether others are idle, the queue shows. The batch's row and
the rows of what is cut off it change in one transaction, and messages follow: cut off in between,
the sweeper sends them. Whatever stands in the way means not to split now.
"""

import datetime
import statistics
from collections.abc import Sequence
from typing import Protocol

import structlog

from blendrop import errors, ports
from blendrop.domain import batch_sizes, batches, frames, jobs
from blendrop.usecases import send
from blendrop.usecases.lease import Lease

log = structlog.stdlib.get_logger(__name__)

# A message that was sent this short a time ago may be on its way to an idle worker: there may be
# many of them, and each finds its message at its next look.
_ON_ITS_WAY = datetime.timedelta(seconds=5)
_PATIENCE = 1.0  # seconds between two tries while the storage is away


class World(Protocol):
    """What sharing batches needs of the world."""

    @property
    def jobs(self) -> ports.JobTable:
        """The rows of jobs and batches."""
        ...

    @property
    def queue(self) -> ports.BatchQueue:
        """Where others look for batches."""
        ...

    @property
    def spans(self) -> ports.Spans:
        """The trace of what is done."""
        ...

    @property
    def clock(self) -> ports.Clock:
        """The time."""
        ...

    @property
    def batch_seconds(self) -> float:
        """What a batch aims at, in seconds; 0: batches are never split."""
        ...


class Sharing:
    """One worker's eye on the others while it renders a batch."""

    def __init__(self, world: World, lease: Lease, job: jobs.Job) -> None:
        self._world = world
        self._lease = lease
        self._job = job
        # Whoever gives a size has a reason to; and the only worker has nobody to share with.
        self._target = world.batch_seconds if job.cut_for > 1 else 0.0
        self._looked = world.clock.elapsed()
        self._seconds = dict(lease.batch.frame_seconds)  # in Blender, of each frame rendered

    def rendered(self, frame: int, seconds: float) -> None:
        """Learn what a frame took, though it may not be published yet."""
        self._seconds[frame] = seconds

    async def kept(self, left: Sequence[int]) -> Sequence[int]:
        """Return what of the frames that are left is still this worker's, the next one first.

        To be asked before each frame; a frame that was begun stays this worker's.

        Raises:
            LeaseLostError: the batch is someone else's by now.
        """
        batch = self._lease.batch
        if left and self._seconds and self._target and not batch.pause_requested:
            seconds = statistics.fmean(self._seconds.values())
            tails = batch_sizes.tail(left, frame_seconds=seconds, target=self._target)
            now = self._world.clock.elapsed()
            if tails and now - self._looked >= batch_sizes.seconds_between_looks(self._target):
                self._looked = now
                await self._give(tails)
        ours = set(self._lease.batch.frame_numbers())
        return [one for one in left if one in ours]

    async def _give(self, tails: Sequence[Sequence[int]]) -> None:
        try:
            if not await self._others_idle():
                return
            job = (await self._world.jobs.get_job(self._job.id)).row
            if job.state is not jobs.JobState.RENDERING:
                return
            rows = [
                batches.Batch(
                    job=job.id, number=job.number_of_tail(tail[0]), frames=frames.canonical(tail)
                )
                for tail in tails
            ]
            if not await self._cut_off(rows):
                return
            log.info("batch_split", batches=len(rows), kept=self._lease.batch.frames)
            await send.batches(self._world, job, rows)
        except errors.UnavailableError as away:
            log.warning("batch_not_shared", reason=str(away))

    async def _others_idle(self) -> bool:
        """Tell whether no message waits for longer than it takes an idle worker to fetch one."""
        oldest = await self._world.queue.oldest_waiting()
        return oldest is None or self._world.clock.now() - oldest < _ON_ITS_WAY

    async def _cut_off(self, rows: Sequence[batches.Batch]) -> bool:
        """Tell whether the rows were cut off; no frame is begun before that is certain."""
        while True:
            try:
                return await self._lease.cut_off(rows)
            except errors.UnavailableError as away:
                log.warning("waiting", reason=str(away), seconds=_PATIENCE)
                await self._world.clock.sleep(_PATIENCE)
