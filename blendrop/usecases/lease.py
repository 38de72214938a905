"""Does this worker still hold the batch it renders?

A lease has two halves that are renewed together: the queue message stays hidden, so that nobody
else receives it, and the batch row carries the holder and an ETag, so that nobody else can have
claimed it unseen. Either half refused means that the batch belongs to someone else.
"""

import asyncio
import contextlib
import datetime
from collections.abc import Coroutine, Sequence

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, events, frames, jobs
from blendrop.usecases.ledger import Ledger

log = structlog.stdlib.get_logger(__name__)

# A lease is renewed when a third of it is over: two renewals may fail before it is lost.
RENEWALS_PER_LEASE = 3


class Lease:
    """One worker's hold on one batch, from claim to release.

    `batch` may be changed freely in between (frames done, failures): every renewal and the release
    write it.
    """

    def __init__(
        self,
        *,
        jobs: ports.JobTable,
        queue: ports.BatchQueue,
        clock: ports.Clock,
        delivery: ports.Delivery,
        claimed: ports.Versioned[batches.Batch],
        length: datetime.timedelta,
        since: float,
        progress: ports.Progress,
        ledger: Ledger,
    ) -> None:
        self.batch = claimed.row
        self._etag = claimed.etag
        self._jobs = jobs
        self._queue = queue
        self._clock = clock
        self._delivery = delivery
        self._length = length
        self._ends = since + length.total_seconds()
        self._changing = asyncio.Lock()
        self._progress = progress
        self._ledger = ledger
        self._job_seen = False

    def runs(self) -> bool:
        """Tell whether its time has not run out."""
        return self._clock.elapsed() < self._ends

    def check(self) -> None:
        """Return if the lease still runs. A process that was paused learns here that it is over.

        Raises:
            LeaseLostError: its time ran out.
        """
        if not self.runs():
            raise errors.LeaseLostError(
                f"the lease on batch {self.batch.number} of job {self.batch.job} ran out before "
                "it was renewed"
            )

    async def _keep(self) -> None:
        """Renew until cancelled.

        Raises:
            LeaseLostError: a renewal was refused, or none succeeded in time.
        """
        interval = self._length.total_seconds() / RENEWALS_PER_LEASE
        while True:
            await self._clock.sleep(interval)
            try:
                await self._renew()
            except errors.UnavailableError as away:
                self._progress.lease_renewal_failed()
                self.check()
                log.warning("lease_renewal_failed", reason=str(away), **self._names())

    async def _renew(self) -> None:
        """Hold the batch for a whole lease from now on, and write its progress.

        Raises:
            LeaseLostError: it was refused.
            UnavailableError: the storage is away; the lease runs on as it did.
        """
        async with self._changing:
            self.check()
            asked = self._clock.elapsed()
            self._delivery = await self._queue.renew(self._delivery, lease=self._length)
            await self._see_job()
            until = self._clock.now() + self._length
            written = await self._write_held(self.batch.renewed(lease_until=until))
            # Only what renewing changes: frames may have been done since the row was sent.
            kept = {
                "lease_until": until,
                "frames": written.frames,
                "pause_requested": written.pause_requested,
                "worker_seconds": written.worker_seconds,
                "used": written.used,
            }
            self.batch = self.batch.model_copy(update=kept)
            self._ends = asked + self._length.total_seconds()
            self._progress.lease_renewed()

    async def _see_job(self) -> None:
        """Learn, once, of a pause that came between the read of the job's row and the claim.

        Whoever pauses a job marks the batches that are held: this one was not yet.
        """
        if not self._job_seen:
            job = (await self._jobs.get_job(self.batch.job)).row
            if job.state is jobs.JobState.PAUSED:
                self.batch = self.batch.model_copy(update={"pause_requested": True})
            self._job_seen = True

    async def guard(self, work: Coroutine[None, None, None]) -> None:
        """Do the work while renewing; end it at once when the lease is lost, or on cancellation.

        Raises:
            LeaseLostError: a renewal was refused, or none succeeded in time.
        """
        working = asyncio.ensure_future(work)
        keeping = asyncio.ensure_future(self._keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                # Whatever ended the heartbeat, without it the work must not go on.
                working.cancel()
                await asyncio.wait({working})
                keeping.result()
            working.result()
        except BaseException:
            self._ledger.let_go(self.batch)
            raise
        finally:
            async with self._changing:  # never cut off a renewal: its new pop receipt would be lost
                keeping.cancel()
            working.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)

    async def record(
        self, state: batches.BatchState, *, event: events.JobEvent | None = None
    ) -> None:
        """Write that the batch is in `state` and nobody's any more. The message stays as it is.

        Raises:
            LeaseLostError: the batch is someone else's by now.
        """
        async with self._changing:
            self.check()
            try:
                self.batch = await self._write_held(self.batch.released(state), event=event)
            finally:
                self._ledger.let_go(self.batch)

    async def cut_off(self, tails: Sequence[batches.Batch]) -> bool:
        """Make batches of their own of the last frames; False if the row was changed meanwhile.

        Raises:
            LeaseLostError: the batch is someone else's by now.
            UnavailableError: the storage is away, and it may have been done: the same call again
                finds that out.
        """
        given = {frame for tail in tails for frame in tail.frame_numbers()}
        kept = frames.canonical(one for one in self.batch.frame_numbers() if one not in given)
        async with self._changing:
            self.check()
            changed = self.batch.model_copy(update={"frames": kept})
            try:
                written = await self._jobs.split_batch(changed, tails, etag=self._etag)
            except errors.ConflictError:
                written = await self._jobs.get_batch(changed.job, changed.number)
                self._ours(changed, written.row)
            self._etag = written.etag
            stands = {"frames": written.row.frames, "pause_requested": written.row.pause_requested}
            self.batch = self.batch.model_copy(update=stands)
            return self.batch.frames == kept

    async def delete_message(self) -> None:
        """Remove the message, as the last thing that happens to a batch."""
        await self._queue.delete(self._delivery)

    async def show_message(self, *, delay: datetime.timedelta) -> None:
        """Let other workers receive the message after `delay`."""
        await self._queue.give_back(self._delivery, delay=delay)

    async def _write_held(
        self, changed: batches.Batch, *, event: events.JobEvent | None = None
    ) -> batches.Batch:
        """Write the row, with what its worker has used since the last time."""
        charge = self._ledger.held()
        try:
            return await self._write(changed.held_for(charge.used), event=event)
        except BaseException:
            self._ledger.put_back(charge)
            raise

    async def _write(
        self, changed: batches.Batch, *, event: events.JobEvent | None = None
    ) -> batches.Batch:
        """Write the row and return it as it then stands, with a pause that was asked for."""
        written: ports.Versioned[batches.Batch] | None
        try:
            written = await self._jobs.replace_batch(changed, etag=self._etag, event=event)
        except errors.ConflictError:
            written = None
        while written is None:
            standing = await self._jobs.get_batch(changed.job, changed.number)
            with contextlib.suppress(errors.ConflictError):  # a person changed it in between
                written = await self._written_after_all(changed, standing, event)
        self._etag = written.etag
        return written.row

    async def _written_after_all(
        self,
        changed: batches.Batch,
        standing: ports.Versioned[batches.Batch],
        event: events.JobEvent | None,
    ) -> ports.Versioned[batches.Batch]:
        """Write over a row that is still ours, though its ETag is not the one we knew."""
        row = standing.row
        ours = (row.worker, row.attempt) == (changed.worker, changed.attempt)
        if ours and row.state is changed.state is not batches.BatchState.RENDERING:
            return standing  # our own write arrived, and its answer got lost
        self._ours(changed, row)
        # Our own earlier renewal or cut arrived though its answer got lost, or a person asks for a
        # pause.
        stands = {"frames": row.frames, "pause_requested": row.pause_requested}
        changed = changed.model_copy(update=stands)
        return await self._jobs.replace_batch(changed, etag=standing.etag, event=event)

    def _ours(self, known: batches.Batch, standing: batches.Batch) -> None:
        """Return if the row that stands is still held by this attempt. Raises LeaseLostError."""
        ours = (standing.worker, standing.attempt) == (known.worker, known.attempt)
        if not ours or standing.state is not batches.BatchState.RENDERING:
            raise errors.LeaseLostError(
                f"batch {standing.number} of job {standing.job} is {standing.state} since attempt "
                f"{standing.attempt} by {standing.worker}"
            )

    def _names(self) -> dict[str, object]:
        return {"job": self.batch.job, "batch": self.batch.number, "attempt": self.batch.attempt}
