"""Do the tables of the storage account and those in memory keep the same contract?"""

import datetime
import itertools
import logging

import pytest

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_job_table import AzureJobTable
from blendrop.adapters.memory_storage import MemoryJobTable
from blendrop.domain import batches, events, images, job_settings, jobs
from tests.doubles.clock import START

_NUMBERS = itertools.count(1)


@pytest.fixture(params=["memory", "azure"])
def table(request: pytest.FixtureRequest, clients: Clients, table_name: str) -> ports.JobTable:
    """Return each table in turn."""
    if request.param == "memory":
        return MemoryJobTable()
    return AzureJobTable(clients, table=table_name)


def a_job(*, minutes: int = 0, state: jobs.JobState = jobs.JobState.SUBMITTED) -> jobs.Job:
    """Return a new job."""
    created = START + datetime.timedelta(minutes=minutes)
    return jobs.Job(
        id=f"kuche-{next(_NUMBERS):012x}",
        state=state,
        reason="Küche 'quoted' 100%",
        scene=jobs.SceneRef(name="Küche.blend", etag='"0x1"', size=2**40),
        settings=job_settings.JobSettings(engine="CYCLES", samples=3),
        frames="1-10",
        frame_count=10,
        batch_size=5,
        batch_count=2,
        created=created,
        changed=created,
    )


def some_batches(job: str, count: int) -> list[batches.Batch]:
    """Return a job's batches."""
    return [batches.Batch(job=job, number=number, frames=f"{number}") for number in range(count)]


async def test_a_job_is_kept_as_it_is(table: ports.JobTable) -> None:
    """Every field, to the microsecond; adding it again leaves the row that stands."""
    job = a_job()
    added = await table.add_job(job)
    assert added.row == job
    assert (await table.get_job(job.id)) == added
    later = job.created + datetime.timedelta(seconds=1)
    again = await table.add_job(job.model_copy(update={"reason": "another", "created": later}))
    assert (again.row, again.etag) == (job, added.etag)
    assert await table.list_jobs(page_size=9) == ([job], "")
    assert [one.job for one in await table.open_jobs()] == [job.id]


async def test_only_who_has_read_the_newest_row_changes_it(table: ports.JobTable) -> None:
    """The other one learns of it."""
    added = await table.add_job(a_job())
    moved = added.row.moved(jobs.JobState.QUEUED, reason="waits", now=START)
    newer = await table.replace_job(moved, etag=added.etag)
    assert newer.etag != added.etag
    with pytest.raises(errors.ConflictError):
        await table.replace_job(added.row, etag=added.etag)
    assert (await table.get_job(moved.id)).row == moved


async def test_what_is_not_there_is_not_found(table: ports.JobTable) -> None:
    """Jobs and batches."""
    with pytest.raises(errors.NotFoundError):
        await table.get_job("gone-000000000000")
    with pytest.raises(errors.NotFoundError):
        await table.get_batch("gone-000000000000", 0)
    assert [one async for one in table.batches_of("gone-000000000000")] == []


@pytest.mark.parametrize("with_event", [False, True])
async def test_what_was_removed_is_not_changed(table: ports.JobTable, with_event: bool) -> None:
    """Whether an event is told with the change or not."""
    job = (await table.add_job(a_job())).row
    await table.add_batches(some_batches(job.id, 1))
    claimed = await table.get_batch(job.id, 0)
    event = events.JobEvent(at=START, kind=events.EventKind.WORKER_LOST, reason="gone", by="w1")
    await table.remove_job(job)
    with pytest.raises(errors.NotFoundError):
        await table.replace_batch(
            claimed.row, etag=claimed.etag, event=event if with_event else None
        )


async def test_an_ended_job_is_on_no_list_of_open_ones(table: ports.JobTable) -> None:
    """Not if it was born so, nor once it is taken off; listed anew in between, it stays."""
    born_failed = await table.add_job(a_job(state=jobs.JobState.FAILED))
    added = await table.add_job(a_job())
    (listing,) = await table.open_jobs()
    assert (listing.job, born_failed.row.ended) == (added.row.id, True)
    await table.list_open(added.row.id)
    await table.unlist(listing)

    (again,) = await table.open_jobs()
    await table.unlist(again)
    await table.unlist(again)
    assert await table.open_jobs() == []


def an_event(reason: str, *, second: int = 0) -> events.JobEvent:
    """Return something that happened."""
    at = START + datetime.timedelta(seconds=second)
    return events.JobEvent(at=at, kind=events.EventKind.QUEUED, reason=reason, by="Jürgen")


async def test_a_change_and_its_event_are_written_together_or_not_at_all(
    table: ports.JobTable,
) -> None:
    """Of jobs and of batches; whoever comes too late writes neither."""
    happened = [an_event(reason, second=second) for second, reason in enumerate("abc")]
    added = await table.add_job(a_job(), event=happened[0])
    job_id = added.row.id
    assert (await table.add_job(added.row, event=an_event("again"))).etag == added.etag
    moved = added.row.moved(jobs.JobState.QUEUED, reason="waits", now=START)
    newer = await table.replace_job(moved, etag=added.etag, event=happened[1])
    assert (await table.get_job(job_id)) == newer
    await table.add_batches(some_batches(job_id, 1))
    batch = await table.get_batch(job_id, 0)
    claimed = batch.row.claimed("w1", lease_until=START)
    written = await table.replace_batch(claimed, etag=batch.etag, event=happened[2])
    assert (await table.get_batch(job_id, 0)) == written
    with pytest.raises(errors.ConflictError):
        await table.replace_job(added.row, etag=added.etag, event=an_event("too late"))
    with pytest.raises(errors.ConflictError):
        await table.replace_batch(claimed, etag=batch.etag, event=an_event("too late"))

    assert [one async for one in table.events_of(job_id)] == happened


