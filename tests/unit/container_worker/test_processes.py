"""Is a worker unreadable to what it starts, and does nothing that it started stay?"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from container_worker import processes

_ROOT = Path(__file__).parents[3]
_STAND_IN = _ROOT / "tests" / "doubles" / "stand_in_blender.py"

_READ_PARENT = """
import os
try:
    found = open(f"/proc/{os.getppid()}/environ", "rb").read()
except PermissionError:
    found = b"refused"
print(found.decode("utf-8", "replace"))
"""
# Root may trace everything, and a worker is not root: what it may is given up first.
_WITHOUT_TRACING = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON = 24, 19, 21, 38
for one in (CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, one, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
_PARENT = """
import subprocess, sys
from container_worker import processes
if sys.argv[1] == "shielded":
    processes.shield()
print(subprocess.run([sys.executable, "-c", sys.argv[2]], capture_output=True, text=True).stdout)
"""
_START_DAEMON = """
import asyncio, pathlib, sys
from container_worker import processes
from container_worker.blender import Blender, Bounds

async def main():
    processes.shield()
    bounds = Bounds(load_seconds=10, frame_seconds=10, stall_seconds=1)
    scratch = pathlib.Path(sys.argv[2])
    blender = await Blender.start(sys.argv[1], scratch=scratch, bounds=bounds)
    await blender.load(pathlib.Path("daemon.blend"), {})
    try:
        await blender.render(1, scratch / "1.png")
    except Exception as failed:
        print(failed)

asyncio.run(main())
"""


@pytest.mark.parametrize(("shielded", "seen"), [("shielded", False), ("bare", True)])
def test_a_worker_cannot_be_read_by_what_it_starts(shielded: str, seen: bool) -> None:
    """Its environment holds the way to its identity, and a child has the same user."""
    done = _run(
        [_WITHOUT_TRACING, "-c", _PARENT, shielded, _READ_PARENT], IDENTITY_HEADER="top-secret"
    )
    assert ("top-secret" in done.stdout) is seen
    assert ("refused" in done.stdout) is not seen


def test_what_left_its_session_and_its_parent_is_ended_with_blender(tmp_path: Path) -> None:
    """The worker is the heir of what its Blender leaves, and leaves nothing of it."""
    program = tmp_path / "blender"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {_STAND_IN} "$@"\n')
    program.chmod(0o755)
    scratch = tmp_path / "scratch"

    done = _run([_START_DAEMON, str(program), str(scratch)])

    assert "no sign of progress" in done.stdout
    (daemon,) = re.findall(r"daemon (\d+)", (scratch / "blender.log").read_text())
    assert not Path(f"/proc/{daemon}").exists()


def test_the_memory_of_descendants_is_counted() -> None:
    """They are found in whichever session they are."""
    eat = "a = bytearray(300 * 2**20); print('eaten', flush=True); input()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {eat!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", start],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        followers = [*processes.descendants(parent.pid)]
        assert len(followers) == 1
        assert processes.memory(*followers) > 300 * 2**20
        processes.end(parent.pid)


def test_the_cpu_of_all_threads_is_counted_and_not_the_time_that_passes() -> None:
    """A process that sleeps takes none."""
    burn = (
        "import threading, time, hashlib\n"
        "def burn():\n"
        "    until = time.thread_time() + 0.4\n"
        "    while time.thread_time() < until: hashlib.sha256(bytes(1 << 20))\n"
        "both = [threading.Thread(target=burn) for _ in range(2)]\n"
        "[one.start() for one in both]; [one.join() for one in both]\n"
        "print('burnt', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as burning:
        assert burning.stdout is not None
        burning.stdout.readline()
        taken = processes.cpu_seconds(burning.pid)
        time.sleep(0.2)
        assert 0.7 < taken < 1.5
        assert processes.cpu_seconds(burning.pid) - taken < 0.1
        assert processes.cpu_seconds(burning.pid, burning.pid) == pytest.approx(
            2 * processes.cpu_seconds(burning.pid)
        )
        burning.kill()
    assert processes.cpu_seconds(burning.pid) == 0.0


def _run(arguments: list[str], **own: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        [sys.executable, "-c", *arguments],
        env=kept | own,
        capture_output=True,
        text=True,
        check=True,
    )
