"""What does a worker do with a message it received?

`docs/worker-protocol.md` lists every case, and the test of each. The order of the good one: claim
the batch row, render the frames that are missing, say so in the row, settle the job, and delete the
message, last.
"""

import asyncio
import datetime
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import structlog

from blendrop import errors, ports
from blendrop.domain import batches, events, frames, jobs, messages
from blendrop.usecases import budget, render_frames, settle
from blendrop.usecases.handover import Stage, Waiting
from blendrop.usecases.lease import Lease
from blendrop.usecases.render_frames import Rendering

log = structlog.stdlib.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a message."""

    DONE = "done"  # every frame of the batch has its final name
    FAILED = "failed"  # some frames failed for good; the others are done
    RETRY = "retry"  # some frames failed; the batch waits for another attempt
    STOPPED = "stopped"  # the worker was asked to stop and gave the batch back
    LEASE_LOST = "lease_lost"  # the batch is someone else's now
    HELD = "held"  # another worker's lease on the batch still runs
    LEFT = "left"  # its last attempt failed here: others may try it first
    OBSOLETE = "obsolete"  # nothing was left to do: the batch or its job had ended
    PARKED = "parked"  # no attempt could ever read it
    JOB_FAILED = "job_failed"  # no frame of the job can be rendered as asked, or too many fail


_SOON = datetime.timedelta(seconds=5)  # when a message that came twice is looked at again
_FAILED = frozenset(
    {Outcome.FAILED, Outcome.RETRY, Outcome.LEASE_LOST, Outcome.PARKED, Outcome.JOB_FAILED}
)


@dataclass(frozen=True)
class Attended:
    """A message that was carried out, or left."""

    outcome: Outcome
    job: str = ""  # empty if the message could not be read
    frames_done: int = 0  # in this attempt


@dataclass(frozen=True)
class _Found:
    """A batch that may be claimed, by what its rows say."""

    job: ports.Versioned[jobs.Job]
    batch: ports.Versioned[batches.Batch]
    done: set[int]
    fresh: bool  # the rows were read for this message, and not remembered


async def attend(
    world: Rendering, delivery: ports.Delivery, *, since: float, stage: Stage | None = None
) -> Attended:
    """Carry out one message; `since` is the clock's elapsed time when its lease began.

    As long as another attempt has Blender, the message is only looked at and kept hidden. Cancelled
    before its stage has begun, it is given back at once.

    Raises:
        UnavailableError: the storage or the frame share is away; the message comes back by itself.
    """
    stage = stage or Stage()
    try:
        message = messages.decode(delivery.body)
    except errors.UnreadableMessageError as unreadable:
        return await _parked(world, delivery, unreadable)
    waiting = Waiting(world.queue, world.clock, delivery, lease=world.lease, since=since)
    with world.spans.span(
        "process render-batches",
        kind="consumer",
        parent=message.traceparent,
        job=message.job,
        batch=message.batch,
        deliveries=delivery.dequeue_count,
    ) as processing:
        try:
            attended = await _attended(world, waiting, message, stage)
        finally:
            stage.through()
        processing.note(outcome=attended.outcome)
        if attended.outcome in _FAILED:
            processing.fail(attended.outcome)
        log.info("message_attended", outcome=attended.outcome, message=delivery.message_id)
        return attended


async def _attended(
    world: Rendering, waiting: Waiting, message: messages.BatchMessage, stage: Stage
) -> Attended:
    try:
        if world.handover.is_at(message.job, message.batch):
            await world.queue.give_back(waiting.delivery, delay=_SOON)
            log.info("batch_held", reason="its message came twice: this worker is at it already")
            return Attended(Outcome.HELD, message.job)
        found = await _found(world, waiting.delivery, message)
        if isinstance(found, Attended):
            return found
        if not world.handover.soon_free(message.job):
            scene = found.job.row.scene
            _fetching = await _until_blender_is_free(world, waiting, scene, stage)
    except errors.LeaseLostError as lost:
        log.warning("lease_lost", reason=str(lost))
        return Attended(Outcome.LEASE_LOST, message.job)
    except asyncio.CancelledError:
        await waiting.give_back()
        raise
    stage.begun = True
    with world.handover.attempt(message.job, message.batch):
        return await _claimed_and_rendered(world, waiting, message, stage, found)


async def _claimed_and_rendered(
    world: Rendering,
    waiting: Waiting,
    message: messages.BatchMessage,
    stage: Stage,
    found: _Found,
) -> Attended:
    # The span of the claim is over, and told, before the work begins: what the attempt does is its
    # child, so that it hangs together though the worker be killed and no later span ever told.
    with world.spans.span(
        "claim batch",
        parent=message.traceparent,
        links=(found.batch.row.traceparent,),
        attempt=found.batch.row.attempt + 1,
        job=message.job,
        batch=message.batch,
    ) as claiming:
        claimed = await _claimed(world, waiting, message, found, traceparent=claiming.traceparent)
        if isinstance(claimed, Attended):
            claiming.note(outcome=claimed.outcome)
            return claimed
        claiming.end()
        lease, found = claimed
        outcome = await _attempt(world, lease, found, stage)
    if outcome is not Outcome.DONE:
        world.known.forget()
    return Attended(outcome, message.job, lease.batch.frames_done - len(found.done))


async def _parked(world: Rendering, delivery: ports.Delivery, why: Exception) -> Attended:
    try:
        await world.queue.park(delivery, reason=str(why))
    except errors.LeaseLostError as lost:
        log.warning("lease_lost", reason=str(lost))
        return Attended(Outcome.LEASE_LOST)  # whoever has it now parks it, too
    log.error("message_parked", reason=str(why), message_id=delivery.message_id)
    return Attended(Outcome.PARKED)


async def _found(
    world: Rendering, delivery: ports.Delivery, message: messages.BatchMessage
) -> _Found | Attended:
    """Return what may be claimed; if nothing may, what became of the message."""
    known = world.known
    for last_look in (False, True):
        now = world.clock.elapsed()
        try:
            job, as_of = await known.job(world.jobs, message.job, now=now)
            if job.row.deleted:
                await world.queue.delete(delivery)
                log.info("message_obsolete", reason="its job was deleted")
                return Attended(Outcome.OBSOLETE, message.job)
            batch, read = await known.batch(world.jobs, message.job, message.batch)
        except errors.NotFoundError as gone:
            if last_look:
                return await _parked(world, delivery, gone)
            known.forget()
            continue
        fresh = read and as_of == now
        if not fresh and _why_not(job.row, delivery):
            known.forget()  # a message is not left for what is only remembered
            continue
        if (outcome := await _turned_away(world, delivery, job.row, batch)) is not None:
            return Attended(outcome, message.job)
        try:
            done = await _frames_done(world, job.row, batch.row)
        except errors.UnavailableError as away:
            await _say_why(world, batch, str(away))
            raise
        return _Found(job, batch, done, fresh)
    raise AssertionError("the last look is a fresh one")


async def _until_blender_is_free(
    world: Rendering, waiting: Waiting, scene: jobs.SceneRef, stage: Stage
) -> asyncio.Task[None] | None:
    """Return with Blender, and with what fetches the scene if another attempt had it until now.

    The task must be kept as long as it is to run.
    """
    if not world.handover.blender.locked():
        await waiting.until_free(world.handover.blender, stage)
        return None  # it is fetched once the batch is claimed
    fetching = asyncio.create_task(_fetched_ahead(world, scene))
    try:
        await waiting.until_free(world.handover.blender, stage)
    except BaseException:
        fetching.cancel()
        raise
    return fetching


async def _fetched_ahead(world: Rendering, scene: jobs.SceneRef) -> None:
    try:
        await world.scenes.path_of(scene)
    except errors.BlendropError as failed:
        log.info("scene_not_fetched_ahead", reason=f"{failed}; it is tried again in its turn")


async def _claimed(
    world: Rendering,
    waiting: Waiting,
    message: messages.BatchMessage,
    found: _Found,
    *,
    traceparent: str,
) -> tuple[Lease, _Found] | Attended:
    """Claim the batch; if that is refused, look anew at rows that were remembered."""
    async with world.handover.claiming:
        while True:
            try:
                lease = await _claim(world, waiting, found, traceparent=traceparent)
            except (errors.ConflictError, errors.NotFoundError):
                world.known.forget()
                if found.fresh:
                    log.info("batch_held", reason="another worker claimed it at the same moment")
                    return Attended(Outcome.HELD, message.job)
            else:
                world.handover.took(lease)
                return lease, found
            again = await _found(world, waiting.delivery, message)
            if isinstance(again, Attended):
                return again
            found = again


async def _turned_away(
    world: Rendering,
    delivery: ports.Delivery,
    job: jobs.Job,
    standing: ports.Versioned[batches.Batch],
) -> Outcome | None:
    """Deal with a message that is not to be rendered now; None if it is."""
    batch, now = standing.row, world.clock.now()
    if batch.state not in batches.OPEN:
        # Delivered twice, or an earlier attempt ended before it deleted the message.
        await settle.job(world, job.id, by=world.worker)
        await world.queue.delete(delivery)
        log.info("message_obsolete", reason=f"its batch is {batch.state} already")
        return Outcome.OBSOLETE
    if batch.held_by_another(world.worker, now):
        log.info("batch_held", reason=f"{batch.worker} holds it until {batch.lease_until}")
        return Outcome.HELD
    if reason := _why_not(job, delivery):
        if job.ended:
            cancelled = batch.released(batches.BatchState.CANCELLED)
            try:
                await world.jobs.replace_batch(cancelled, etag=standing.etag)
            except errors.ConflictError:
                log.info("batch_held", reason="someone else changed it at the same moment")
                return Outcome.HELD
        await world.queue.delete(delivery)
        log.info("message_obsolete", reason=reason)
        return Outcome.OBSOLETE
    if world.leaves_to_others(batch):
        await world.queue.give_back(delivery, delay=world.retry_delay / 2)
        log.info("batch_left", reason="its last attempt failed here: others may try it first")
        return Outcome.LEFT
    return None


def _why_not(job: jobs.Job, delivery: ports.Delivery) -> str:
    """Return why a message of this job is not to be carried out; nothing if it is."""
    if job.ended:
        return f"its job is {job.state} already"
    if job.state is jobs.JobState.PAUSED:
        return "its job is paused; resuming it sends a new message"
    if job.settings.priority != delivery.priority:
        return f"its job has {job.settings.priority} priority by now"
    return ""


async def _say_why(world: Rendering, standing: ports.Versioned[batches.Batch], reason: str) -> None:
    """Write on the row why its batch waits, though nobody has claimed it."""
    waiting = standing.row.model_copy(update={"reason": reason})
    try:
        await world.jobs.replace_batch(waiting, etag=standing.etag)
    except errors.ConflictError:
        log.info("batch_changed", reason="another worker has it, and says so itself")


async def _frames_done(world: Rendering, job: jobs.Job, batch: batches.Batch) -> set[int]:
    """Return the batch's frames whose files have their final names: the one truth."""
    if not job.frame_pattern:
        return set()  # no worker has come as far as its first frame
    names = {frames.file_name(job.frame_pattern, one): one for one in batch.frame_numbers()}
    return {names[name] for name in await world.share.frames_done(job.id, names)}


