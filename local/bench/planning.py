"""How long does a job of many frames take to be accepted, and how long until it is planned?

Measured in turn, in one run: the time from the request to its answer, the time until the function
app takes the job up, the time from then until every batch has its row and its message, and the
storage emulator's own rate for as many messages, by a plain loop of the same SDK. A job of 1,000
frames is planned within the request.
"""

import asyncio
import dataclasses
import json
import statistics
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import errors, settings, wiring
from blendrop.domain import messages
from local import farm

FRAMES, BATCH_SIZE = (1_000, 10_000), 8
_AT_ONCE = 32
# The head of a .blend of 5.0, which names frames 1 to 250: nothing is rendered here.
_SCENE = Path(__file__).resolve().parents[2] / "tests/fixtures/blends/5.0-plain-412900.head"


@dataclass(frozen=True)
class Measured:
    """Seconds of a job of so many frames, each the median of several."""

    frames: int
    accepted: float  # from the request to its answer
    waited: float  # from the answer until the function app takes the job up; 0: it was planned
    planned: float  # from then, or from the request, to the last row and message
    alone: float  # as many messages, and nothing else
    share: float  # of the emulator's own rate: the median of every round's

    @property
    def count(self) -> int:
        """How many batches there are."""
        return _batches(self.frames)

    def told(self) -> str:
        """Return it for people."""
        took = f"accepted and planned in {self.planned:.2f} s"
        if self.waited:
            took = (
                f"accepted in {self.accepted:.2f} s, taken up {self.waited:.2f} s later (the "
                "function host looks into a queue that has been empty for long every 2 s), planned "
                f"in {self.planned:.2f} s more"
            )
        return (
            f"A job of {self.frames:,} frames, rows and messages of {self.count:,} batches: "
            f"{took}. That is {self.share:.0%} of the emulator's raw rate of "
            f"{self.count / self.alone:.0f} messages/s."
        )


async def measured(folder: Path, *, rounds: int) -> list[Measured]:
    """Return what was measured, for each number of frames. Raises UnavailableError."""
    plan = farm.Plan(folder=folder, share=folder / "frames", blenders={"5.0": "none"}, workers=0)
    rows: list[list[Measured]] = []
    async with farm.running(plan) as running:

        async def measure() -> None:
            scene = await _upload(running)
            rows.extend(
                [[await _round(running, scene, count) for count in FRAMES] for _ in range(rounds)]
            )

        await running.beside(measure())
    return [_median(some) for some in zip(*rows, strict=True)]


def _median(some: Sequence[Measured]) -> Measured:
    _, *columns = zip(*map(dataclasses.astuple, some), strict=True)
    return Measured(some[0].frames, *map(statistics.median, columns))


def _batches(count: int) -> int:
    return -(-count // BATCH_SIZE)


async def _round(running: farm.Farm, scene: str, count: int) -> Measured:
    wanted = {"frames": f"1-{count}", "batch_size": BATCH_SIZE}
    accepted, waited, planned = await _submit(running, scene, wanted)
    alone = await _enqueue(running, _batches(count))
    return Measured(count, accepted, waited, planned, alone, share=alone / planned)


async def _upload(running: farm.Farm) -> str:
    async with blobs.BlobClient.from_connection_string(
        running.client.connection_string, settings.SCENES_CONTAINER, "api/bench/large.blend"
    ) as blob:
        await blob.upload_blob(_SCENE.read_bytes(), overwrite=True)
    return "api/bench/large.blend"


async def _submit(
    running: farm.Farm, scene: str, wanted: dict[str, object]
) -> tuple[float, float, float]:
    """Return the seconds that it took to accept, to take up, and to plan."""
    async with aiohttp.ClientSession() as http:
        began = time.monotonic()
        async with http.post(
            f"{running.client.http}/api/jobs", json={"scene": scene, "settings": wanted}
        ) as answer:
            text = await answer.text()
        answered = time.monotonic()
    if answer.status != 202:
        raise errors.UnavailableError(f"the API answered {answer.status}: {text}")
    job = json.loads(text)["job"]
    if job["state"] == "queued":
        return answered - began, 0.0, answered - began
    store = wiring.storage(_connection(running))
    due = store.clients.queues.get_queue_client(settings.DUE_JOBS_QUEUE)
    while await due.peek_messages():  # noqa: ASYNC110 a queue
        await asyncio.sleep(0.02)
    taken = time.monotonic()
    while (await store.jobs.get_job(job["id"])).row.state == "submitted":  # noqa: ASYNC110 a table
        await asyncio.sleep(0.05)
    queued = time.monotonic()
    await store.clients.close()
    return answered - began, taken - answered, queued - taken


def _connection(running: farm.Farm) -> settings.StorageConnection:
    given = {settings.STORAGE_CONNECTION: running.client.connection_string}
    return settings.StorageConnection.model_validate(given)


async def _enqueue(running: farm.Farm, count: int) -> float:
    """Put as many messages of the same size on a queue of their own, as quickly as the SDK can."""
    message = messages.BatchMessage(job="large-0123456789ab", batch=999, frames="9991-9998")
    text = messages.encode(message)
    async with queues.QueueClient.from_connection_string(
        running.client.connection_string, f"bench-{uuid.uuid4().hex[:8]}"
    ) as queue:
        await queue.create_queue()
        waiting = iter(range(count))

        async def send() -> None:
            for _ in waiting:
                await queue.send_message(text, time_to_live=-1)

        began = time.monotonic()
        await asyncio.gather(*(send() for _ in range(_AT_ONCE)))
        return time.monotonic() - began
