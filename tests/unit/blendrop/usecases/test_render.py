"""The worker protocol, row by row (docs/worker-protocol.md)."""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from blendrop import errors, ports
from blendrop.domain import batches, events, jobs, messages
from blendrop.usecases import render
from blendrop.usecases.render import Outcome
from tests.doubles.farm import LEASE, MemoryFarm
from tests.doubles.renderer import ScriptedRenderer, crash


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """Return an empty farm."""
    return MemoryFarm(tmp_path)


async def test_every_frame_gets_its_name_and_the_message_goes_last(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The good case: frames, row, job, and an empty queue."""
    job = await farm.queued_job("1-3")
    delete, at_deletion = farm.queue.delete, []

    async def noting(delivery: ports.Delivery) -> None:
        at_deletion.append(((await farm.batch(job.id)).state, (await farm.job(job.id)).state))
        await delete(delivery)

    replace, written = farm.table.replace_batch, []

    async def watched(
        batch: batches.Batch, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[batches.Batch]:
        written.append(batch)
        return await replace(batch, etag=etag, event=event)

    monkeypatch.setattr(farm.queue, "delete", noting)
    monkeypatch.setattr(farm.table, "replace_batch", watched)
    assert await farm.work() is Outcome.DONE
    claimed = written[0]
    assert (claimed.state, claimed.worker) == (batches.BatchState.RENDERING, "w1")
    assert (claimed.attempt, claimed.lease_until) == (1, farm.clock.now() + LEASE)
    assert farm.files(job.id) == [
        "logs",
        "previews",
        "shot_0001.png",
        "shot_0002.png",
        "shot_0003.png",
    ]
    batch = await farm.batch(job.id)
    assert (batch.state, batch.frames_done, batch.attempt) == (batches.BatchState.DONE, 3, 1)
    ended = await farm.job(job.id)
    assert (ended.state, ended.frame_pattern) == (jobs.JobState.COMPLETED, "shot_####.png")
    assert at_deletion == [(batches.BatchState.DONE, jobs.JobState.COMPLETED)]
    assert await farm.queue.depth() == 0


async def test_a_job_renders_until_its_last_batch_is_done(farm: MemoryFarm) -> None:
    """The job's state follows from its batches."""
    job = await farm.queued_job("1-4", batch_size=2)

    await farm.work()
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING
    await farm.work()
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("hello", id="no message"),
        pytest.param('{"v":2,"job":"a","batch":0,"frames":"1"}', id="a later version"),
        pytest.param('{"v":1,"job":"gone-000000000000","batch":0,"frames":"1"}', id="job is gone"),
    ],
)
async def test_a_message_nobody_can_carry_out_is_parked(farm: MemoryFarm, body: str) -> None:
    """It lands where people look, with the reason, and never comes back."""
    farm.queue.put_text(body)

    assert await farm.work() is Outcome.PARKED
    (parked,) = farm.queue.parked
    assert body in parked.body
    assert parked.reason
    assert await farm.queue.depth() == 0


@pytest.mark.parametrize(
    "body", ["hello", '{"v":1,"job":"gone-000000000000","batch":0,"frames":"1"}']
)
async def test_a_message_that_another_parks_meanwhile_ends_no_worker(
    farm: MemoryFarm, body: str
) -> None:
    """Its lease ran out before it was put aside: whoever has it now puts it aside, too."""
    farm.queue.put_text(body)
    slow, since = await farm.receive(), farm.clock.elapsed()
    await farm.clock.advance(61)
    later = await farm.receive()

    attended = await render.attend(farm.rendering(), slow, since=since)
    assert attended.outcome is Outcome.LEASE_LOST
    attended = await render.attend(farm.rendering("w2"), later, since=farm.clock.elapsed())
    assert attended.outcome is Outcome.PARKED


async def test_a_message_delivered_twice_renders_nothing(farm: MemoryFarm) -> None:
    """The batch is done: the second message is deleted."""
    job = await farm.queued_job("1-2")
    await farm.queue.send(
        [messages.BatchMessage(job=job.id, batch=0, frames="1-2")], priority="normal"
    )
    await farm.work()

    assert await farm.work("w2") is Outcome.OBSOLETE
    assert farm.renderer.rendered == [1, 2]
    assert await farm.queue.depth() == 0


