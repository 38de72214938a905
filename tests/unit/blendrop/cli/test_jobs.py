"""Are jobs shown, watched and steered, and can scripts tell how it went?"""

import asyncio
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.doubles import contract_faults
from tests.doubles.command_line import CommandLine
from tests.doubles.contract_farm import FAILURE, JOB, ContractFarm, view


@pytest.fixture(autouse=True)
def rendering(farm: ContractFarm) -> None:
    """Let the farm have a job that renders."""
    farm.views[JOB] = [view()]


async def test_a_job_is_shown_whole(blendrop: CommandLine, farm: ContractFarm) -> None:
    """State and reason, how far it is, who renders what, what failed and what to look at."""
    farm.views[JOB] = [
        view(
            frames_failed="3",
            failures=[FAILURE],
            flagged=[{"frame": 1, "flags": ["one_color"]}],
            wasted_seconds=130.0,
        )
    ]
    said = await blendrop.run("show", JOB)

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"job       {JOB}",
        "state     rendering: it is rendering",
        "scene     shots/opening.blend (4.0 KiB)",
        "frames    1-6: 2 of 6 frames, failed 3, 0.50 frames/s, about 8 s left",
        "rendered  4 s in 2 attempts, 2 min in vain",
        "worker    w1: batch 0, frames 1-3, 2 of them done",
        "look at   frame 1: one_color",
        "frame 3 failed (crash, 3 attempts, last on w1): Blender crashed. Look at the log",
    ]


async def test_a_job_says_what_it_costs(blendrop: CommandLine, farm: ContractFarm) -> None:
    """As a whole, for a frame, and of what it consists; and what is not in it."""
    cost = {
        "so_far": 1.25,
        "per_frame": 0.0125,
        "projected": 3.0,
        "currency": "USD",
        "parts": [{"what": "vcpu_second", "amount": 50000.4, "cost": 1.2}],
        "lacks": ["the price of gpu_second_a100", "traffic"],
    }
    farm.views[JOB] = [view(cost=cost), view("completed", done=6, workers=[], cost=cost)]
    shown = await blendrop.run("show", JOB)
    watched = await blendrop.run("watch", JOB, "--every", "0.1")

    assert (
        "cost      1.25 USD so far, 0.013 a frame, 3.00 in the end\n"
        "          1.20 for 50,000 × vcpu_second\n"
        "          without the price of gpu_second_a100, traffic\n"
    ) in shown.out
    assert "3.00 USD in the end" in watched.out


async def test_a_job_is_resumed_with_a_higher_limit(
    blendrop: CommandLine, farm: ContractFarm
) -> None:
    """If one is given; else with nothing."""
    farm.views[JOB] = [view("paused")]
    assert (await blendrop.run("resume", JOB, "--max-cost", "12.5")).code == 0
    assert (await blendrop.run("resume", JOB)).code == 0

    assert farm.resumed_with == [{"max_cost": 12.5}, {}]


async def test_what_the_farm_says_is_handed_on_as_it_is(
    blendrop: CommandLine, farm: ContractFarm
) -> None:
    """With fields that this version does not know."""
    farm.views[JOB] = [view(cost={"currency": "EUR"})]
    said = await blendrop.run("show", JOB, "--json")

    assert said.documents == farm.views[JOB]


async def test_a_worker_that_waits_says_why(blendrop: CommandLine, farm: ContractFarm) -> None:
    """Once for each reason, while it is watched; and whenever the job is shown."""
    waiting = {"worker": "w1", "batch": 0, "frames": "1-3", "waits": "the share is full"}
    rendering = [view(workers=[waiting]), view(done=3, workers=[waiting])]
    farm.views[JOB] = [*rendering, view("completed", done=6, workers=[])]
    watched = await blendrop.run("watch", JOB, "--every", "0.1")
    farm.views[JOB] = rendering
    shown = await blendrop.run("show", JOB)

    assert watched.out.splitlines().count("w1 waits: the share is full") == 1
    assert "frames 1-3, 0 of them done, waits: the share is full" in shown.out


async def test_a_watched_job_is_told_line_by_line(
    blendrop: CommandLine, farm: ContractFarm
) -> None:
    """Where there is no terminal: each change of state and each failure, once."""
    failing: dict[str, Any] = {"frames_failed": "3", "failures": [FAILURE]}
    farm.views[JOB] = [
        view("queued", done=0),
        view(done=1),
        view(done=4, **failing),
        view("failed", done=5, **failing),
    ]
    said = await blendrop.run("watch", JOB, "--every", "0.1")

    assert said.code == 1
    assert said.out.splitlines() == [
        "0 of 6 frames, 0.50 frames/s, about 12 s left",
        "queued: it is queued",
        "rendering: it is rendering",
        "frame 3 failed (crash, 3 attempts, last on w1): Blender crashed. Look at the log",
        "5 of 6 frames, failed 3, 0.50 frames/s",
        "failed: it is failed",
    ]


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("cancelled", 6)])
async def test_the_exit_code_says_how_a_job_ended(
    blendrop: CommandLine, farm: ContractFarm, state: str, code: int
) -> None:
    """And for a program each change is one document."""
    farm.views[JOB] = [view(), view(state)]
    said = await blendrop.run("watch", JOB, "--json", "--every", "0.1")

    assert said.code == code
    assert [one["job"]["state"] for one in said.documents] == ["rendering", state]


