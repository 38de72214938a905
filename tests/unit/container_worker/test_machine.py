"""What does a worker find out about itself?"""

import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blendrop import settings
from container_worker import machine
from tests.doubles.clock import START, ManualClock

GIVEN = {
    "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
    "BLENDROP_FRAME_SHARE": "/frames",
    "BLENDROP_BLENDERS": "5.0=/b;4.5=/a",
    "BLENDROP_WORKER_NAME": "w1",
}


def test_a_container_has_what_its_group_allows(tmp_path: Path) -> None:
    """Not what the machine below has."""
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text(f"{512 * 2**20}\n")

    assert (machine.cpus(tmp_path), machine.memory_mib(tmp_path)) == (1, 512)


@pytest.mark.parametrize("limits", [None, ("max 100000\n", "max\n")], ids=["no group", "no limit"])
def test_without_a_limit_it_has_the_machine(tmp_path: Path, limits: tuple[str, str] | None) -> None:
    """On a laptop, say."""
    if limits:
        (tmp_path / "cpu.max").write_text(limits[0])
        (tmp_path / "memory.max").write_text(limits[1])

    assert machine.cpus(tmp_path) == len(os.sched_getaffinity(0))
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.memory_mib(tmp_path) == pages // 2**20


def test_graphics_cards_are_named(tmp_path: Path) -> None:
    """As NVIDIA's driver lists them; without it none is known."""
    for number in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "information").write_text("Model: \t\t Tesla T4\nIRQ:   \t\t 11\n")

    assert machine.graphics_cards(tmp_path) == ("Tesla T4", "Tesla T4")
    assert machine.graphics_cards(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, "", id="no port"),
        pytest.param({"BLENDROP_STATUS_PORT": "8080"}, "http://127.0.0.1:8080", id="here"),
    ],
)
def test_a_worker_describes_itself(given: dict[str, str], expected: str) -> None:
    """By its settings and its machine."""
    chosen = settings.read(settings.WorkerSettings, GIVEN | given)

    worker = machine.describe(chosen, ManualClock())

    assert (worker.name, worker.blenders, worker.device) == ("w1", ("4.5", "5.0"), "CPU")
    assert (worker.heard, worker.since) == (START, START)
    assert datetime.timedelta(0) < START - worker.started < datetime.timedelta(hours=3)
    assert worker.cpus >= 1
    assert worker.memory_mib > 100
    assert worker.status_address == expected


def test_a_port_for_everyone_is_told_by_an_address_that_others_reach() -> None:
    """0.0.0.0 leads nowhere."""
    given = {"BLENDROP_STATUS_PORT": "8080", "BLENDROP_STATUS_HOST": "0.0.0.0"}
    chosen = settings.read(settings.WorkerSettings, GIVEN | given)

    address = machine.describe(chosen, ManualClock()).status_address

    assert address.startswith("http://")
    assert address.endswith(":8080")
    assert "0.0.0.0" not in address


def test_a_process_knows_since_when_it_runs(tmp_path: Path) -> None:
    """What it cost to load it is in its life; where no kernel tells, it is not guessed."""
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        time.sleep(0.3)
        age = machine.age(Path(f"/proc/{process.pid}"))
        took = time.monotonic() - began
        process.communicate(b"\n")
    assert 0.25 <= age <= took + 0.05
    assert machine.age(tmp_path) == 0
