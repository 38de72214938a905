"""How long does a job of 10,000 frames take to be accepted, and what share of that is the queue's?

Measured in turn, in one run: the time from the request to its answer, when every batch has its row
and its message, and the storage emulator's own rate for as many messages, by a plain loop of the
same SDK.
"""

import argparse
import asyncio
import statistics
import sys
import time
import uuid
from pathlib import Path

import aiohttp
from azure.storage.blob import aio as blobs
from azure.storage.queue import aio as queues

from blendrop import errors, settings
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
    accepted, raw = [], []
    async with farm.running(plan) as running:

        async def measure() -> None:
            scene = await _upload(running)
            for _ in range(chosen.rounds):
                accepted.append(await _submit(running, scene, chosen.frames, chosen.batch_size))
                raw.append(await _enqueue(running, count))
                print(
                    f"accepted in {accepted[-1]:.2f} s; {count} messages alone {raw[-1]:.2f} s",
                    flush=True,
                )

        await running.beside(measure())
    median, alone = statistics.median(accepted), statistics.median(raw)
    print(
        f"{chosen.frames} frames in {count} batches, median of {chosen.rounds}: accepted, with "
        f"every row and message written, in {median:.2f} s (at most {_MOST_SECONDS:g}); planned "
        f"and enqueued at {alone / median:.0%} of the emulator's raw rate of "
        f"{count / alone:.0f} messages/s"
    )
    return int(median > _MOST_SECONDS)


async def _upload(running: farm.Farm) -> str:
    async with blobs.BlobClient.from_connection_string(
        running.client.connection_string, settings.SCENES_CONTAINER, "api/bench/large.blend"
    ) as blob:
        await blob.upload_blob(_SCENE.read_bytes(), overwrite=True)
    return "api/bench/large.blend"


async def _submit(running: farm.Farm, scene: str, frames: int, batch_size: int) -> float:
    wanted = {"frames": f"1-{frames}", "batch_size": batch_size}
    async with aiohttp.ClientSession() as http:
        began = time.monotonic()
        async with http.post(
            f"{running.client.http}/api/jobs", json={"scene": scene, "settings": wanted}
        ) as answer:
            text = await answer.text()
        seconds = time.monotonic() - began
    if answer.status != 202:
        raise errors.UnavailableError(f"the API answered {answer.status}: {text}")
    return seconds


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