async def _claim(world: Rendering, waiting: Waiting, found: _Found, *, traceparent: str) -> Lease:
    batch, done = found.batch.row, found.done
    event = None
    if batch.state is batches.BatchState.RENDERING:
        event = _event(world, events.EventKind.WORKER_LOST, _lost(batch))
        batch = _with_lost_worker(batch, done)
    batch = batch.with_done(done).claimed(
        world.worker, lease_until=world.clock.now() + world.lease, traceparent=traceparent
    )
    charge = world.ledger.before(batch, until=waiting.since)
    try:
        claimed = await world.jobs.replace_batch(
            batch.waited_for(charge.used), etag=found.batch.etag, event=event
        )
    except BaseException:
        world.ledger.let_go(batch)
        world.ledger.put_back(charge)
        raise
    return Lease(
        jobs=world.jobs,
        queue=world.queue,
        clock=world.clock,
        delivery=waiting.delivery,
        claimed=claimed,
        length=world.lease,
        since=waiting.since,
        progress=world.progress,
        ledger=world.ledger,
    )


def _lost(batch: batches.Batch) -> str:
    return f"worker {batch.worker} vanished while it rendered batch {batch.number}"


def _event(world: Rendering, kind: events.EventKind, reason: str) -> events.JobEvent:
    return events.JobEvent(at=world.clock.now(), kind=kind, reason=reason, by=world.worker)


