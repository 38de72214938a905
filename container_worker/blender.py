"""One running Blender: how is it started, asked, watched and ended?"""

import asyncio
import contextlib
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from blendrop import errors
from container_worker import processes

log = structlog.stdlib.get_logger(__name__)

_PROGRAM = Path(__file__).parent / "inside_blender" / "program.py"
_SCENE_CLASSES = frozenset(
    {
        errors.FailureClass.SCENE_UNREADABLE,
        errors.FailureClass.SETTING_REFUSED,
        errors.FailureClass.MISSING_FILES,
        errors.FailureClass.NEEDS_PYTHON,
        errors.FailureClass.BLENDER_TOO_OLD,
    }
)
_START_SECONDS = 120.0
_LARGEST_FILE = 16 * 2**30  # bytes that Blender may write to one file
_MOST_FILES = 4096  # that it may have open
_MOST_THREADS = 4096  # of its user, processes included
# Of its own, so that nothing can be fetched or sent; the kernel or the platform may not allow it.
_NO_NETWORK = ("unshare", "--user", "--map-current-user", "--net")
_LOOKS_EVERY = 0.5  # seconds between two looks at its answers and its log
_MEMORY_EVERY = 0.1  # seconds between two looks at its memory, which grows by GiB in one
_LOOKS_PER_SEARCH = 5  # for what Blender started
_LOG_SHOWN = 256 * 1024  # bytes
_TAIL_LINES = 40
_ANSWER_LIMIT = 16 * 2**20  # bytes of one line over the pipe
_LOG_REMEDY = "Look at the frame's log, and render this frame in Blender to see what happens"


@dataclass(frozen=True)
class Bounds:
    """How long Blender may take, and with what; seconds and bytes."""

    load_seconds: float
    frame_seconds: float
    stall_seconds: float
    memory_bytes: int = 0  # 0: whatever there is
    device: str = "CPU"  # that Cycles renders on: CPU, CUDA, OPTIX, HIP, ONEAPI or METAL


