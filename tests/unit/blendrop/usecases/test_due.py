"""Is whoever a job names told that it has ended, once it has, and as often as it takes?"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import jobs, webhooks
from blendrop.usecases import announce, control, due, recover, submit
from tests.doubles.blend_file import head
from tests.doubles.farm import MemoryFarm

HOOK = "https://studio.example/rendered"
DUE = jobs.AnnouncementState.DUE


@dataclass
class Listener:
    """Carries out `ports.Webhooks`: hears, or fails as it is told."""

    failing: list[errors.BlendropError] = field(default_factory=list)
    heard: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    async def post(self, address: str, *, body: bytes, headers: Mapping[str, str]) -> None:
        """Write down what was said."""
        if self.failing:
            raise self.failing.pop(0)
        self.heard.append((address, body, headers))


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path / "share")


@pytest.fixture
def listener() -> Listener:
    """Return one who listens."""
    return Listener()


def world(farm: MemoryFarm, listener: Listener, *, secret: str = "whsec_c2VjcmV0") -> due.Attending:
    """Return what attending to due jobs needs."""
    announcing = announce.Announcing(
        jobs=farm.table,
        due_jobs=farm.due_jobs,
        webhooks=listener,
        clock=farm.clock,
        secret=secret,
    )
    return due.Attending(submission=farm.submission(), announcing=announcing)


async def ended_job(farm: MemoryFarm) -> str:
    """Return a job that was rendered to its end."""
    job = await farm.queued_job("1-4", webhook=HOOK)
    assert farm.due_jobs.sent == []
    await farm.work()
    return job.id


async def test_the_end_of_a_job_is_told_once_and_signed(
    farm: MemoryFarm, listener: Listener
) -> None:
    """With headers that any library of Standard Webhooks checks."""
    job_id = await ended_job(farm)
    assert farm.due_jobs.sent == [(job_id, datetime.timedelta(0))]
    for _ in range(2):
        await due.attend(world(farm, listener), job_id)

    ((address, body, headers),) = listener.heard
    assert address == HOOK
    assert b'"type": "job.completed"' in body
    told = webhooks.announcement(
        await farm.job(job_id), secret="whsec_c2VjcmV0", now=farm.clock.now()
    )
    assert headers == told.headers
    assert (await farm.job(job_id)).announcement.state is jobs.AnnouncementState.SENT
    assert "announced" in [one.kind async for one in farm.table.events_of(job_id)]


async def test_one_who_does_not_hear_is_told_again_later(
    farm: MemoryFarm, listener: Listener
) -> None:
    """With growing delays, and the reason on the job; in the end nobody tries any more."""
    listener.failing = [errors.UnavailableError(f"{HOOK} answered 500")] * webhooks.ATTEMPTS
    job_id = await ended_job(farm)
    for attempt in range(1, webhooks.ATTEMPTS):
        await due.attend(world(farm, listener), job_id)
        told = (await farm.job(job_id)).announcement
        assert (told.state, told.attempts) == (DUE, attempt)
        assert "answered 500" in told.reason
    await due.attend(world(farm, listener), job_id)

    seconds = [delay.total_seconds() for _, delay in farm.due_jobs.sent]
    assert seconds == [0, 10, 40, 160, 640, 2560]
    assert (await farm.job(job_id)).announcement.state is jobs.AnnouncementState.FAILED
    kinds = [one.kind.value async for one in farm.table.events_of(job_id)]
    assert kinds.count("announcement_put_off") == 5
    assert kinds.count("announcement_failed") == 1


async def test_nothing_is_told_unsigned(farm: MemoryFarm, listener: Listener) -> None:
    """A farm that has lost its secret waits for it, and says so on the job."""
    job_id = await ended_job(farm)
    await due.attend(world(farm, listener, secret=""), job_id)
    assert listener.heard == []
    told = (await farm.job(job_id)).announcement
    assert (told.state, told.reason) == (DUE, "the farm has lost the secret that it signs with")

    await due.attend(world(farm, listener), job_id)
    assert len(listener.heard) == 1


async def test_an_address_that_may_not_be_told_is_not_tried_again(
    farm: MemoryFarm, listener: Listener
) -> None:
    """The job says why."""
    refused = errors.Problem(pointer="webhook", value=HOOK, reason="it is private", remedy="Mend")
    listener.failing = [errors.InvalidRequestError(refused)]
    job_id = await ended_job(farm)
    await due.attend(world(farm, listener), job_id)
    told = (await farm.job(job_id)).announcement
    assert (told.state, told.attempts) == (jobs.AnnouncementState.FAILED, 1)
    assert "it is private" in told.reason


async def test_an_announcement_whose_message_was_lost_is_set_off_by_the_sweeper(
    farm: MemoryFarm, listener: Listener
) -> None:
    """The job stays on the list of open ones until it is told."""
    job_id = await ended_job(farm)
    farm.due_jobs.sent.clear()
    await recover.sweep(farm.submission())
    assert farm.due_jobs.sent == []
    await farm.clock.advance(200)
    assert (await recover.sweep(farm.submission())).announcements == 1
    assert [one for one, _ in farm.due_jobs.sent] == [job_id]
    await due.attend(world(farm, listener), job_id)
    assert (await recover.sweep(farm.submission())).unlisted == 1
    assert len(listener.heard) == 1


async def test_a_job_that_is_tried_again_is_announced_when_it_ends_anew(
    farm: MemoryFarm, listener: Listener
) -> None:
    """What was due of its first end is dropped."""
    job = await farm.queued_job("1-4", webhook=HOOK)
    await control.cancel(farm.control(), job.id, by="anna")
    await control.retry(farm.control(), job.id, by="anna")
    await due.attend(world(farm, listener), job.id)
    assert listener.heard == []
    while await farm.queue.depth():
        await farm.work()
    await due.attend(world(farm, listener), job.id)
    assert len(listener.heard) == 1


async def test_a_farm_without_a_secret_takes_no_webhook(farm: MemoryFarm) -> None:
    """Nobody could tell its announcements from somebody else's."""
    wanted = submit.Request(scene="s.blend", settings={"webhook": HOOK}, caller="anna", key="1")
    with pytest.raises(errors.InvalidRequestError, match="BLENDROP_WEBHOOK_SECRET"):
        await submit.requested(farm.submission(), wanted)


