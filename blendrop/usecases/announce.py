"""Who is told that a job has ended, and what if they do not hear it?

That a job is to be announced is written together with its end, so that it is never forgotten: the
message that sets it off may be lost, and then the sweeper sends another. It is told at least once.
"""

import datetime
from dataclasses import dataclass

import structlog

from blendrop import errors, ports
from blendrop.domain import events, jobs, webhooks

log = structlog.stdlib.get_logger(__name__)

_BY = "the announcer"


@dataclass(frozen=True)
class Announcing:
    """What announcing needs of the world."""

    jobs: ports.JobTable
    due_jobs: ports.DueJobs
    webhooks: ports.Webhooks
    clock: ports.Clock
    secret: str


async def begin(due_jobs: ports.DueJobs, job: jobs.Job) -> None:
    """Set off the announcement of a job that has just ended, if somebody is to be told."""
    if job.announcement.state is not jobs.AnnouncementState.DUE:
        return
    try:
        await due_jobs.send(job.id, delay=datetime.timedelta(0))
    except errors.UnavailableError as away:
        log.warning("announcement_not_set_off", job=job.id, reason=f"{away}; the sweeper will")


async def attempt(world: Announcing, standing: ports.Versioned[jobs.Job]) -> None:
    """Tell whom the job names, once; if that fails, let it be tried again later.

    Raises:
        UnavailableError: the storage is away; run it again.
    """
    job = standing.row
    address = job.settings.webhook
    if job.announcement.state is not jobs.AnnouncementState.DUE or address is None:
        log.info("announcement_dropped", job=job.id, reason="there is nothing to tell any more")
        return
    attempts = job.announcement.attempts + 1
    try:
        await _tell(world, job, address)
    except errors.InvalidRequestError as refused:
        changed = job.announcement.failed(str(refused), attempts=attempts)
    except errors.UnavailableError as away:
        if attempts >= webhooks.ATTEMPTS:
            changed = job.announcement.failed(str(away), attempts=attempts)
        else:
            due = world.clock.now() + webhooks.delay(attempts)
            changed = job.announcement.put_off(str(away), attempts=attempts, due=due)
    else:
        changed = job.announcement.sent(attempts=attempts)
    await _write(world, standing, changed)


async def _tell(world: Announcing, job: jobs.Job, address: str) -> None:
    if not world.secret:
        raise errors.UnavailableError("the farm has lost the secret that it signs with")
    told = webhooks.announcement(job, secret=world.secret, now=world.clock.now())
    await world.webhooks.post(address, body=told.body, headers=told.headers)


async def _write(
    world: Announcing, standing: ports.Versioned[jobs.Job], changed: jobs.Announcement
) -> None:
    job = standing.row
    kinds = {
        jobs.AnnouncementState.SENT: events.EventKind.ANNOUNCED,
        jobs.AnnouncementState.FAILED: events.EventKind.ANNOUNCEMENT_FAILED,
        jobs.AnnouncementState.DUE: events.EventKind.ANNOUNCEMENT_PUT_OFF,
    }
    reason = changed.reason or f"{job.settings.webhook} was told"
    event = events.JobEvent(at=world.clock.now(), kind=kinds[changed.state], reason=reason, by=_BY)
    report = log.info if changed.state is jobs.AnnouncementState.SENT else log.warning
    report(f"job_{event.kind}", job=job.id, attempts=changed.attempts, reason=reason)
    try:
        await world.jobs.replace_job(
            job.model_copy(update={"announcement": changed}), etag=standing.etag, event=event
        )
    except errors.ConflictError:
        # Somebody retried or deleted the job: it is announced anew when it ends anew.
        log.warning("announcement_not_noted", job=job.id, reason="the job was changed meanwhile")
        return
    if changed.state is jobs.AnnouncementState.DUE:
        await world.due_jobs.send(job.id, delay=webhooks.delay(changed.attempts))
