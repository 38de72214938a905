"""Is every way in which Blender can fail told apart, with reason, remedy and log?"""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blendrop import errors
from container_worker import processes
from container_worker.blender import Blender, Bounds

_STAND_IN = Path(__file__).parents[2] / "doubles" / "stand_in_blender.py"
QUICK = Bounds(load_seconds=10, frame_seconds=4, stall_seconds=1.5, memory_bytes=400 * 2**20)


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Return an executable that takes Blender's arguments and is the stand-in."""
    script = tmp_path / "blender"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {_STAND_IN} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


@pytest.fixture
async def blender(program: str, tmp_path: Path) -> AsyncIterator[Blender]:
    """Return a running stand-in."""
    started = await Blender.start(program, scratch=tmp_path / "scratch", bounds=QUICK)
    yield started
    await started.kill()


@pytest.mark.parametrize(
    ("fault", "failure", "words"),
    [
        ("die-by-signal", errors.FailureClass.CRASH, "SIGSEGV"),
        ("leave", errors.FailureClass.CRASH, "left with code 11"),
        ("die-by-kill", errors.FailureClass.CRASH, "SIGKILL (not for want of memory"),
        ("eat-memory", errors.FailureClass.OUT_OF_MEMORY, "the worker lets it have 400 MiB"),
        ("child-eats-memory", errors.FailureClass.OUT_OF_MEMORY, "lets it have 400 MiB"),
        ("hang", errors.FailureClass.HANG, "no sign of progress for 1.5 s"),
        ("chatter", errors.FailureClass.FRAME_TIMEOUT, "longer than 4 s to render frame 7"),
        ("garbage", errors.FailureClass.CRASH, "no json"),
    ],
)
async def test_each_way_to_fail_has_its_class_and_leaves_no_process(
    blender: Blender, tmp_path: Path, fault: str, failure: errors.FailureClass, words: str
) -> None:
    """The artist sees what happened, what to do, and the last lines that Blender printed."""
    await blender.load(Path(f"{fault}.blend"), {})

    with pytest.raises(errors.FrameError) as failed:
        await blender.render(7, tmp_path / "7.png")

    assert failed.value.failure_class is failure
    assert words in failed.value.reason
    assert failed.value.remedy
    assert f"Fra:7 with {fault}" in failed.value.log_tail
    assert not blender.alive
    assert not _processes_of(blender)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((3, 4), "out_of_memory: Blender ran out of memory as it was to render frame 1"),
        ((3, 4), "MiB (the kernel killed it)"),
        ((None, None), "out_of_memory: .*the kernel does not say whether"),
        ((3, 3), "crash: .*not for want of memory"),
    ],
)
async def test_the_kernel_is_asked_why_blender_was_killed(
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: tuple[int | None, int | None],
    words: str,
) -> None:
    """An operator's kill is no reason to buy more memory; what is not known is not claimed."""
    asked = iter(counts)
    monkeypatch.setattr(processes, "killed_for_memory", lambda: next(asked))
    started = await Blender.start(program, scratch=tmp_path, bounds=QUICK)
    await started.load(Path("die-by-kill.blend"), {})

    with pytest.raises(errors.FrameError) as failed:
        await started.render(1, tmp_path / "1.png")
    assert re.search(words.replace("(", r"\(").replace(")", r"\)"), str(failed.value))


async def test_being_cancelled_ends_blender_at_once(blender: Blender, tmp_path: Path) -> None:
    """A lost lease cancels the render: nothing may go on rendering."""
    await blender.load(Path("hang.blend"), {})
    rendering = asyncio.create_task(blender.render(1, tmp_path / "1.png"))
    await asyncio.sleep(0.2)

    rendering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rendering

    assert not blender.alive
    assert not _processes_of(blender)


async def test_a_blender_that_dies_between_frames_is_a_crash(
    blender: Blender, tmp_path: Path
) -> None:
    """The next command finds the pipe broken, or the answers at their end."""
    await blender.load(Path("fine.blend"), {})
    os.killpg(blender.pid, signal.SIGTERM)

    with pytest.raises(errors.FrameError, match="SIGTERM"):
        await blender.render(1, tmp_path / "1.png")
    assert not blender.alive


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The engineer sees which setting to mend."""
    with pytest.raises(errors.FrameError, match="BLENDROP_BLENDERS") as failed:
        await Blender.start("/no/such/blender", scratch=tmp_path, bounds=QUICK)
    assert "/no/such/blender" in failed.value.reason


async def test_a_program_that_is_no_blender_says_so_in_its_log(tmp_path: Path) -> None:
    """It ends without a word over the pipe; what it printed is shown."""
    with pytest.raises(errors.FrameError) as failed:
        await Blender.start("/bin/echo", scratch=tmp_path, bounds=QUICK)
    assert "--factory-startup" in failed.value.log_tail


async def test_the_environment_holds_no_credential_and_no_address(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .blend may run code in ways that nobody knows yet: there is nothing for it to find."""
    for name in ("BLENDROP_STORAGE", "IDENTITY_ENDPOINT", "AZURE_CLIENT_ID", "MSI_SECRET"):
        monkeypatch.setenv(name, "secret")
    started = await Blender.start(program, scratch=tmp_path, bounds=QUICK)
    try:
        await started.load(Path("fine.blend"), {})
        printed = (tmp_path / "blender.log").read_text()
    finally:
        await started.quit()
    assert "'HOME'" in printed
    for word in ("BLENDROP", "IDENTITY", "AZURE", "MSI"):
        assert word not in printed


async def test_quit_ends_it(program: str, tmp_path: Path) -> None:
    """A worker that leaves leaves nothing behind."""
    started = await Blender.start(program, scratch=tmp_path, bounds=QUICK)
    await started.quit()
    assert not _processes_of(started)


def _processes_of(blender: Blender) -> list[str]:
    """Return what still runs in Blender's process group, or speaks as its child would."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ours = int(fields[2]) == blender.pid or b"bytearray(2**26)" in _command_line(folder)
        if ours and fields[0] != "Z":
            found.append(folder.name)
    return found


def _command_line(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""
