"""When is a worker thought dead, and what is said of it?"""

import datetime

import pytest

from blendrop.domain import workers
from tests.doubles.clock import START
from tests.doubles.workers import a_worker, at_work

LEFT = workers.WorkerState.LEFT


@pytest.mark.parametrize(
    ("worker", "after", "expected"),
    [
        pytest.param(a_worker(), 90, "", id="three-beats-late"),
        pytest.param(a_worker(), 91, "last heard from 91 s ago while it was idle", id="silent"),
        pytest.param(
            at_work(),
            180,
            "last heard from 3 minutes ago while it rendered batch 7 of job shot-00000000000a",
            id="silent-at-work",
        ),
        pytest.param(at_work(heartbeat_seconds=600), 1800, "", id="that-beats-seldom"),
        pytest.param(
            a_worker(state=workers.WorkerState.STARTING),
            7200,
            "last heard from 2 hours ago while it started",
            id="silent-at-its-start",
        ),
        pytest.param(
            a_worker(state=workers.WorkerState.LEAVING, left_because="asked to stop"),
            100,
            "last heard from 2 minutes ago while it was leaving (asked to stop)",
            id="silent-as-it-left",
        ),
        pytest.param(
            a_worker(state=LEFT, left_because="idle for its idle time, 60 s"),
            0,
            "left: idle for its idle time, 60 s",
            id="that-left",
        ),
        pytest.param(a_worker(), -600, "", id="whose-clock-is-ahead"),
    ],
)
def test_why_a_worker_is_thought_dead(worker: workers.Worker, after: float, expected: str) -> None:
    """Only silence or its own word buries it."""
    assert workers.why_dead(worker, START + datetime.timedelta(seconds=after)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3, "0 s"), (99, "99 s"), (120, "2 minutes"), (7200, "2 hours"), (259_200, "3 days")],
)
def test_times_are_said_as_people_do(seconds: float, expected: str) -> None:
    """In the unit that tells most."""
    assert workers.how_long(seconds) == expected


def test_two_lives_of_one_name_are_two_rows() -> None:
    """So that the death of the first is not written over by the second."""
    first = a_worker("farm/worker#1")
    second = a_worker("farm/worker#1", started=START + datetime.timedelta(microseconds=1))

    assert first.id == "farm-worker-1-20260102T030405000000"
    assert second.id != first.id


@pytest.mark.parametrize(("version", "expected"), [("4.2", True), ("5.0", True), ("5.1", False)])
def test_a_newer_blender_opens_older_scenes(version: str, *, expected: bool) -> None:
    """And not the other way round."""
    assert a_worker().has_blender(version) is expected


def test_a_worker_that_was_started_anew_takes_the_place_of_the_one_before() -> None:
    """A container that was restarted is not counted twice until the old row has grown old."""
    restarted = START + datetime.timedelta(seconds=2)
    killed = at_work()
    anew = a_worker(started=restarted, heard=restarted)
    other = a_worker("w2")
    now = START + datetime.timedelta(seconds=3)

    assert workers.thought_dead([anew, other, killed], now) == {
        killed.id: "last heard from 3 s ago while it rendered batch 7 of job shot-00000000000a, "
        "and started anew since"
    }


def test_two_workers_that_share_a_name_by_mistake_both_live() -> None:
    """Each is heard from after the other's start."""
    beat = START + datetime.timedelta(seconds=30)
    first = a_worker(heard=beat)
    second = a_worker(started=START + datetime.timedelta(seconds=2), heard=beat)

    assert workers.thought_dead([first, second], beat) == {}
