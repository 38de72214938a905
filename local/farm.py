"""How does a whole farm run on one machine? Azurite, the function app, and workers.

Each is a process of its own, as in Azure; a worker that leaves is replaced, as Container Apps does.
"""

import asyncio
import contextlib
import functools
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from blendrop import errors
from local import azurite, blenders, child_process, farm_storage
from local.farm_client import FarmClient

_ROOT = Path(__file__).resolve().parents[1]
_START_SECONDS = 90.0
_GRACE = 5.0  # seconds to end by itself, for each process
_SHORT_LIFE = 10.0  # seconds: a worker that leaves sooner has not worked
_LOCAL_RATE = "60000/minute"  # all programs of this machine count as one client
_LOCAL_POLL = "0.1"  # seconds between two looks at the queue: nobody pays for them here


@dataclass(frozen=True)
class Plan:
    """What kind of farm is wanted; a port of 0 is any free one."""

    folder: Path  # of logs and scratch files
    share: Path  # of frames
    blenders: Mapping[str, str]
    workers: int = 2
    http_port: int = 0
    storage_ports: tuple[int, int, int] = (0, 0, 0)
    keep_storage: bool = False
    connection_string: str = ""  # of a storage account that is there already; else Azurite is run
    apart: bool = False  # each worker as if it had a machine of its own
    short_lives: int = 3  # of a worker in a row, and it is not replaced any more
    core_tools: bool = False  # run `func start`, if it is installed
    settings: Mapping[str, str] = field(default_factory=dict)  # environment of all processes