async def test_a_job_that_was_not_settled_is_settled_when_the_message_comes_back(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was cut off between the row that says done and the job's."""
    job = await farm.queued_job("1-2")
    replace = farm.table.replace_job

    async def cut_off(
        changed: jobs.Job, *, etag: str, event: events.JobEvent | None = None
    ) -> ports.Versioned[jobs.Job]:
        if changed.ended:
            raise errors.UnavailableError("cut off")
        return await replace(changed, etag=etag, event=event)

    monkeypatch.setattr(farm.table, "replace_job", cut_off)
    with pytest.raises(errors.UnavailableError):
        await farm.work()
    monkeypatch.setattr(farm.table, "replace_job", replace)
    assert (await farm.batch(job.id)).state is batches.BatchState.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.RENDERING

    await farm.clock.advance(60)
    assert await farm.work("w2") is Outcome.OBSOLETE
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
    assert farm.renderer.rendered == [1, 2]


async def test_a_batch_that_another_holds_is_left_alone(farm: MemoryFarm) -> None:
    """A live lease keeps others away, and the message comes back by itself."""
    job = await farm.queued_job("1-2")
    await farm.queue.send(
        [messages.BatchMessage(job=job.id, batch=0, frames="1-2")], priority="normal"
    )
    farm.renderer.hold = asyncio.Event()
    first = asyncio.create_task(farm.work("w1"))
    await farm.clock.settle()

    assert await farm.work("w2") is Outcome.HELD
    assert await farm.queue.depth() == 2
    farm.renderer.hold.set()
    assert await first is Outcome.DONE


async def test_of_two_claims_at_the_same_moment_one_succeeds(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ETag of the row that was looked at decides; the other one renders nothing."""
    job = await farm.queued_job("1-2")
    read = farm.table.batches_from

    async def overtaken(
        job_id: str, number: int, *, count: int
    ) -> Sequence[ports.Versioned[batches.Batch]]:
        monkeypatch.setattr(farm.table, "batches_from", read)
        (found,) = await read(job_id, number, count=count)
        claimed = found.row.claimed("w9", lease_until=farm.clock.now() + LEASE)
        await farm.table.replace_batch(claimed, etag=found.etag)
        return [found]

    monkeypatch.setattr(farm.table, "batches_from", overtaken)
    assert await farm.work() is Outcome.HELD
    assert farm.renderer.rendered == []
    assert (await farm.batch(job.id)).worker == "w9"
    assert await farm.queue.depth() == 1


@pytest.mark.parametrize(
    ("state", "batch_state"),
    [
        pytest.param(jobs.JobState.CANCELLED, batches.BatchState.CANCELLED, id="cancelled"),
        pytest.param(jobs.JobState.FAILED, batches.BatchState.CANCELLED, id="failed"),
        pytest.param(jobs.JobState.PAUSED, batches.BatchState.PLANNED, id="paused"),
    ],
)
async def test_a_job_that_is_not_to_be_rendered_is_not(
    farm: MemoryFarm, state: jobs.JobState, batch_state: batches.BatchState
) -> None:
    """Messages of a job that ended or pauses are deleted."""
    job = await farm.queued_job("1-2")
    standing = await farm.table.get_job(job.id)
    moved = standing.row.moved(state, reason="asked to", now=farm.clock.now())
    await farm.table.replace_job(moved, etag=standing.etag)

    assert await farm.work() is Outcome.OBSOLETE
    assert farm.renderer.rendered == []
    assert (await farm.batch(job.id)).state is batch_state
    assert await farm.queue.depth() == 0


async def test_redelivery_renders_only_what_is_missing(farm: MemoryFarm) -> None:
    """A worker vanishes in mid-batch; the next one keeps what is done."""
    job = await farm.queued_job("1-4")
    hold = asyncio.Event()
    hold.set()
    vanishing = ScriptedRenderer(hold=hold)
    vanishing.before = lambda frame: hold.clear() if frame == 3 else None
    since, delivery = farm.clock.elapsed(), await farm.receive()
    first = asyncio.create_task(
        render.attend(farm.rendering("w1", vanishing), delivery, since=since)
    )
    await asyncio.sleep(0.2)
    farm.clock.pause(61)

    assert await farm.work("w2") is Outcome.DONE
    assert (vanishing.rendered, farm.renderer.rendered) == ([1, 2], [3, 4])
    hold.set()
    assert (await first).outcome is Outcome.LEASE_LOST
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_vanished_worker_counts_against_the_frame_it_had_in_hand(
    farm: MemoryFarm,
) -> None:
    """A frame that ends worker after worker is failed in the end, and the others are done."""
    job = await farm.queued_job("1-3")
    for attempt in range(6):
        deadly = ScriptedRenderer(hold=asyncio.Event())
        delivery = await farm.receive()
        first = asyncio.create_task(
            render.attend(
                farm.rendering(f"w{attempt}", deadly), delivery, since=farm.clock.elapsed()
            )
        )
        await asyncio.sleep(0.05)
        farm.clock.pause(61)  # the process stands still, and so does its heartbeat
        first.cancel()
        await asyncio.wait({first})

    assert await farm.work("last") is Outcome.FAILED
    (failure,) = (await farm.batch(job.id)).failures
    assert (failure.frame, failure.failure_class) == (1, errors.FailureClass.WORKER_LOST)
    assert farm.renderer.rendered == [2, 3]


async def test_a_failing_frame_is_retried_and_the_others_are_kept(farm: MemoryFarm) -> None:
    """One crash costs one attempt at one frame, after a delay."""
    farm.renderer.failing = {2: [crash()]}
    job = await farm.queued_job("1-3")

    assert await farm.work() is Outcome.RETRY
    batch = await farm.batch(job.id)
    assert (batch.state, batch.frames_done) == (batches.BatchState.QUEUED, 2)
    assert batch.reason == (
        "waits for a worker: frames 2 failed, and are tried again from 03:04:15 UTC"
    )
    assert await farm.queue.receive(lease=LEASE) is None
    await farm.clock.advance(10)
    assert await farm.work("w2") is Outcome.DONE
    assert farm.renderer.rendered == [1, 2, 3, 2]
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_poison_frame_fails_alone_after_three_attempts(farm: MemoryFarm) -> None:
    """The job names exactly the bad frame, with class, reason, remedy and log."""
    farm.renderer.failing = {2: [crash(), crash(), crash()]}
    job = await farm.queued_job("1-3")
    outcomes = []
    for delay, worker in ((0, "w1"), (10, "w2"), (20, "w1")):
        if delay:
            await farm.clock.advance(delay - 1)
            assert await farm.queue.receive(lease=LEASE) is None
            await farm.clock.advance(1)
        outcomes.append(await farm.work(worker))

    assert outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.FAILED]
    ended = await farm.job(job.id)
    assert ended.state is jobs.JobState.FAILED
    assert "1 of 3 frames failed: 2. Frame 2, after 3 attempts: Blender was killed" in ended.reason
    (failure,) = (await farm.batch(job.id)).failures
    assert (failure.frame, failure.attempts, failure.log_tail) == (2, 3, "boom")
    assert [name for name in farm.files(job.id) if name not in {"logs", "previews"}] == [
        "shot_0001.png",
        "shot_0003.png",
    ]


async def test_the_time_of_every_worker_is_counted(farm: MemoryFarm) -> None:
    """By renewals and at the end, once each; of one that vanished, up to its last renewal."""
    job = await farm.queued_job("1-3")
    farm.renderer.hold = asyncio.Event()
    vanished = asyncio.create_task(farm.work("w1"))
    await farm.clock.settle()
    await farm.clock.advance(50)
    assert (await farm.batch(job.id)).worker_seconds == 40
    vanished.cancel()
    await asyncio.wait({vanished})
    held = (await farm.batch(job.id)).worker_seconds
    assert held == 50
    working = asyncio.create_task(farm.work("w2"))
    await farm.clock.settle()
    await farm.clock.advance(30)
    farm.renderer.hold.set()
    assert await working is Outcome.DONE
    assert (await farm.batch(job.id)).worker_seconds == 80


async def test_a_failure_of_a_frame_that_is_done_after_all_is_forgotten(farm: MemoryFarm) -> None:
    """It failed, was published by a worker that then vanished, and its file is what counts."""
    farm.renderer.failing = {2: [crash()] * 2}
    job = await farm.queued_job("1-3")
    for worker in ("w1", "w2"):
        assert await farm.work(worker) is Outcome.RETRY
        await farm.clock.advance(100)
    image = farm.disk / "image.png"
    image.write_text("2")
    await farm.share.publish(job.id, image, "shot_0002.png")

    assert await farm.work("w3") is Outcome.DONE
    batch = await farm.batch(job.id)
    assert (batch.frames_done, batch.failures) == (3, ())
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED


async def test_a_share_that_is_away_before_the_claim_is_the_reason_on_the_row(
    farm: MemoryFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at the job sees why nothing happens; the next claim clears it."""
    job = await farm.queued_job("1-2", batch_size=1)
    await farm.work()  # from here on the job knows what its frames are called
    looked = farm.share.frames_done

    async def away(job_id: str, names: Collection[str]) -> set[str]:
        raise errors.UnavailableError("the share is away")

    monkeypatch.setattr(farm.share, "frames_done", away)
    with pytest.raises(errors.UnavailableError):
        await farm.work()

    assert (await farm.batch(job.id, 1)).reason == "the share is away"
    monkeypatch.setattr(farm.share, "frames_done", looked)
    await farm.clock.advance(60)
    assert await farm.work() is Outcome.DONE
    assert (await farm.batch(job.id, 1)).reason == ""


async def test_what_failed_on_a_worker_is_left_to_others_first(farm: MemoryFarm) -> None:
    """It may be that worker that is at fault; where there is no other, it tries again itself."""
    farm.renderer.failing = {1: [crash(), crash()]}
    job = await farm.queued_job("1")
    assert await farm.work("w1") is Outcome.RETRY
    assert (await farm.batch(job.id)).reason == (
        "waits for a worker: frames 1 failed, and are tried again from 03:04:15 UTC"
    )

    await farm.clock.advance(10)
    assert await farm.work("w1") is Outcome.LEFT
    await farm.clock.advance(5)
    assert await farm.work("w2") is Outcome.RETRY
    await farm.clock.advance(20)
    assert await farm.work("w1") is Outcome.DONE


async def test_the_only_worker_tries_again_what_failed_on_it(farm: MemoryFarm) -> None:
    """After the others had their chance."""
    farm.renderer.failing = {1: [crash()]}
    await farm.queued_job("1")
    assert await farm.work("w1") is Outcome.RETRY
    await farm.clock.advance(10)
    assert await farm.work("w1") is Outcome.LEFT
    await farm.clock.advance(5)
    assert await farm.work("w1") is Outcome.DONE


async def test_a_worker_asked_to_stop_gives_the_rest_back_at_once(farm: MemoryFarm) -> None:
    """The frame in hand is finished; the batch waits for another worker, with nothing lost."""
    job = await farm.queued_job("1-3")
    farm.renderer.before = lambda _: setattr(farm, "stopping", True)

    assert await farm.work() is Outcome.STOPPED
    batch = await farm.batch(job.id)
    assert (batch.state, batch.frames_done) == (batches.BatchState.QUEUED, 1)
    farm.stopping = False
    farm.renderer.before = lambda _: None
    assert await farm.work("w2") is Outcome.DONE
    assert farm.renderer.rendered == [1, 2, 3]


async def test_a_cancelled_attempt_gives_the_batch_back_at_once(farm: MemoryFarm) -> None:
    """When the grace is over Blender is ended, and no attempt is counted against the frame."""
    job = await farm.queued_job("1-2")
    farm.renderer.hold = asyncio.Event()
    working = asyncio.create_task(farm.work())
    await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.wait({working})

    assert working.cancelled()
    assert farm.renderer.ended == 1
    farm.renderer.hold = None
    assert await farm.work("w2") is Outcome.DONE
    assert (await farm.batch(job.id)).failures == ()


async def test_a_job_whose_first_frames_fail_is_stopped(farm: MemoryFarm) -> None:
    """Nobody pays for the rest of it; the reason names frames, cause and remedy."""
    doomed = await farm.queued_job("1-40", batch_size=10)
    farm.renderer.failing = {frame: [crash()] * 9 for frame in range(1, 41)}
    outcomes = [await farm.work() for _ in range(4)]
    assert outcomes == [Outcome.RETRY] * 4
    await farm.clock.advance(15)
    assert await farm.work("w2") is Outcome.JOB_FAILED
    stopped = await farm.job(doomed.id)
    assert stopped.state is jobs.JobState.FAILED
    assert "10 of the 10 frames tried so far fail: 1-10" in stopped.reason
    assert "SIGSEGV" in stopped.reason
    rendered = len(farm.renderer.rendered)
    for _ in range(3):
        assert await farm.work() is Outcome.OBSOLETE
    assert len(farm.renderer.rendered) == rendered


async def test_a_job_whose_first_frames_fail_once_goes_on(farm: MemoryFarm) -> None:
    """A first failure may be the worker's: one bad worker must not end a good job."""
    job = await farm.queued_job("1-20", batch_size=20)
    farm.renderer.failing = {frame: [crash()] for frame in range(1, 21)}

    assert await farm.work() is Outcome.RETRY
    await farm.clock.advance(15)
    assert await farm.work("w2") is Outcome.DONE
    assert (await farm.job(job.id)).state is jobs.JobState.COMPLETED
