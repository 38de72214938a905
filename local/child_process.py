"""How is a program started so that nothing of it is left, however its parent ends?

Each child leads a process group of its own, writes to a log file, and gets SIGTERM from the kernel
should its parent vanish without a word (Linux: prctl(2), PR_SET_PDEATHSIG).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blendrop import errors

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SHOWN_LINES = 20
_READ_BYTES = 64 * 1024  # of the end of a log


@dataclass(frozen=True)
class ChildProcess:
    """A program that was started, what it is called here, and where it writes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def watch(self) -> None:
        """Wait until it ends, which it is not meant to do by itself.

        Raises:
            UnavailableError: it has ended; with its exit code and the last lines of its log.
        """
        code = await self.process.wait()
        raise errors.UnavailableError(
            f"{self.name} ended by itself with exit code {code}. The end of {self.log}:\n"
            f"{self.last_lines()}"
        )

    def last_lines(self) -> str:
        """Return the end of its log."""
        with self.log.open("rb") as written:
            size = written.seek(0, os.SEEK_END)
            written.seek(max(size - _READ_BYTES, 0))
            text = written.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-_SHOWN_LINES:])

    async def stop(self, *, grace: float) -> None:
        """Ask it to end, and end it and all it started after `grace` seconds."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), grace)
        # What it started is in its group and may outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


async def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
) -> ChildProcess:
    """Start a program in `folder`, with exactly this environment.

    Raises:
        UnavailableError: there is no such program.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )
        except OSError as failed:
            raise errors.UnavailableError(f"cannot start {name}: {failed}") from failed
    return ChildProcess(name, process, log)


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a child does before it becomes the program; only calls that are safe there."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def before_program() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it vanished before the call above
            os._exit(1)

    return before_program