async def test_watching_costs_the_farm_little(blendrop: CommandLine, farm: ContractFarm) -> None:
    """What has not changed is asked for by its ETag, and not sent again."""
    farm.views[JOB] = [view(), view(), view(), view("completed")]
    await blendrop.run("watch", JOB, "--every", "0.1")
    asked = farm.matching(f"GET /api/jobs/{JOB}")

    assert [("If-None-Match" in headers) for headers in asked] == [False, True, True, True]


async def test_a_farm_that_is_away_for_a_moment_is_waited_for(
    blendrop: CommandLine, farm: ContractFarm
) -> None:
    """Watching survives a restart of the farm, and says what it waits for."""
    farm.views[JOB] = [view(), view("completed")]
    farm.fault("GET .*", contract_faults.busy(503), contract_faults.lost_answer)
    said = await blendrop.run("watch", JOB, "--every", "0.1")

    assert said.code == 0
    assert said.err.count("trying again in") == 2


async def test_a_terminal_gets_a_bar(farm: ContractFarm, tmp_path: Path) -> None:
    """Frames, rate and time left, drawn again and again; failures stay above it."""
    farm.views[JOB] = [view(done=1), view(done=3, failures=[FAILURE]), view("completed", done=6)]
    ours, theirs = pty.openpty()
    root = Path(__file__).parents[4]
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "blendrop.cli", "watch", JOB, "--every", "0.3"),
        env={
            "BLENDROP_URL": farm.url,
            "HOME": str(tmp_path),
            "PYTHONPATH": str(root),
            "TERM": "xterm",
            "COLUMNS": "120",
        },
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = await asyncio.to_thread(_read_all, ours)

    assert await running.wait() == 0, said
    assert "━" in said
    assert "\x1b[" in said
    assert "1 of 6 frames, 0.50 frames/s, about 10 s left" in said
    assert "frame 3 failed (crash" in said
    assert "completed: it is completed" in said


def _read_all(terminal: int) -> str:
    said = b""
    try:
        while some := os.read(terminal, 65536):
            said += some
    except OSError:
        pass  # Linux says so that the other side has closed it
    os.close(terminal)
    return said.decode()


async def test_jobs_are_listed_over_pages(blendrop: CommandLine, farm: ContractFarm) -> None:
    """As many as were asked for, with the token of each page."""
    farm.views = {f"job-{number}": [view(job_id=f"job-{number}")] for number in range(5)}
    farm.views["job-3"] = [view("failed", job_id="job-3")]
    every = await blendrop.run("jobs", "--json")
    some = await blendrop.run("jobs", "--limit", "3", "--json")
    failed = await blendrop.run("jobs", "--state", "failed")

    assert [job["id"] for job in every.documents[0]["jobs"]] == [f"job-{n}" for n in range(5)]
    assert len(some.documents[0]["jobs"]) == 3
    heads, *rows = failed.out.splitlines()
    assert heads.split() == ["job", "state", "frames", "count", "created", "owner", "reason"]
    assert [row.split()[:4] for row in rows] == [["job-3", "failed", "1-6", "6"]]


async def test_logs_tell_what_happened(blendrop: CommandLine, farm: ContractFarm) -> None:
    """A job's events; and for one frame Blender's output, which does nothing to the terminal."""
    events = await blendrop.run("logs", JOB)
    log = await blendrop.run("logs", JOB, "--frame", "3")
    document = await blendrop.run("logs", JOB, "--frame", "3", "--json")
    nothing = await blendrop.run("logs", JOB, "--frame", "4")

    assert events.out == "2026-01-02T03:04:05Z  queued by ada: sent\n"
    assert log.out == "Fra:3 �[31mred\nSaved\n"
    assert document.documents[0]["log"] == "Fra:3 \x1b[31mred\nSaved\n"
    assert nothing.code == 3


@pytest.mark.parametrize(
    ("command", "state"),
    [("cancel", "cancelled"), ("pause", "paused"), ("resume", "queued"), ("retry", "queued")],
)
async def test_a_job_is_steered(
    blendrop: CommandLine, farm: ContractFarm, command: str, state: str
) -> None:
    """Asked twice it is the same; too late it is refused with the reason."""
    first = await blendrop.run(command, JOB)
    second = await blendrop.run(command, JOB, "--json")
    farm.views[JOB] = [view("completed")]
    late = await blendrop.run(command, JOB)

    assert first.out == f"{JOB} is {state}: it is {state}\n"
    assert second.documents[0]["job"]["state"] == state
    assert late.code == 4
    assert f"it cannot {command}" in late.err