class Farm:
    """A running farm."""

    def __init__(self, plan: Plan, connection_string: str, http_port: int) -> None:
        self.client = FarmClient(connection_string, f"http://127.0.0.1:{http_port}")
        self.workers: dict[str, child_process.ChildProcess] = {}
        self._status_ports: dict[str, int] = {}  # of workers, which share this machine
        self._plan = plan
        self._http_port = http_port
        self._functions: child_process.ChildProcess | None = None
        self._keeping_parts: list[asyncio.Task[None]] = []
        self._keeping_worker: dict[str, asyncio.Task[None]] = {}

    async def start(self, *, beside: Sequence[child_process.ChildProcess] = ()) -> None:
        """Start everything, and wait until uploads are taken and workers wait for them.

        The farm runs for as long as it and what runs `beside` it do.

        Raises:
            UnavailableError: something did not start, with the reason and its log.
        """
        await farm_storage.create(self.client.connection_string)
        self._plan.share.mkdir(parents=True, exist_ok=True)
        self._functions = await self._start_functions()
        # The first starts are awaited here, so that a worker that cannot even start says why.
        await self.scale(self._plan.workers)
        self._keeping_parts = [
            asyncio.create_task(part.watch()) for part in (*beside, self._functions)
        ]
        await self.beside(self._ready())

    async def scale(self, workers: int) -> None:
        """Let so many workers run, without waiting until those that are new are ready.

        Their names are `worker-1` and so on; the highest numbers leave first.
        """
        for name in list(self.workers)[workers:]:
            self._keeping_worker.pop(name).cancel()
            await self.workers.pop(name).stop(grace=_GRACE)
        for number in range(len(self.workers) + 1, workers + 1):
            name = f"worker-{number}"
            self.workers[name] = await self._start_worker(name)
            self._keeping_worker[name] = asyncio.create_task(self._keep_worker(name))

    async def workers_ready(self) -> None:
        """Return when Blender is warm in every worker. Raises UnavailableError."""
        await self.beside(self._ready())

    @property
    def status_addresses(self) -> dict[str, str]:
        """Where each worker answers by itself."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self._status_ports.items()}

    @property
    def share(self) -> Path:
        """The folder of frames."""
        return self._plan.share

    @property
    def functions_pid(self) -> int:
        """The process of the function app's host."""
        if self._functions is None:
            raise RuntimeError("the farm has not been started")
        return self._functions.process.pid

    @property
    def _keeping(self) -> list[asyncio.Task[None]]:
        return [*self._keeping_parts, *self._keeping_worker.values()]

    async def beside(self, doing: Coroutine[Any, Any, object]) -> None:
        """Do something as long as the farm runs.

        Raises:
            UnavailableError: a part of the farm ended meanwhile, with the reason and its log.
        """
        task = asyncio.create_task(doing)
        try:
            done, _ = await asyncio.wait(
                {task, *self._keeping}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        for one in done:
            one.result()

    async def stop(self) -> None:
        """End everything; the storage is ended by whoever started it."""
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)
        started = [*self.workers.values(), *([self._functions] if self._functions else [])]
        await asyncio.gather(*(process.stop(grace=_GRACE) for process in started))

    async def _start_functions(self) -> child_process.ChildProcess:
        port = str(self._http_port)
        func = shutil.which("func") if self._plan.core_tools else None
        host = [sys.executable, "-m", "local.function_host"]
        return await child_process.start(
            "function app",
            [func, "start", "--port", port] if func else [*host, "--port", port],
            environment=self._environment(
                FUNCTIONS_WORKER_RUNTIME="python",
                AzureWebJobsStorage=self.client.connection_string,
                BLENDROP_UPLOADS_DOOR="poll",
                BLENDROP_NEWEST_BLENDER=list(self._plan.blenders)[-1],
                BLENDROP_MOST_WORKERS=str(max(self._plan.workers, 1)),
                BLENDROP_AUTH="anonymous",
                BLENDROP_RATE_READ=_LOCAL_RATE,
                BLENDROP_RATE_SUBMIT=_LOCAL_RATE,
            ),
            folder=_ROOT,
            log=self._plan.folder / "functions.log",
        )

    async def _start_worker(self, name: str) -> child_process.ChildProcess:
        if name not in self._status_ports:
            self._status_ports[name] = _free_port()
        return await child_process.start(
            name,
            [sys.executable, "-m", "container_worker"],
            environment=self._environment(
                BLENDROP_BLENDERS=blenders.written(self._plan.blenders),
                BLENDROP_WORKER_NAME=name,
                BLENDROP_SCRATCH=str(self._plan.folder / "scratch" / (name * self._plan.apart)),
                BLENDROP_POLL_SECONDS=_LOCAL_POLL,
                BLENDROP_STATUS_PORT=str(self._status_ports[name]),
            ),
            folder=_ROOT,
            log=self._plan.folder / f"{name}.log",
        )

    def _environment(self, **own: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(_ROOT),
            "PYTHONUNBUFFERED": "1",
            "BLENDROP_LOG_FORMAT": "console",
            "BLENDROP_STORAGE": self.client.connection_string,
            "BLENDROP_FRAME_SHARE": str(self._plan.share),
            **own,
            **self._plan.settings,
        }

    async def _keep_worker(self, name: str) -> None:
        short_lives = 0
        while True:
            began = time.monotonic()
            code = await self.workers[name].process.wait()
            short_lives = short_lives + 1 if time.monotonic() - began < _SHORT_LIFE else 0
            if short_lives == self._plan.short_lives:
                await self.workers[name].watch()
            with self.workers[name].log.open("a", encoding="utf-8") as log:
                log.write(f"--- {name} left with exit code {code}, and is replaced\n")
            self.workers[name] = await self._start_worker(name)

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _until(self.client.healthy)
                for name in list(self.workers):
                    await _until(functools.partial(_says_ready, self.status_addresses[name]))
        except TimeoutError:
            raise errors.UnavailableError(
                f"the farm did not start in {_START_SECONDS:g} s; its logs are in "
                f"{self._plan.folder}"
            ) from None


@contextlib.asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Farm]:
    """Run a farm; when the block ends, however it does, nothing of it is left running.

    Raises:
        UnavailableError: something did not start, with the reason and its log.
    """
    for old in plan.folder.glob("*.log"):
        old.unlink()
    async with contextlib.AsyncExitStack() as stack:
        connection_string = plan.connection_string
        parts: list[child_process.ChildProcess] = []
        if not connection_string:
            storage = await stack.enter_async_context(
                azurite.running(
                    plan.folder / "storage",
                    log=plan.folder / "azurite.log",
                    ports=plan.storage_ports,
                    keep=plan.keep_storage,
                )
            )
            connection_string = storage.connection_string
            parts.append(storage.process)
        farm = Farm(plan, connection_string, plan.http_port or _free_port())
        stack.push_async_callback(farm.stop)
        await farm.start(beside=parts)
        yield farm


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 other processes set no event here
        await asyncio.sleep(0.1)


async def _says_ready(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{address}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