async def test_a_request_is_known_again(table: ports.JobTable) -> None:
    """By what was noted first under its key."""
    first = ports.KnownRequest(job="shot-0123456789ab", digest="1")
    assert await table.remember_request("key", first) == first
    other = ports.KnownRequest(job="shot-ba9876543210", digest="2")
    assert await table.remember_request("key", other) == first
    assert await table.remember_request("other key", other) == other


async def test_a_removed_job_leaves_its_row_alone(table: ports.JobTable) -> None:
    """For the messages that may still come."""
    added = await table.add_job(a_job(), event=an_event("made"))
    kept = await table.add_job(a_job())
    await table.add_batches(some_batches(added.row.id, 123))
    await table.remove_job(added.row)
    await table.remove_job(added.row)

    assert await table.get_job(added.row.id) == added
    assert [one async for one in table.batches_of(added.row.id)] == []
    assert [one async for one in table.events_of(added.row.id)] == []
    assert [one.job for one in await table.open_jobs()] == [kept.row.id]
    assert (await table.list_jobs(page_size=9))[0] == [kept.row]


async def test_thousands_of_batches_come_back_in_order(table: ports.JobTable) -> None:
    """More than a transaction holds, and more than a page."""
    job = a_job()
    await table.add_batches(some_batches(job.id, 1234))
    found = [one.row.number async for one in table.batches_of(job.id)]
    assert found == list(range(1234))


async def test_batches_that_stand_stay_as_they_are(table: ports.JobTable) -> None:
    """A submission that is run again overwrites no progress."""
    job = a_job()
    await table.add_batches(some_batches(job.id, 3))
    standing = await table.get_batch(job.id, 1)
    claimed = standing.row.claimed("w1", lease_until=START)
    written = await table.replace_batch(claimed, etag=standing.etag)
    await table.add_batches(some_batches(job.id, 150))

    assert await table.get_batch(job.id, 1) == written
    assert len([one async for one in table.batches_of(job.id)]) == 150
    rendering = {batches.BatchState.RENDERING}
    assert [one.row async for one in table.batches_of(job.id, states=rendering)] == [claimed]
    with pytest.raises(errors.ConflictError):
        await table.replace_batch(standing.row, etag=standing.etag)


async def test_the_largest_batch_fits(table: ports.JobTable) -> None:
    """500 frames, each failed with a long log, each flagged: cut where need be, never refused."""
    job = a_job()
    await table.add_batches([batches.Batch(job=job.id, number=0, frames="1-500")])
    standing = await table.get_batch(job.id, 0)
    batch = standing.row
    for frame in range(1, 501):
        batch = batch.with_frame_done(
            frame, seconds=1.0, flags=frozenset(images.FrameFlag)
        ).with_failure(
            batches.FrameFailure(
                frame=frame,
                attempts=3,
                failure_class=errors.FailureClass.CRASH,
                reason="Blender was ended by SIGSEGV as it was to render the frame " * 3,
                remedy="Look at the log",
                worker="worker-1",
                log_tail="ü" * 2000,
            )
        )
    await table.replace_batch(batch, etag=standing.etag)
    kept = (await table.get_batch(job.id, 0)).row
    assert len(kept.failures) == 500
    assert all(failure.reason for failure in kept.failures)


async def test_jobs_are_listed_newest_first_page_by_page(
    table: ports.JobTable, caplog: pytest.LogCaptureFixture
) -> None:
    """Without ever touching the rows of batches."""
    added = [a_job(minutes=minute) for minute in range(5)]
    for job in added:
        await table.add_job(job)
        await table.add_batches(some_batches(job.id, 3))
    caplog.set_level(logging.INFO, "azure.core.pipeline.policies.http_logging_policy")
    caplog.clear()

    found: list[jobs.Job] = []
    token = ""
    for _ in range(3):
        page, token = await table.list_jobs(page_size=2, token=token)
        found.extend(page)

    assert [job.id for job in found] == [job.id for job in reversed(added)]
    assert token == ""
    assert len([one for one in caplog.records if "Request URL" in one.getMessage()]) <= 12


async def test_a_batch_is_split_as_a_whole_or_not_at_all(table: ports.JobTable) -> None:
    """By who has read its newest row, and once."""
    (batch,) = some_batches((await table.add_job(a_job())).row.id, 1)
    await table.add_batches([batch])
    first = await table.get_batch(batch.job, 0)
    kept = batch.model_copy(update={"frames": "0"})
    tails = [batch.model_copy(update={"number": 2 + place}) for place in range(99)]

    written = await table.split_batch(kept, tails, etag=first.etag)
    assert written == await table.get_batch(batch.job, 0)
    assert [one.row async for one in table.batches_of(batch.job)] == [kept, *tails]
    later = [batch.model_copy(update={"number": 200})]
    with pytest.raises(errors.ConflictError):
        await table.split_batch(kept, later, etag=first.etag)
    with pytest.raises(errors.ConflictError):
        await table.split_batch(kept, [*later, tails[0]], etag=written.etag)
    with pytest.raises(errors.NotFoundError):
        await table.get_batch(batch.job, 200)
    assert await table.get_batch(batch.job, 0) == written


async def test_the_job_noted_last_has_the_frames_of_a_key(table: ports.JobTable) -> None:
    """Of that key alone; nothing that was never noted."""
    assert await table.latest_of("key-1") == ""
    await table.note_latest("key-1", "a-000000000001")
    await table.note_latest("key-1", "a-000000000002")
    await table.note_latest("key-2", "b-000000000003")
    assert await table.latest_of("key-1") == "a-000000000002"