async def test_a_large_job_is_planned_by_whoever_hears_of_it(
    farm: MemoryFarm, listener: Listener
) -> None:
    """The request is answered at once; word that comes twice changes nothing."""
    farm.scenes.put("s.blend", head(("Scene", 1, 1000)), {})
    wanted = submit.Request(scene="s.blend", settings={"batch_size": 4}, caller="anna", key="1")
    job = await submit.requested(farm.submission(), wanted)
    assert (job.state, job.batch_count) == (jobs.JobState.SUBMITTED, 250)
    assert await farm.queue.depth() == 0
    assert farm.due_jobs.sent == [(job.id, datetime.timedelta(0))]

    for _ in range(2):
        await due.attend(world(farm, listener), job.id)
    assert await farm.queue.depth() == 250
    assert (await farm.job(job.id)).state is jobs.JobState.QUEUED
    await due.attend(world(farm, listener), "gone-000000000000")


async def test_a_large_job_of_which_nobody_hears_is_planned_by_the_sweeper(
    farm: MemoryFarm,
) -> None:
    """Its message was lost."""
    farm.scenes.put("s.blend", head(("Scene", 1, 1000)), {})
    wanted = submit.Request(scene="s.blend", settings={"batch_size": 4}, caller="anna", key="1")
    job = await submit.requested(farm.submission(), wanted)
    await farm.clock.advance(200)

    assert (await recover.sweep(farm.submission())).submissions == 1
    assert await farm.queue.depth() == 250
    assert (await farm.job(job.id)).state is jobs.JobState.QUEUED