def _with_lost_worker(batch: batches.Batch, done: Collection[int]) -> batches.Batch:
    """Count an attempt against the frame that the vanished worker had in hand.

    Frames are rendered in order, so it is the first that is missing, or the one after it if that
    one was still being verified: then the next attempt shows which. It may be what ended the worker
    (out of memory, say), and must not end one after the other for ever.
    """
    in_hand = next((one for one in batch.frame_numbers() if one not in done), None)
    if in_hand is None:
        return batch
    return batch.with_failure(
        batches.FrameFailure(
            frame=in_hand,
            attempts=batch.attempts_of(in_hand) + 1,
            failure_class=errors.FailureClass.WORKER_LOST,
            reason=f"worker {batch.worker} vanished while it rendered this frame",
            remedy="If it happens again, the frame may need more memory than a worker has",
            worker=batch.worker,
        )
    )


async def _attempt(world: Rendering, lease: Lease, found: _Found, stage: Stage) -> Outcome:
    try:
        try:
            await lease.guard(_rendered(world, lease, found, stage))
        except errors.SceneError as unusable:
            reason = f"{unusable.reason}. {unusable.remedy}."
            return await _fail_job(world, lease, reason)
        finally:
            world.handover.lets_go(lease)
        if reason := await _reason_to_stop(world, lease.batch):
            return await _fail_job(world, lease, reason)
        if found.job.row.settings.max_cost is not None:
            world.known.forget()  # the job may be held in what follows
        await budget.keep_within(world, lease.batch, found.job.row)
        return await _conclude(world, lease)
    except errors.LeaseLostError as lost:
        log.warning("lease_lost", reason=str(lost))
        return Outcome.LEASE_LOST
    except asyncio.CancelledError:
        # The grace after SIGTERM is over, and Blender has been ended: others may go on at once.
        try:
            await _give_back(
                lease,
                delay=datetime.timedelta(0),
                reason="its worker was asked to stop, and had no time to finish the frame",
            )
        except errors.BlendropError as failed:
            log.warning("give_back_failed", reason=f"{failed}; the message comes back by itself")
        raise


