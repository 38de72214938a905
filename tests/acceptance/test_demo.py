"""Does `make demo` do what the README says, and leave nothing behind?"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_OURS = ("azurite.js", "local.function_host", "container_worker", "local.demo", "inside_blender")


def processes() -> set[int]:
    """Return every process that a farm of this checkout is made of; others' farms are theirs."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        farms = any(name in command for name in _OURS) and "pytest" not in command
        if farms and (f"{_ROOT}/" in command or _works_here(folder)):
            found.add(int(folder.name))
    return found


def _works_here(process: Path) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(_ROOT)
    except OSError:  # it has ended, or lets nobody look
        return False


def demo(*arguments: str | Path) -> "subprocess.Popen[str]":
    """Start the demo as `make demo` does."""
    return subprocess.Popen(
        [sys.executable, "-m", "local.demo", *arguments],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_someones_own_file_is_rendered_verified_and_shown(scene: Callable[[str], Path]) -> None:
    """It ends with the line that scripts may look for, and nothing it started runs on."""
    before = processes()
    running = demo("--scene", scene("tiny"), "--frames", "2,4-5")
    said, _ = running.communicate(timeout=90)

    assert running.returncode == 0, said
    last = re.fullmatch(
        r"blendrop: job (\S+) completed: 3 of 3 frames verified in (/.+)", said.splitlines()[-1]
    )
    assert last, said
    folder = Path(last[2])
    images = {path.name for path in folder.iterdir() if path.is_file()}
    assert images == {"tiny_0002.png", "tiny_0004.png", "tiny_0005.png", "contact-sheet.png"}
    assert processes() <= before


def test_a_scene_that_fails_says_why(scene: Callable[[str], Path]) -> None:
    """Exit code 1, the file that is missing, and what to do."""
    running = demo("--scene", scene("missing_image"))
    said, _ = running.communicate(timeout=90)
    assert running.returncode == 1
    assert "//textures/gone.png" in said
    assert "Pack them" in said


@pytest.mark.parametrize("path", ["nowhere.blend", "README.md"])
def test_a_file_that_is_none_is_named(path: str) -> None:
    """Before anything is started."""
    running = demo("--scene", path)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 1
    assert f"SCENE '{path}'" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_demo_that_was_ended(
    scene: Callable[[str], Path], number: signal.Signals
) -> None:
    """By Ctrl-C, politely, or without a word."""
    before = processes()
    running = demo("--scene", scene("tiny"), "--frames", "1-2000")
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("rendering"):
            break
    assert len(processes() - before) >= 6

    running.send_signal(number)
    assert running.wait(20) == (-number if number is signal.SIGKILL else 128 + number)
    ends = time.monotonic() + 20
    while (left := processes() - before) and time.monotonic() < ends:
        time.sleep(0.1)
    running.stdout.close()
    assert not left
