"""How long does a job of 10,000 frames take to be accepted, and how long until it is planned?

Measured in turn, in one run: the time from the request to its answer, the time until every batch
has its row and its message, and the storage emulator's own rate for as many messages, by a plain
loop of the same SDK.
"""

import asyncio
import json
import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import errors, settings, wiring
from blendrop.domain import messages
from local import farm

FRAMES, BATCH_SIZE = 10_000, 8
_AT_ONCE = 32
# The head of a .blend of 5.0, which names frames 1 to 250: nothing is rendered here.
_SCENE = Path(__file__).resolve().parents[2] / "tests/fixtures/blends/5.0-plain-412900.head"


@dataclass(frozen=True)
class Measured:
    """Seconds, each the median of several."""

    accepted: float  # from the request to its answer
    planned: float  # from the request to the last row and message
    alone: float  # as many messages, and nothing else
    share: float  # of the emulator's own rate: the median of every round's

    @property
    def count(self) -> int:
        """How many batches there are."""
        return -(-FRAMES // BATCH_SIZE)

    def told(self) -> str:
        """Return it for people."""
        return (
            f"{FRAMES} frames in {self.count} batches: accepted in {self.accepted:.2f} s, planned "
            f"in {self.planned:.2f} s, which is {self.share:.0%} of the emulator's raw rate of "
            f"{self.count / self.alone:.0f} messages/s"
        )


async def measured(folder: Path, *, rounds: int) -> Measured:
    """Return what was measured. Raises UnavailableError."""
    plan = farm.Plan(folder=folder, share=folder / "frames", blenders={"5.0": "none"}, workers=0)
    accepted, planned, alone = [], [], []
    async with farm.running(plan) as running:

        async def measure() -> None:
            scene = await _upload(running)
            wanted = {"frames": f"1-{FRAMES}", "batch_size": BATCH_SIZE}
            for _ in range(rounds):
                answered, queued = await _submit(running, scene, wanted)
                accepted.append(answered)
                planned.append(queued)
                alone.append(await _enqueue(running, -(-FRAMES // BATCH_SIZE)))

        await running.beside(measure())
    shares = [raw / queued for raw, queued in zip(alone, planned, strict=True)]
    medians = (statistics.median(one) for one in (accepted, planned, alone, shares))
    return Measured(*medians)


async def _upload(running: farm.Farm) -> str:
    async with blobs.BlobClient.from_connection_string(
        running.client.connection_string, settings.SCENES_CONTAINER, "api/bench/large.blend"
    ) as blob:
        await blob.upload_blob(_SCENE.read_bytes(), overwrite=True)
    return "api/bench/large.blend"


async def _submit(running: farm.Farm, scene: str, wanted: dict[str, object]) -> tuple[float, float]:
    """Return the seconds until the answer, and until the job is queued."""
    async with aiohttp.ClientSession() as http:
        began = time.monotonic()
        async with http.post(
            f"{running.client.http}/api/jobs", json={"scene": scene, "settings": wanted}
        ) as answer:
            text = await answer.text()
        answered = time.monotonic() - began
    if answer.status != 202:
        raise errors.UnavailableError(f"the API answered {answer.status}: {text}")
    store = wiring.storage(_connection(running))
    job_id = json.loads(text)["job"]["id"]
    while (await store.jobs.get_job(job_id)).row.state == "submitted":  # noqa: ASYNC110 a table
        await asyncio.sleep(0.05)
    queued = time.monotonic() - began
    await store.clients.close()
    return answered, queued


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