async def _rendered(world: Rendering, lease: Lease, found: _Found, stage: Stage) -> None:
    await stage.acquire(world.handover.blender)
    left = len(lease.batch.frame_numbers()) - len(found.done)
    world.progress.batch_begun(lease.batch, frames_left=left)
    await render_frames.missing(world, lease, found.job, found.done, stage)


async def _reason_to_stop(world: Rendering, batch: batches.Batch) -> str:
    if not batch.failures:
        return ""  # what this batch adds speaks for the job
    others = [
        one.row async for one in world.jobs.batches_of(batch.job) if one.row.number != batch.number
    ]
    return world.breaker.reason_to_stop([batch, *others], frame_attempts=world.frame_attempts)


async def _fail_job(world: Rendering, lease: Lease, reason: str) -> Outcome:
    await settle.failed(world, lease.batch.job, reason=reason, by=world.worker)
    await lease.record(batches.BatchState.CANCELLED)
    await world.share.clear_unfinished(lease.batch.job)
    await lease.delete_message()
    return Outcome.JOB_FAILED


async def _give_back(
    lease: Lease, *, delay: datetime.timedelta, reason: str, event: events.JobEvent | None = None
) -> None:
    lease.batch = lease.batch.model_copy(update={"reason": f"waits for a worker: {reason}"})
    await lease.record(batches.BatchState.QUEUED, event=event)
    await lease.show_message(delay=delay)


async def _conclude(world: Rendering, lease: Lease) -> Outcome:
    """Write down what the attempt came to, and pass the message on or delete it."""
    batch = lease.batch
    open_frames = len(batch.frame_numbers()) - batch.frames_done
    failed_for_good = [one for one in batch.failures if render_frames.for_good(world, one)]
    if open_frames > len(batch.failures):
        why = "its job is paused" if batch.pause_requested else "the last one was asked to stop"
        told = f"batch {batch.number}: {why}; {open_frames} frames are left"
        event = _event(world, events.EventKind.BATCH_GIVEN_BACK, told)
        await _give_back(lease, delay=datetime.timedelta(0), reason=why, event=event)
        log.info("batch_given_back", reason=why, left=open_frames)
        return Outcome.STOPPED
    if open_frames > len(failed_for_good):
        delay = world.retry_delay * 2 ** (max(one.attempts for one in batch.failures) - 1)
        bad = frames.canonical(one.frame for one in batch.failures)
        again = f"{world.clock.now() + delay:%X} UTC"
        told = f"{_failing(batch)}; tried again from {again}"
        await _give_back(
            lease,
            delay=delay,
            reason=f"frames {bad} failed, and are tried again from {again}",
            event=_event(world, events.EventKind.BATCH_RETRIED, told),
        )
        log.warning("batch_failed_attempt", failures=len(batch.failures), retry_in=str(delay))
        return Outcome.RETRY
    if failed_for_good:
        event = _event(world, events.EventKind.BATCH_FAILED, _failing(batch))
        await lease.record(batches.BatchState.FAILED, event=event)
    else:
        await lease.record(batches.BatchState.DONE)
    if not await world.handover.goes_on_with(batch.job):
        await settle.job(world, batch.job, by=world.worker)
    await lease.delete_message()
    if failed_for_good:
        log.error("batch_failed", frames=frames.canonical(one.frame for one in failed_for_good))
        return Outcome.FAILED
    log.info("batch_done", frames=batch.frames, seconds=round(batch.render_seconds, 3))
    return Outcome.DONE


def _failing(batch: batches.Batch) -> str:
    first = batch.failures[0]
    named = frames.canonical(one.frame for one in batch.failures)
    return f"batch {batch.number}: frames {named} failed: {first.failure_class}: {first.reason}"
