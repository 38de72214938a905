"""Does each reason for which nothing renders have its sentence?"""

import datetime
from typing import Any

import pytest

from blendrop.domain import farm_state, job_settings, jobs, workers
from tests.doubles.clock import START
from tests.doubles.workers import a_worker, at_work

NOW = START + datetime.timedelta(seconds=40)


def a_job(
    state: jobs.JobState = jobs.JobState.QUEUED, *, blender: str = "5.0", number: int = 1
) -> jobs.Job:
    """Return an open job."""
    return jobs.Job(
        id=f"shot-{number:012x}",
        state=state,
        reason="",
        scene=jobs.SceneRef(name="shot.blend", etag="0x1", size=1),
        settings=job_settings.JobSettings(),
        blender_version=blender,
        created=START,
        changed=START,
    )


def why(**seen: Any) -> str:
    """Return why nothing renders where 12 batches of a job wait, unless something else was seen."""
    given: dict[str, Any] = {
        "now": NOW,
        "depth": 12,
        "oldest_waiting": START,
        "live": (),
        "gone": (),
        "open_jobs": (a_job(),),
    }
    return farm_state.why_nothing_renders(farm_state.FarmState(**(given | seen)))


OLD = a_worker(blenders=("4.2", "4.5"))
FULL = "the frame share is full"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param({"live": [a_worker(), at_work("w2")]}, "", id="something-renders"),
        pytest.param(
            {"live": [at_work(waits_for=FULL), at_work("w2", waits_for=FULL), a_worker("w3")]},
            f"w1, w2 wait: {FULL}",
            id="all-wait-for-the-world",
        ),
        pytest.param(
            {"live": [at_work(waits_for=FULL), at_work("w2")]}, "", id="one-waits-another-renders"
        ),
        pytest.param({"depth": 0, "open_jobs": ()}, "nothing waits", id="nothing-to-do"),
        pytest.param(
            {"depth": 0, "open_jobs": [a_job(jobs.JobState.PAUSED)]},
            "every open job is paused",
            id="paused",
        ),
        pytest.param(
            {"open_jobs": [a_job(jobs.JobState.PAUSED)]},
            "every open job is paused",
            id="paused-with-messages-left",
        ),
        pytest.param(
            {"depth": 0, "open_jobs": [a_job(jobs.JobState.SUBMITTED)]},
            "job shot-000000000001 is being submitted",
            id="being-submitted",
        ),
        pytest.param(
            {"depth": 0},
            "no message is left on the queue for job shot-000000000001: the sweeper, which runs "
            "every minute, sends anew what was lost and ends what is through",
            id="messages-lost",
        ),
        pytest.param(
            {"depth": 1, "open_jobs": ()},
            "no job is open: 1 batch is left over from jobs that have ended",
            id="leftovers",
        ),
        pytest.param(
            {}, "scaling from zero: 12 batches wait, the oldest for 40 s", id="scaling-from-zero"
        ),
        pytest.param({"depth": 1}, "scaling from zero: 1 batch waits for 40 s", id="one-waits"),
        pytest.param(
            {"oldest_waiting": None},
            "scaling from zero: 12 batches wait, given back for another attempt or held by a "
            "worker that vanished",
            id="all-hidden-and-nobody-there",
        ),
        pytest.param(
            {
                "oldest_waiting": NOW - datetime.timedelta(minutes=25),
                "gone": [a_worker(state=workers.WorkerState.LEFT, left_because="its disk is full")],
            },
            "no worker has come: 12 batches wait, the oldest for 25 minutes. The last one, w1, "
            "left: its disk is full. Look at the scaler and at the logs of the workers' container",
            id="no-worker-comes",
        ),
        pytest.param(
            {
                "oldest_waiting": NOW - datetime.timedelta(minutes=25),
                "gone": [at_work(heard=NOW - datetime.timedelta(minutes=30))],
            },
            "no worker has come: 12 batches wait, the oldest for 25 minutes. The last one, w1, "
            "was last heard from 30 minutes ago while it rendered batch 7 of job "
            "shot-00000000000a. Look at the scaler and at the logs of the workers' container",
            id="no-worker-comes-after-one-that-vanished",
        ),
        pytest.param(
            {"live": [OLD]},
            "no worker has Blender 5.0, which job shot-000000000001 needs; workers have 4.2, 4.5",
            id="no-worker-has-its-blender",
        ),
        pytest.param(
            {"live": [OLD], "open_jobs": [a_job(), a_job(number=2)]},
            "no worker has Blender 5.0, which job shot-000000000001 needs (and 1 more jobs); "
            "workers have 4.2, 4.5",
            id="no-worker-has-their-blender",
        ),
        pytest.param(
            {"live": [a_worker(state=workers.WorkerState.STARTING)]},
            "workers are starting Blender; 12 batches wait, the oldest for 40 s",
            id="blender-is-starting",
        ),
        pytest.param(
            {"live": [a_worker(state=workers.WorkerState.LEAVING)]},
            "the workers that are left are leaving; 12 batches wait, the oldest for 40 s",
            id="all-leave",
        ),
        pytest.param(
            {"live": [a_worker()], "oldest_waiting": None},
            "12 batches are hidden for now: given back for another attempt after a delay, or held "
            "by a worker that vanished until its lease ends",
            id="all-hidden",
        ),
        pytest.param(
            {"live": [a_worker(state=workers.WorkerState.STANDBY, waits_for="w2 needs the cores")]},
            "12 batches wait, the oldest for 40 s; w1 waits: w2 needs the cores",
            id="all-stand-by",
        ),
        pytest.param(
            {"live": [a_worker(state=workers.WorkerState.STANDBY, waits_for="w2"), a_worker("w2")]},
            "a worker is about to take a batch: 12 batches wait, the oldest for 40 s",
            id="one-stands-by-for-another",
        ),
        pytest.param(
            {"live": [a_worker()]},
            "a worker is about to take a batch: 12 batches wait, the oldest for 40 s",
            id="about-to-begin",
        ),
        pytest.param(
            {"live": [a_worker(waits_for="the storage answered 403"), a_worker("w2")]},
            "a worker is about to take a batch: 12 batches wait, the oldest for 40 s",
            id="one-of-two-reaches-the-queue",
        ),
        pytest.param(
            {"live": [a_worker(waits_for="the storage answered 403")]},
            "12 batches wait, the oldest for 40 s; w1 waits: the storage answered 403",
            id="no-worker-reaches-the-queue",
        ),
        pytest.param(
            {"live": [OLD], "open_jobs": [a_job(), a_job(blender="4.5", number=2)]},
            "a worker is about to take a batch: 12 batches wait, the oldest for 40 s",
            id="one-of-two-jobs-can-be-rendered",
        ),
    ],
)
def test_each_reason_is_said(seen: dict[str, Any], expected: str) -> None:
    """One sentence for a person; none while something renders."""
    assert why(**seen) == expected
