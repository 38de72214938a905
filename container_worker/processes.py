"""What do Blender and all that it started take, how is the last of them ended, and why is one gone?

Blender starts no processes. Code that a flaw in it lets in might: it could leave the group, or the
session, or let its parent end. So whoever starts Blender looks at descendants, not at a group.
"""

import contextlib
import ctypes
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_ROUNDS = 20  # of ending what was started while others were ended


def shield() -> None:
    """Make this process unreadable to others of its user, and the heir of what its children leave.

    Whoever may read `/proc/<pid>/environ` or its memory has the credentials of this process. The
    kernel asks whether it is dumpable (proc(5), "PR_SET_DUMPABLE"); a child is again, once it
    runs a program of its own.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option} is refused")


def _inherits() -> bool:
    if sys.platform != "linux":
        return False
    answer = ctypes.c_int(0)
    return not ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0) and (
        answer.value == 1
    )


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # Each thread has children of its own.
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended
            found.extend(map(int, thread.read_text().split()))
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield all that a process started, and what that started in turn."""
    for child in _children(pid):
        yield child
        yield from descendants(child)


def memory(*pids: int) -> int:
    """Return the bytes of memory that some processes have resident now."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for one in pids:
        # Ten times in a second: plain calls cost a third of what `pathlib` does.
        with (
            contextlib.suppress(OSError, IndexError),  # it has ended
            open(f"/proc/{one}/statm", "rb", buffering=0) as statm,  # noqa: PTH123
        ):
            total += int(statm.read().split()[1]) * page
    return total


def cpu_seconds(*pids: int) -> float:
    """Return the seconds of CPU that some processes have taken so far; 0 on another kernel."""
    ticks = 0
    for one in pids:
        with contextlib.suppress(OSError):  # it has ended
            # The 14th and 15th field (proc_pid_stat(5)), after a name that may hold anything.
            _, _, told = Path(f"/proc/{one}/stat").read_text().rpartition(")")
            user, system = told.split()[11:13]
            ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")


def end(pid: int) -> None:
    """Kill a process, its group, and its descendants wherever they went, at once."""
    followers = [*descendants(pid)]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for one in followers:
        _kill(one)


def end_left_behind(pid: int) -> None:
    """Kill what a process that has ended left to us, where this process is its heir.

    A worker has no other children than its Blender; a process that is no heir has no way to tell.
    """
    if not _inherits():
        return
    for _ in range(_ROUNDS):
        left = [one for one in _children(os.getpid()) if one != pid]
        if not left:
            return
        for one in left:
            followers = [*descendants(one)]
            _kill(one)
            for follower in followers:
                _kill(follower)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one, 0)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def killed_for_memory() -> int | None:
    """Return how many processes the kernel has killed for want of memory; None if it does not say.

    Of this container where its control group tells (`memory.events` of version 2,
    `memory.oom_control` of version 1), else of the whole machine.
    """
    for group in _memory_groups():
        for name in ("memory.events", "memory.oom_control"):
            if (count := _count(group / name)) is not None:
                return count
    return _count(Path("/proc/vmstat"))


def _count(file: Path) -> int | None:
    try:
        found = re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _memory_groups() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in {"", "memory"}:
                root = Path("/sys/fs/cgroup") / controllers
                # Within a container its own group is the root of what it sees.
                yield from (root / path.lstrip("/"), root)