class Blender:
    """A process that has answered `ready`; after a failure that ended it, it is not `alive`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        answers: asyncio.StreamReader,
        commands: int,
        *,
        log_path: Path,
        bounds: Bounds,
    ) -> None:
        self.alive = True
        self.memory = 0  # bytes, when it was last looked at
        self._process = process
        self._answers = answers
        self._commands = commands
        self._log_path = log_path
        self._log_from = 0
        self._bounds = bounds
        self._peak = 0  # bytes
        self._followers: list[int] = []  # what it started, when that was last looked for
        self._over_memory = False
        self._killed_for_memory = processes.killed_for_memory()
        self._watching = asyncio.create_task(self._watch_memory())

    @classmethod
    async def start(cls, program: str, *, scratch: Path, bounds: Bounds) -> "Blender":
        """Start a Blender executable, or a Python that has `bpy`, and wait until it is ready.

        Raises:
            FrameError: it ended, or said nothing in time.
        """
        if shutil.which(program) is None:
            raise _no_program(program, "there is no such executable")
        scratch.mkdir(parents=True, exist_ok=True)
        log_path = scratch / "blender.log"
        command_read, command_write = os.pipe()
        answer_read, answer_write = os.pipe()
        pipe = ["--pipe", str(command_read), str(answer_write), "--device", bounds.device]
        try:
            with log_path.open("wb") as printed:
                process = await asyncio.create_subprocess_exec(
                    *(await _isolation()),
                    *_command(program, pipe),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    pass_fds=(command_read, answer_write),
                    env=_environment(scratch),
                    cwd=scratch,
                    start_new_session=True,  # so that a kill reaches whatever it starts
                )
        except OSError as failed:
            os.close(command_write)
            os.close(answer_read)
            raise _no_program(program, str(failed)) from failed
        finally:
            os.close(command_read)
            os.close(answer_write)
        _limit(process.pid)
        blender = cls(
            process, await _reader(answer_read), command_write, log_path=log_path, bounds=bounds
        )
        try:
            await blender._guarded(blender._answer("ready", _START_SECONDS, "start"))
        except errors.FrameError:
            await blender.kill()  # one that refused to start is of no use, and may still run
            raise
        return blender

    @property
    def pid(self) -> int:
        """The process, which leads a group of its own."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return the seconds of CPU that it and what it started have taken; 0: unknown."""
        return processes.cpu_seconds(self._process.pid, *self._followers)

    async def load(
        self, scene_file: Path, settings: Mapping[str, object], *, persistent_data: bool = True
    ) -> dict[str, Any]:
        """Open a scene with the settings laid over it. Raises SceneError or FrameError.

        Without `persistent_data` it is made ready for each frame anew, and takes less memory.
        """
        return await self._ask(
            {
                "command": "load",
                "scene_file": str(scene_file),
                "settings": settings,
                "persistent_data": persistent_data,
            },
            "loaded",
            self._bounds.load_seconds,
            "open the scene",
        )

    async def render(self, frame: int, to: Path) -> dict[str, Any]:
        """Render a frame of the open scene to exactly that file. Raises FrameError."""
        return await self._ask(
            {"command": "render", "frame": frame, "path": str(to)},
            "rendered",
            self._bounds.frame_seconds,
            f"render frame {frame}",
        )

    async def quit(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self.alive:
            with contextlib.suppress(OSError):
                self._say({"command": "quit"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 5)
        await self.kill()

    async def kill(self) -> None:
        """End it and whatever it started, at once."""
        if not self.alive:
            return
        self.alive = False
        processes.end(self._process.pid)
        os.close(self._commands)
        self._watching.cancel()
        await self._process.wait()
        await asyncio.to_thread(processes.end_left_behind, self._process.pid)

    def last_log(self) -> str:
        """Return what it printed since it was last asked for something."""
        with self._log_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_from, size - _LOG_SHOWN))
            return file.read().decode("utf-8", "replace")

    async def _ask(
        self, command: Mapping[str, object], event: str, seconds: float, doing: str
    ) -> dict[str, Any]:
        self._log_from = self._log_path.stat().st_size
        return await self._guarded(self._asked(command, event, seconds, doing))

    async def _asked(
        self, command: Mapping[str, object], event: str, seconds: float, doing: str
    ) -> dict[str, Any]:
        try:
            self._say(command)
        except BrokenPipeError:
            raise await self._ended(doing) from None
        return await self._answer(event, seconds, doing)

    async def _guarded(self, asking: Any) -> dict[str, Any]:  # noqa: ANN401 any awaitable
        """Leave no Blender behind that is in the middle of something, whatever interrupts us."""
        try:
            answer: dict[str, Any] = await asking
        except errors.FrameError:
            if self._process.returncode is not None:
                await self.kill()
            raise
        except BaseException:
            await self.kill()
            raise
        return answer

    def _say(self, command: Mapping[str, object]) -> None:
        os.write(self._commands, json.dumps(command).encode() + b"\n")

    async def _answer(self, event: str, seconds: float, doing: str) -> dict[str, Any]:
        """Read on until the answer comes; `progress` and a growing log are signs of life."""
        began = sign = time.monotonic()
        log_size = 0
        while True:
            try:
                line = await asyncio.wait_for(self._answers.readline(), _LOOKS_EVERY)
            except TimeoutError:
                line = None
            now = time.monotonic()
            if line == b"":
                raise await self._ended(doing)
            if line is not None:
                sign = now
                answer = await self._read_answer(line, doing)
                if answer["event"] == event:
                    return answer
                if answer["event"] == "error":
                    raise self._refusal(answer)
            size = self._log_path.stat().st_size
            if size != log_size:
                log_size, sign = size, now
            if now - began > seconds:
                raise await self._given_up(
                    errors.FailureClass.FRAME_TIMEOUT,
                    f"Blender took longer than {seconds:g} s to {doing}",
                    "Make the frame cheaper, or raise BLENDROP_FRAME_SECONDS or "
                    "BLENDROP_LOAD_SECONDS",
                )
            if now - sign > self._bounds.stall_seconds:
                raise await self._given_up(
                    errors.FailureClass.HANG,
                    f"Blender showed no sign of progress for {self._bounds.stall_seconds:g} s as "
                    f"it was to {doing}",
                    f"{_LOG_REMEDY}, or raise BLENDROP_STALL_SECONDS",
                )

    async def _read_answer(self, line: bytes, doing: str) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except ValueError:
            raise await self._given_up(
                errors.FailureClass.CRASH,
                f"Blender answered {line[:80]!r}, which is no answer, as it was to {doing}",
                _LOG_REMEDY,
            ) from None

    def _refusal(self, answer: Mapping[str, str]) -> errors.FrameError:
        failure_class = errors.FailureClass(answer["class"])
        kind = errors.SceneError if failure_class in _SCENE_CLASSES else errors.FrameError
        return kind(failure_class, answer["reason"], answer["remedy"], self._tail())

    async def _given_up(
        self, failure_class: errors.FailureClass, reason: str, remedy: str
    ) -> errors.FrameError:
        tail = self._tail()
        await self.kill()
        return errors.FrameError(failure_class, reason, remedy, tail)

    async def _ended(self, doing: str) -> errors.FrameError:
        """Return why a Blender that nobody ended is gone."""
        code = await self._process.wait()
        if code == -signal.SIGKILL and (evidence := self._out_of_memory()):
            return errors.FrameError(
                errors.FailureClass.OUT_OF_MEMORY,
                f"Blender ran out of memory as it was to {doing}; it had {_mib(self._peak)} MiB "
                f"({evidence})",
                "Make the scene lighter, or give the workers more memory",
                self._tail(),
            )
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left with code {code}"
        if code == -signal.SIGKILL:
            how += " (not for want of memory: the kernel has killed nothing for that)"
        return errors.FrameError(
            errors.FailureClass.CRASH,
            f"Blender {how} as it was to {doing}",
            _LOG_REMEDY,
            self._tail(),
        )

    def _out_of_memory(self) -> str:
        """Return what speaks for it that a Blender that was killed had run out of memory."""
        if self._over_memory:
            return f"the worker lets it have {_mib(self._bounds.memory_bytes)} MiB"
        before, now = self._killed_for_memory, processes.killed_for_memory()
        if before is None or now is None:
            return "something killed it, and the kernel does not say whether that was why"
        return "the kernel killed it" if now > before else ""

    def _tail(self) -> str:
        return "\n".join(self.last_log().splitlines()[-_TAIL_LINES:])

    async def _watch_memory(self) -> None:
        """Keep the peak of the memory that it and what it started take; end it over its limit.

        Watched rather than limited by the kernel: RLIMIT_AS counts address space, of which Blender
        and graphics drivers reserve far more than they use.
        """
        for look in itertools.count():
            if sys.platform != "linux":
                return
            if look % _LOOKS_PER_SEARCH == 0:  # it reads a file for each thread of Blender
                self._followers = [*processes.descendants(self._process.pid)]
            self.memory = processes.memory(self._process.pid, *self._followers)
            self._peak = max(self._peak, self.memory)
            if self._bounds.memory_bytes and self._peak > self._bounds.memory_bytes:
                self._over_memory = True
                log.warning("blender_over_memory", mib=_mib(self._peak))
                processes.end(self._process.pid)
                return
            await asyncio.sleep(_MEMORY_EVERY)


