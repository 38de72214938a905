"""How long does a job of 10,000 frames take to be accepted, and how long until it is planned?

Measured in turn, in one run: the time from the request to its answer, the time until every batch
has its row and its message, and the storage emulator's own rate for as many messages, by a plain
loop of the same SDK.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
import uuid
from pathlib import Path

import aiohttp
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import errors, settings, wiring
from blendrop.domain import messages
from local import farm, foreground

_FOLDER = Path(__file__).resolve().parents[1] / ".farm" / "bench-submit"
_AT_ONCE = 32
_MOST_SECONDS = 2.0
# The head of a .blend of 5.0, which names frames 1 to 250: nothing is rendered here.
_SCENE = Path(__file__).resolve().parents[1] / "tests/fixtures/blends/5.0-plain-412900.head"


async def main() -> int:
    """Print the figures; return 0 if a job is accepted in time."""
    parser = argparse.ArgumentParser(prog="make bench-submit", description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    count = -(-chosen.frames // chosen.batch_size)
    plan = farm.Plan(folder=_FOLDER, share=_FOLDER / "frames", blenders={"5.0": "none"}, workers=0)
    accepted, planned, raw = [], [], []
    async with farm.running(plan) as running:

        async def measure() -> None:
            scene = await _upload(running)
            for _ in range(chosen.rounds):
                wanted = {"frames": f"1-{chosen.frames}", "batch_size": chosen.batch_size}
                answered, queued = await _submit(running, scene, wanted)
                accepted.append(answered)
                planned.append(queued)
                raw.append(await _enqueue(running, count))
                print(
                    f"accepted in {answered:.2f} s, planned in {queued:.2f} s; {count} messages "
                    f"alone {raw[-1]:.2f} s",
                    flush=True,
                )

        await running.beside(measure())
    answered, queued = statistics.median(accepted), statistics.median(planned)
    alone = statistics.median(raw)
    print(
        f"{chosen.frames} frames in {count} batches, median of {chosen.rounds}: accepted in "
        f"{answered:.2f} s (at most {_MOST_SECONDS:g}); every row and message written after "
        f"{queued:.2f} s, which is {alone / queued:.0%} of the emulator's raw rate of "
        f"{count / alone:.0f} messages/s"
    )
    return int(answered > _MOST_SECONDS)


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


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
