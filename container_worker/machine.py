"""What is this worker, and what does it run on?"""

import datetime
import os
import re
import socket
import time
from pathlib import Path

from blendrop import __version__, ports, settings, wiring
from blendrop.domain import workers

_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 as which a port is open to everyone
_MIB = 2**20


def age(process: Path) -> float:
    """Return for how many seconds this process has run; `process` is its folder in /proc."""
    _, _, told = _read(process / "stat").rpartition(")")  # its name may hold anything
    if not told:
        return 0.0  # another kernel
    # The 22nd field: when it was started, in ticks since the boot (proc_pid_stat(5)).
    started = int(told.split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(time.clock_gettime(time.CLOCK_BOOTTIME) - started, 0.0)


def describe(chosen: settings.WorkerSettings, clock: ports.Clock) -> workers.Worker:
    """Return the row of this worker as it starts."""
    now = clock.now()
    started = now - datetime.timedelta(seconds=age(Path("/proc/self")))
    return workers.Worker(
        name=wiring.worker_name(chosen),
        version=__version__,
        blenders=tuple(chosen.commands()),
        cpus=cpus(Path("/sys/fs/cgroup")),
        memory_mib=memory_mib(Path("/sys/fs/cgroup")),
        device=chosen.cycles_device,
        graphics_cards=graphics_cards(Path("/proc/driver/nvidia/gpus")),
        status_address=_address(chosen),
        heartbeat_seconds=chosen.heartbeat_seconds,
        started=started,
        heard=now,
        since=now,
    )


def cpus(group: Path) -> int:
    """Return how many processors the container may use, at least 1; `group` is its cgroup (v2)."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    there = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota.isdigit() or not period.isdigit():
        return there
    return max(min(there, round(int(quota) / int(period))), 1)


def memory_mib(group: Path) -> int:
    """Return how much memory the container may use; `group` is its cgroup (v2)."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB
    limit = _read(group / "memory.max")
    return min(there, int(limit) // _MIB) if limit.isdigit() else there


def graphics_cards(folder: Path) -> tuple[str, ...]:
    """Return the names of the cards that NVIDIA's driver shows; of others none is known."""
    cards = [_read(path) for path in sorted(folder.glob("*/information"))]
    found = [re.search(r"^Model:\s*(.+)$", card, re.MULTILINE) for card in cards]
    return tuple(one.group(1).strip() for one in found if one)


def _address(chosen: settings.WorkerSettings) -> str:
    if not chosen.status_port:
        return ""
    host = chosen.status_host
    if host in _EVERYWHERE:
        try:
            host = socket.gethostbyname(socket.gethostname())
        except OSError:
            host = socket.gethostname()  # no name service knows it; a person may
    return f"http://{host}:{chosen.status_port}"


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # another kernel, or another version of it
