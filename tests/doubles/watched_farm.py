"""A real farm on this machine, with what tests need to see of it."""

import asyncio
import collections
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import settings
from blendrop.domain import batches, frames, jobs
from blendrop.usecases import show
from local import farm

_PATIENCE = aiohttp.ClientTimeout(total=15)


class SeenJob(show.JobView):
    """A job with its batches."""

    batches: tuple[batches.Batch, ...]


class WatchedFarm:
    """A farm, and how to upload, wait and look."""

    def __init__(self, running: farm.Farm, plan: farm.Plan, direct: str = "") -> None:
        self.running = running
        self._direct = direct  # to the storage, where the farm itself goes by another way
        self.share = plan.share
        self.folder = plan.folder

    @property
    def connection_string(self) -> str:
        """How its storage is reached."""
        return self._direct or self.running.client.connection_string

    async def upload(self, name: str, content: bytes, **metadata: str) -> str:
        """Upload a scene as any client would; return the id of the job that this makes.

        It renders everything: farms are shared by tests, and so are scenes.
        """
        async with blobs.BlobClient.from_connection_string(
            self.connection_string, settings.SCENES_CONTAINER, name
        ) as blob:
            await blob.upload_blob(content, overwrite=True, metadata={"force": "true", **metadata})
            return jobs.id_of_upload(name, (await blob.get_blob_properties()).etag)

    async def until(
        self, job_id: str, holds: Callable[[show.JobView], bool] = lambda _: False
    ) -> SeenJob:
        """Return the first look at a job for which something holds, or the ended job."""
        found: list[show.JobView] = []

        async def look() -> None:
            async for view in self.running.client.follow(job_id):
                found.append(view)
                if holds(view):
                    return

        await self.running.beside(look())
        return await self._with_batches(found[-1])

    async def look(self, job_id: str) -> SeenJob:
        """Return a job as it stands."""
        return await self._with_batches(await self.running.client.job(job_id))

    async def _with_batches(self, view: show.JobView) -> SeenJob:
        rows = await self.running.client.batches(view.job.id)
        return SeenJob(**dict(view), batches=rows)

    async def steer(self, job_id: str, what: str) -> int:
        """Ask over HTTP for one of cancel, pause, resume and retry; return the status, or 0."""
        address = f"{self.running.client.http}/api/jobs/{job_id}/{what}"
        try:
            async with aiohttp.ClientSession(timeout=_PATIENCE) as http, http.post(address) as said:
                return said.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def send(self, queue: str, text: str) -> None:
        """Put a message on a queue."""
        async with self._queue(queue) as client:
            await client.send_message(text)

    async def delay_messages(self, queue: str, seconds: Callable[[], int]) -> None:
        """Hide every message of a queue that is not hidden, each for as long as `seconds` says."""
        async with self._queue(queue) as client:
            async for message in client.receive_messages(
                messages_per_page=32, max_messages=32, visibility_timeout=5
            ):
                await client.update_message(message, visibility_timeout=seconds())

    async def depth(self, queue: str = settings.BATCHES_QUEUE) -> int:
        """Return how many messages there are, hidden ones included."""
        async with self._queue(queue) as client:
            return int((await client.get_queue_properties()).approximate_message_count or 0)

    async def until_empty(self, queue: str) -> None:
        """Wait until every message of a queue was dealt with."""
        async with asyncio.timeout(30):
            while await self.depth(queue):  # noqa: ASYNC110 a queue of another process
                await asyncio.sleep(0.1)

    def _queue(self, name: str) -> queues.QueueClient:
        return queues.QueueClient.from_connection_string(self.connection_string, name)

    def frame_paths(self, job: jobs.Job) -> list[Path]:
        """Return where the job's frames must stand."""
        numbers = job.frame_numbers()
        folder = self.share / job.id
        return [folder / frames.file_name(job.frame_pattern, number) for number in numbers]

    def times_rendered(self, job_id: str) -> Mapping[int, int]:
        """Return how often each frame of a job was rendered, as all workers' logs say."""
        lines = [line for line in self.log_lines("worker-*.log") if line.get("job") == job_id]
        return collections.Counter(
            line["frame"] for line in lines if line.get("event") == "frame_done"
        )

    def log_lines(self, pattern: str) -> list[dict[str, Any]]:
        """Return the JSON lines of some logs."""
        found = []
        for log in sorted(self.folder.glob(pattern)):
            for line in log.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    blenders: Mapping[str, str],
    *,
    workers: int = 2,
    apart: bool = True,
    environment: Mapping[str, str] | None = None,
    **own: str,
) -> AsyncIterator[WatchedFarm]:
    """Run a farm that logs JSON; `own` are further BLENDROP_ settings without that prefix.

    `environment` are variables of other names.
    """
    plan = farm.Plan(
        folder=folder,
        share=folder / "share",
        blenders=blenders,
        workers=workers,
        apart=apart,
        settings={
            "BLENDROP_LOG_FORMAT": "json",
            **(environment or {}),
            **{f"BLENDROP_{name.upper()}": value for name, value in own.items()},
        },
    )
    async with farm.running(plan) as started:
        yield WatchedFarm(started, plan)
