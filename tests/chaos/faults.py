"""Which faults befall a farm, and when? The seed says."""

import asyncio
import contextlib
import errno
import os
import random
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blendrop import settings
from blendrop.domain import messages
from tests.chaos.faulty_storage import FaultyStorage
from tests.doubles.watched_farm import WatchedFarm

Fault = Callable[[], Coroutine[Any, Any, None]]
MALFORMED = ("hello", "{}", '{"v":99}', '{"v":1,"job":"gone-000000000000","batch":0,"frames":"1"}')


@dataclass
class Faults:
    """Everything that can be done to a farm."""

    farm: WatchedFarm
    storage: FaultyStorage
    restart_storage: Fault
    chances: random.Random
    lease: float  # seconds
    malformed: int = 0  # messages sent that nobody can read

    async def inject(self, seconds: float, jobs: list[str]) -> None:
        """Do one thing after the other, some of them at once, for so long; then heal."""
        kinds: dict[str, Fault] = {
            "worker: SIGKILL": self._kill_worker,
            "worker: SIGTERM": self._stop_worker,
            "worker: SIGSTOP": self._freeze_worker,
            "Blender: SIGKILL": self._kill_blender,
            "storage: errors, resets, lost answers": self._storage_errs,
            "storage: slow": self._storage_slows,
            "storage: restart": self.restart_storage,
            "message: twice": lambda: self._send_again(jobs),
            "message: malformed": self._send_malformed,
            "message: late and out of order": self._delay_messages,
            "share: away": self._take_share_away,
            "share: full": lambda: self._fail_share(errno.ENOSPC),
            "share: read-only": lambda: self._fail_share(errno.EROFS),
            "clock: wrong": self._skew_clock,
        }
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as together:
            # Each kind comes once before chance decides, so that no run leaves one out.
            order = self.chances.sample(sorted(kinds), len(kinds))
            while (now := asyncio.get_running_loop().time()) < until:
                kind = order.pop() if order else self.chances.choice(sorted(kinds))
                self.storage.injected[kind] += 1
                together.create_task(kinds[kind]())
                await asyncio.sleep(min(self.chances.uniform(0.1, 1.2), until - now))
        self.storage.shares, self.storage.delay = {}, 0.0

    def _worker(self) -> int:
        workers = self.farm.running.workers
        return workers[self.chances.choice(sorted(workers))].process.pid

    async def _kill_worker(self) -> None:
        _signal(self._worker(), signal.SIGKILL)

    async def _stop_worker(self) -> None:
        _signal(self._worker(), signal.SIGTERM)

    async def _freeze_worker(self) -> None:
        worker = self._worker()
        frozen = [worker, *(_children(worker) if self.chances.random() < 0.5 else [])]
        for pid in frozen:
            _signal(pid, signal.SIGSTOP)
        await asyncio.sleep(self.lease * self.chances.uniform(0.5, 3))
        for pid in frozen:
            _signal(pid, signal.SIGCONT)

    async def _kill_blender(self) -> None:
        for pid in _children(self._worker()):
            _signal(pid, signal.SIGKILL)

    async def _storage_errs(self) -> None:
        kinds = ("error", "reset", "lost_answer")
        self.storage.shares = {kind: self.chances.uniform(0, 0.2) for kind in kinds}
        await asyncio.sleep(self.chances.uniform(0.5, 3))
        self.storage.shares = {}

    async def _storage_slows(self) -> None:
        self.storage.delay = self.chances.uniform(0.1, 0.6)
        await asyncio.sleep(self.chances.uniform(0.5, 2))
        self.storage.delay = 0.0

    async def _send_again(self, jobs: list[str]) -> None:
        """Put a message on the queue that is there, was there, or is being worked at."""
        again = messages.BatchMessage(
            job=self.chances.choice(jobs), batch=self.chances.randrange(3), frames="1-4"
        )
        with contextlib.suppress(Exception):  # the storage may be down by another fault
            await self.farm.send(settings.BATCHES_QUEUE, messages.encode(again))

    async def _send_malformed(self) -> None:
        with contextlib.suppress(Exception):  # the storage may be down by another fault
            await self.farm.send(settings.BATCHES_QUEUE, self.chances.choice(MALFORMED))
            self.malformed += 1

    async def _take_share_away(self) -> None:
        away = self.farm.share.with_name("share-away")
        if not self.farm.share.exists():
            return  # away already
        self.farm.share.rename(away)
        await asyncio.sleep(self.chances.uniform(0.5, 2))
        away.rename(self.farm.share)

    async def _delay_messages(self) -> None:
        """Hide what waits on the queue, each message for another time."""
        with contextlib.suppress(Exception):  # the storage may be down by another fault
            await self.farm.delay_messages(
                settings.BATCHES_QUEUE, lambda: self.chances.randrange(round(2 * self.lease))
            )

    async def _fail_share(self, number: int) -> None:
        """Let every file on its way to the share end with an error."""
        order = self.farm.folder / "share-errno"
        _write(order, str(number))
        await asyncio.sleep(self.chances.uniform(0.5, 2))
        order.unlink(missing_ok=True)  # of two at once, the first to end ends both

    async def _skew_clock(self) -> None:
        """Let a worker see another time of day, up to ten minutes off."""
        name = self.chances.choice(sorted(self.farm.running.workers))
        order = self.farm.folder / f"skew-{name}"
        _write(order, str(self.chances.uniform(-600, 600)))
        await asyncio.sleep(self.lease * self.chances.uniform(0.5, 2))
        order.unlink(missing_ok=True)


def _write(order: Path, text: str) -> None:
    """Write a file that workers read at any moment: never half of it."""
    half = order.with_name(f"half-{order.name}")
    half.write_text(text)
    half.replace(order)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