def _no_program(program: str, why: str) -> errors.FrameError:
    return errors.FrameError(
        errors.FailureClass.CRASH,
        f"Blender cannot be started as {program}: {why}",
        "Let BLENDROP_BLENDERS name Blender's executable or a Python that has bpy",
    )


async def _isolation() -> tuple[str, ...]:
    """Return what a command is begun with, so that it has no network; nothing where that fails."""
    try:
        tried = await asyncio.create_subprocess_exec(
            *_NO_NETWORK,
            "true",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        allowed = False
    else:
        allowed = await tried.wait() == 0
    if not allowed:
        log.warning("blender_has_network", reason="unshare is not allowed here, or not installed")
    return _NO_NETWORK if allowed else ()


def _command(program: str, pipe: list[str]) -> list[str]:
    if Path(program).name.startswith("python"):
        # Isolated: what lies in the folder or the environment is not imported.
        return [program, "-I", str(_PROGRAM), *pipe]
    quiet = ["-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1"]
    return [program, *quiet, "--python", str(_PROGRAM), "--", *pipe]


def _environment(scratch: Path) -> dict[str, str]:
    """Return all that Blender may know: no credential, identity endpoint or address of ours."""
    home = str(scratch)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {
        "HOME": home,
        "TMPDIR": home,
        "BLENDER_USER_RESOURCES": home,
        "XDG_CACHE_HOME": home,
        "XDG_CONFIG_HOME": home,
    }


def _limit(pid: int) -> None:
    if sys.platform != "linux":
        return  # prlimit is Linux's own; elsewhere is only a developer's machine
    with contextlib.suppress(ProcessLookupError):  # gone already: its answer will tell
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_MOST_FILES, _MOST_FILES))
        resource.prlimit(pid, resource.RLIMIT_NPROC, (_MOST_THREADS, _MOST_THREADS))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_ANSWER_LIMIT)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _mib(size: int) -> int:
    return size // 2**20