async def test_the_priority_is_given_to_the_farm(blendrop: CommandLine) -> None:
    """By one of the words that there are."""
    assert (await blendrop.run("priority", JOB, "HIGH")).code == 0
    assert (await blendrop.run("priority", JOB, "urgent")).code == 2


async def test_a_job_is_deleted_when_somebody_says_yes(
    blendrop: CommandLine, farm: ContractFarm
) -> None:
    """Without a terminal to ask at, by --yes alone; twice is the same."""
    unasked = await blendrop.run("delete", JOB)
    rendering = await blendrop.run("delete", JOB, "--yes")
    farm.views[JOB] = [view("completed")]
    first = await blendrop.run("delete", JOB, "--yes")
    second = await blendrop.run("delete", JOB, "--yes", "--json")

    assert (unasked.code, rendering.code, first.code, second.code) == (2, 4, 0, 0)
    assert "cancel it first" in rendering.err
    assert second.documents == [{"job": JOB, "deleted": True}]
    assert not farm.views


async def test_the_farm_and_its_workers_are_shown(blendrop: CommandLine) -> None:
    """Whatever fields they have."""
    workers = await blendrop.run("workers")
    farm = await blendrop.run("farm")

    assert [line.split() for line in workers.out.splitlines()] == [
        ["name", "alive", "blenders"],
        ["w1", "yes", "4.5,", "5.0"],
    ]
    assert [line.rstrip() for line in farm.out.splitlines()] == [
        "queue depth  3",
        "why idle     -",
        "workers      -",
    ]


async def test_a_reader_that_has_enough_is_no_failure(farm: ContractFarm, tmp_path: Path) -> None:
    """As in `blendrop watch … | head -1`: it ends, and says nothing of pipes."""
    farm.views[JOB] = [view(done=number) for number in range(6)]
    root = Path(__file__).parents[4]
    pipe = f"{sys.executable} -m blendrop.cli watch {JOB} --json --every 0.1 | head -1"
    running = await asyncio.create_subprocess_exec(
        *("sh", "-c", pipe),
        env={
            "BLENDROP_URL": farm.url,
            "HOME": str(tmp_path),
            "PYTHONPATH": str(root),
            "PATH": os.environ["PATH"],
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answer, said = await asyncio.wait_for(running.communicate(), 30)

    assert answer.count(b"\n") == 1
    assert said == b""


async def test_key_and_token_go_with_every_request(
    blendrop: CommandLine, farm: ContractFarm
) -> None:
    """From the environment or by option, and are never shown."""
    given = {"BLENDROP_FUNCTION_KEY": "k3y", "BLENDROP_TOKEN": "t0ken"}
    said = await blendrop.run("show", JOB, **given)
    shown = await blendrop.run("show", "--help", **given)
    farm.fault("GET .*", contract_faults.busy(401, detail="no such key"))
    refused = await blendrop.run("show", JOB, "--key", "other")

    first, last = farm.matching("GET .*")
    assert (first["x-functions-key"], first["Authorization"]) == ("k3y", "Bearer t0ken")
    assert last["x-functions-key"] == "other"
    assert refused.code == 4
    assert "no such key" in refused.err
    for one in (said, shown, refused):
        assert not {"k3y", "t0ken", "other"} & set(f"{one.out} {one.err}".split())


async def test_a_key_that_goes_in_clear_is_warned_of(blendrop: CommandLine) -> None:
    """To another machine by plain HTTP; not to this one, and not without a key."""
    away = ("--url", "http://farm.invalid")
    warned = await blendrop.run("show", JOB, *away, "--key", "k3y")
    no_key = await blendrop.run("show", JOB, *away)
    here = await blendrop.run("show", JOB, "--key", "k3y")

    assert (warned.code, no_key.code, here.code) == (5, 5, 0)
    assert "anyone on the way to farm.invalid can read the key" in warned.err
    assert "can read the key" not in no_key.err + here.err


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        pytest.param(("<html>", "text/html", 200), 5, "is no Blendrop farm", id="a web page"),
        pytest.param(('{"job": 1}', "application/json", 200), 5, "not one that this", id="other"),
        pytest.param(("moved", "text/plain", 302), 5, "answered 302", id="redirect"),
        pytest.param(("none", "text/plain", 404), 3, "Not Found", id="nothing"),
    ],
)
async def test_something_that_is_no_farm_is_said_to_be_none(
    blendrop: CommandLine, farm: ContractFarm, answer: tuple[str, str, int], code: int, said: str
) -> None:
    """A wrong address answers, too."""
    text, kind, status = answer

    async def other(*_: object) -> web.Response:
        return web.Response(text=text, content_type=kind, status=status)

    farm.fault("GET .*", other)
    shown = await blendrop.run("show", JOB)

    assert shown.code == code
    assert said in shown.err
