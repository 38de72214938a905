"""How is each planned fault done to a farm?"""

import asyncio
import collections
import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blendrop import settings
from blendrop.domain import messages
from tests.chaos import plan
from tests.chaos.faulty_storage import FaultyStorage
from tests.chaos.person import Person
from tests.chaos.plan import PlannedFault
from tests.doubles.watched_farm import WatchedFarm

Fault = Callable[[PlannedFault], Coroutine[Any, Any, None]]
MALFORMED = ("hello", "{}", '{"v":99}', '{"v":1,"job":"gone-000000000000","batch":0,"frames":"1"}')


@dataclass
class Faults:
    """Everything that can be done to a farm."""

    farm: WatchedFarm
    storage: FaultyStorage
    restart_storage: Callable[[float], Coroutine[Any, Any, None]]  # down for so many seconds
    person: Person
    jobs: Sequence[str]
    lease: float  # seconds
    malformed: int = 0  # messages sent that nobody can read
    injected: collections.Counter[str] = field(default_factory=collections.Counter)
    # From when until when something kept a worker from renewing; seconds since the epoch.
    disturbed: list[tuple[float, float]] = field(default_factory=list)

    async def inject(self, planned: Sequence[PlannedFault]) -> None:
        """Do one thing after the other, some of them at once; then heal."""
        kinds: dict[str, Fault] = {
            "worker: SIGKILL": self._kill_worker,
            "worker: SIGTERM": self._stop_worker,
            "worker: SIGSTOP": self._freeze_worker,
            "Blender: SIGKILL": self._kill_blender,
            "storage: errors, resets, lost answers": self._storage_errs,
            "storage: slow": self._storage_slows,
            plan.RESTART: self._storage_restarts,
            "message: twice": self._send_again,
            "message: malformed": self._send_malformed,
            "message: late and out of order": self._delay_messages,
            "share: away": self._take_share_away,
            "share: full": lambda fault: self._fail_share(fault, errno.ENOSPC),
            "share: read-only": lambda fault: self._fail_share(fault, errno.EROFS),
            "clock: wrong": self._skew_clock,
            "person: cancel": self._cancel,
            "person: pause, then resume": self._pause,
            "person: retry": self._retry,
        }
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as together:
            for fault in planned:
                await asyncio.sleep(began + fault.at - loop.time())
                self.injected[fault.kind] += 1
                doing = kinds[fault.kind](fault)
                if fault.kind == plan.RESTART:
                    # How long that takes is the machine's: what came meanwhile would find a farm
                    # that stands still.
                    before = loop.time()
                    await doing
                    began += loop.time() - before
                else:
                    together.create_task(doing)
        self.storage.shares, self.storage.delay = {}, 0.0

    @contextlib.contextmanager
    def _disturbing(self) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.disturbed.append((began, time.time()))

    def _worker(self, fault: PlannedFault) -> int:
        return self.farm.running.workers[self._worker_name(fault)].process.pid

    def _worker_name(self, fault: PlannedFault) -> str:
        return sorted(self.farm.running.workers)[fault.worker]

    async def _kill_worker(self, fault: PlannedFault) -> None:
        _signal(self._worker(fault), signal.SIGKILL)

    async def _stop_worker(self, fault: PlannedFault) -> None:
        _signal(self._worker(fault), signal.SIGTERM)

    async def _freeze_worker(self, fault: PlannedFault) -> None:
        worker = self._worker(fault)
        frozen = [worker, *(_children(worker) if fault.strength < 0.5 else [])]
        with self._disturbing():
            for pid in frozen:
                _signal(pid, signal.SIGSTOP)
            await asyncio.sleep(self.lease * fault.between(0.5, 3))
            for pid in frozen:
                _signal(pid, signal.SIGCONT)

    async def _kill_blender(self, fault: PlannedFault) -> None:
        for pid in _children(self._worker(fault)):
            _signal(pid, signal.SIGKILL)

    async def _storage_errs(self, fault: PlannedFault) -> None:
        chances = plan.generator(fault.seed, "shares")
        kinds = ("error", "reset", "lost_answer")
        with self._disturbing():
            self.storage.shares = {kind: chances.uniform(0, 0.2) for kind in kinds}
            await asyncio.sleep(fault.between(0.5, 3))
            self.storage.shares = {}

    async def _storage_slows(self, fault: PlannedFault) -> None:
        with self._disturbing():
            self.storage.delay = 0.1 + 0.5 * fault.strength
            await asyncio.sleep(fault.between(0.5, 2))
            self.storage.delay = 0.0

    async def _storage_restarts(self, fault: PlannedFault) -> None:
        with self._disturbing():
            await self.restart_storage(fault.between(0.2, 1.5))

    async def _send_again(self, fault: PlannedFault) -> None:
        """Put a message on the queue that is there, was there, or is being worked at."""
        again = messages.BatchMessage(
            job=self.jobs[fault.job], batch=int(3 * fault.strength), frames="1-4"
        )
        with contextlib.suppress(Exception):  # the storage may be down by another fault
            await self.farm.send(settings.BATCHES_QUEUE, messages.encode(again))

    async def _send_malformed(self, fault: PlannedFault) -> None:
        text = MALFORMED[int(len(MALFORMED) * fault.strength)]
        with contextlib.suppress(Exception):  # the storage may be down by another fault
            await self.farm.send(settings.BATCHES_QUEUE, text)
            self.malformed += 1

    async def _take_share_away(self, fault: PlannedFault) -> None:
        away = self.farm.share.with_name("share-away")
        if not self.farm.share.exists():
            return  # away already
        self.farm.share.rename(away)
        await asyncio.sleep(fault.between(0.5, 2))
        away.rename(self.farm.share)

    async def _delay_messages(self, fault: PlannedFault) -> None:
        """Hide what waits on the queue, each message for another time."""
        chances = plan.generator(fault.seed, "delays")
        with contextlib.suppress(Exception):  # the storage may be down by another fault
            await self.farm.delay_messages(
                settings.BATCHES_QUEUE, lambda: chances.randrange(round(2 * self.lease))
            )

    async def _fail_share(self, fault: PlannedFault, number: int) -> None:
        """Let every file on its way to the share end with an error."""
        order = self.farm.folder / "share-errno"
        _write(order, str(number))
        await asyncio.sleep(fault.between(0.5, 2))
        order.unlink(missing_ok=True)  # of two at once, the first to end ends both

    async def _skew_clock(self, fault: PlannedFault) -> None:
        """Let a worker see another time of day, up to ten minutes off."""
        order = self.farm.folder / f"skew-{self._worker_name(fault)}"
        _write(order, str(1200 * fault.strength - 600))
        await asyncio.sleep(self.lease * fault.between(0.5, 2))
        order.unlink(missing_ok=True)

    async def _cancel(self, fault: PlannedFault) -> None:
        job = self.jobs[fault.job]
        async with self.person.at(job):
            await self._until_worth_it(fault)
            await self.person.ask(job, "cancel")

    async def _until_worth_it(self, fault: PlannedFault) -> None:
        """Wait until there is something to stop; now and then ask at any moment."""
        if fault.strength < 0.8:
            await self.person.waits_for_work(self.jobs[fault.job])

    async def _pause(self, fault: PlannedFault) -> None:
        """Let a job wait, and go on whatever came of that."""
        job = self.jobs[fault.job]
        async with self.person.at(job):
            await self._until_worth_it(fault)
            if await self.person.ask(job, "pause"):
                await asyncio.sleep(fault.between(0.5, 3))
                await self.person.ask(job, "resume")

    async def _retry(self, fault: PlannedFault) -> None:
        job = self.jobs[fault.job]
        async with self.person.at(job):
            await self.person.ask(job, "retry")


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
