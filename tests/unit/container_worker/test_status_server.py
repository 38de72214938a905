"""What does a worker answer on its own port, by real HTTP?"""

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import structlog
from prometheus_client import parser

from blendrop import errors
from blendrop.domain import batches, workers
from blendrop.usecases import render
from container_worker import status_server
from container_worker.activity import Activity
from container_worker.metrics import Metrics
from tests.doubles.clock import START, ManualClock
from tests.doubles.workers import a_worker

_DOCKERFILE = Path(__file__).parents[3] / "container_worker" / "Dockerfile"
BATCH = batches.Batch(job="shot-00000000000a", number=7, frames="29-32", attempt=2, worker="w1")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Asked:
    """A worker that is being asked."""

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self.port = port
        self.clock = ManualClock()
        self.metrics = Metrics()
        starting = a_worker(state=workers.WorkerState.STARTING)
        self.activity = Activity(starting, clock=self.clock, metrics=self.metrics)
        self._http = http

    async def get(self, path: str) -> tuple[int, Any, str | None]:
        """Return status, JSON body and Retry-After."""
        async with self._http.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status, await answer.json(), answer.headers.get("Retry-After")

    async def samples(self) -> dict[str, float]:
        """Return what Prometheus would read, each sample with its labels."""
        async with self._http.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            text = await answer.text()
        return {
            f"{one.name}{sorted(one.labels.items())}" if one.labels else one.name: one.value
            for family in parser.text_string_to_metric_families(text)
            for one in family.samples
        }


@pytest_asyncio.fixture
async def asked() -> AsyncIterator[Asked]:
    """Return a worker that has just started, and answers."""
    async with aiohttp.ClientSession() as http:
        worker = Asked(free_port(), http)
        async with status_server.serving(
            worker.activity, worker.metrics, host="127.0.0.1", port=worker.port
        ):
            yield worker


async def test_a_worker_is_ready_once_blender_is_warm(asked: Asked) -> None:
    """And no more when it leaves; it is well all the while."""
    assert await asked.get("/readyz") == (
        503,
        {"status": "starting", "reason": "Blender is not warm yet"},
        None,
    )
    asked.activity.ready()
    assert (await asked.get("/readyz"))[0] == 200
    asked.activity.batch_begun(BATCH, frames_left=4)
    assert (await asked.get("/readyz"))[0] == 200
    asked.activity.leaving("asked to stop")
    assert await asked.get("/readyz") == (
        503,
        {"status": "leaving", "reason": "asked to stop"},
        None,
    )
    assert await asked.get("/healthz") == (200, {"status": "ok"}, None)


async def test_a_worker_that_stands_by_is_ready_and_says_for_whom(asked: Asked) -> None:
    """It could go on at any time; and what it says of the storage is not lost over that."""
    asked.activity.ready()
    since = (await asked.get("/status"))[1]["since"]
    await asked.clock.advance(5)
    asked.activity.standing_by("w2 needs the cores of this machine")
    await asked.clock.advance(5)
    asked.activity.standing_by("w2 needs the cores of this machine")

    status, body, retry_after = await asked.get("/status")
    assert (status, body["state"], retry_after) == (200, "standby", None)
    assert body["waits_for"] == "w2 needs the cores of this machine"
    assert (since, body["since"]) == ("2026-01-02T03:04:05Z", "2026-01-02T03:04:10Z")
    assert (await asked.get("/readyz"))[0] == 200
    asked.activity.standing_by("")
    body = (await asked.get("/status"))[1]
    assert (body["state"], body["waits_for"]) == ("idle", "")
    asked.activity.waiting("the storage answered 403")
    asked.activity.standing_by("")
    assert (await asked.get("/status"))[1]["waits_for"] == "the storage answered 403"
    asked.activity.leaving("asked to stop")
    asked.activity.standing_by("w2 needs the cores of this machine")
    assert (await asked.get("/status"))[1]["state"] == "leaving"


async def test_a_worker_that_is_to_be_replaced_says_why(asked: Asked) -> None:
    """For whoever restarts it."""
    asked.activity.ready()
    asked.activity.left("every frame of 3 jobs in a row failed here", unfit=True)
    assert await asked.get("/healthz") == (
        503,
        {"status": "unfit", "reason": "every frame of 3 jobs in a row failed here"},
        None,
    )


async def test_a_busy_worker_says_what_it_renders_and_when_to_ask_again(asked: Asked) -> None:
    """Before the first frame nobody knows; then by what the frames have taken."""
    asked.activity.ready()
    status, body, retry_after = await asked.get("/status")
    assert (status, body["state"], body["rendering"], retry_after) == (200, "idle", None, None)

    await asked.clock.advance(5)
    asked.activity.batch_begun(BATCH, frames_left=4)
    asked.activity.frame_begun(29)
    assert (await asked.get("/status"))[::2] == (503, "5")
    await asked.clock.advance(10)
    asked.activity.frame_done(BATCH, 29, seconds=9.5)
    asked.activity.frame_begun(30)
    asked.activity.waiting("the frame share is full")

    status, body, retry_after = await asked.get("/status")
    assert (status, body["state"], retry_after) == (503, "rendering", "29")
    assert body["rendering"] == {
        "job": "shot-00000000000a",
        "batch": 7,
        "frames": "29-32",
        "attempt": 2,
        "since": "2026-01-02T03:04:10Z",
        "frames_done": 1,
        "frames_left": 3,
        "frame": 30,
        "frame_since": "2026-01-02T03:04:20Z",
    }
    assert body["waits_for"] == "the frame share is full"
    asked.activity.message_left(render.Outcome.DONE)
    status, body, _ = await asked.get("/status")
    assert (status, body["waits_for"]) == (200, "")


@pytest.mark.parametrize(
    "before", [{"number": 6}, {"job": "shot-00000000000b"}], ids=["another-batch", "another-job"]
)
async def test_the_last_frame_of_the_batch_before_is_not_counted_to_this_one(
    asked: Asked, before: Mapping[str, object]
) -> None:
    """It is verified and published while Blender is at this one's first."""
    earlier = BATCH.model_copy(update=before)
    asked.activity.ready()
    asked.activity.batch_begun(BATCH, frames_left=4)
    asked.activity.frame_begun(29)
    asked.activity.frame_done(earlier, 29, seconds=9.5)
    asked.activity.frame_failed(earlier, 29, errors.FailureClass.DAMAGED_IMAGE, seconds=2.5)

    _, body, retry_after = await asked.get("/status")
    now = body["rendering"]
    assert (now["frames_done"], now["frames_left"], now["frame"]) == (0, 4, 29)
    assert retry_after == "5"  # as long as none of its own frames is known


async def test_what_is_done_is_counted(asked: Asked) -> None:
    """With standard names and units, few labels, and zeros from the start."""
    asked.metrics.watch_memory(lambda: 12_345)
    before = await asked.samples()
    assert before["blendrop_worker_frames_total[('failure_class', ''), ('result', 'done')]"] == 0
    assert before["blendrop_worker_busy"] == 0

    asked.activity.ready()
    asked.activity.message_received(waited=7.5, deliveries=1)
    asked.activity.message_received(waited=3600, deliveries=2)
    asked.activity.batch_begun(BATCH, frames_left=4)
    asked.activity.scene_found(cached=False)
    asked.activity.scene_found(cached=True)
    asked.activity.scene_opened(seconds=0.3)
    asked.metrics.called("queue", "Put Message", 201)
    asked.metrics.called("queue", "Put Message", 0)
    asked.activity.frame_begun(29)
    asked.activity.frame_done(BATCH, 29, seconds=3)
    asked.activity.frame_begun(30)
    asked.activity.frame_failed(BATCH, 30, errors.FailureClass.OUT_OF_MEMORY, seconds=2.5)
    asked.activity.lease_renewed()
    asked.activity.lease_renewal_failed()
    assert (await asked.samples())["blendrop_worker_busy"] == 1
    asked.activity.message_left(render.Outcome.LEASE_LOST)

    after = await asked.samples()
    frames = "blendrop_worker_frames_total"
    expected = {
        f"{frames}[('failure_class', ''), ('result', 'done')]": 1,
        f"{frames}[('failure_class', 'out_of_memory'), ('result', 'failed')]": 1,
        "blendrop_worker_frame_render_seconds_count": 1,
        "blendrop_worker_frame_render_seconds_sum": 3,
        "blendrop_worker_frame_render_seconds_bucket[('le', '2.0')]": 0,
        "blendrop_worker_frame_render_seconds_bucket[('le', '5.0')]": 1,
        "blendrop_worker_scene_load_seconds_count": 1,
        "blendrop_worker_lease_renewals_total[('result', 'renewed')]": 1,
        "blendrop_worker_lease_renewals_total[('result', 'failed')]": 1,
        "blendrop_worker_leases_lost_total": 1,
        "blendrop_worker_batches_total[('outcome', 'lease_lost')]": 1,
        "blendrop_worker_busy": 0,
        "blendrop_worker_queue_wait_seconds_count": 1,
        "blendrop_worker_queue_wait_seconds_sum": 7.5,
        "blendrop_worker_redeliveries_total": 1,
        "blendrop_worker_wasted_seconds_total": 2.5,
        "blendrop_worker_scene_lookups_total[('result', 'hit')]": 1,
        "blendrop_worker_scene_lookups_total[('result', 'miss')]": 1,
    }
    calls = "blendrop_worker_storage_calls_total"
    for status in ("0", "201"):
        labels = [("operation", "Put Message"), ("service", "queue"), ("status", status)]
        expected[f"{calls}[{', '.join(map(str, labels))}]"] = 1
    assert {name: after[name] for name in expected} == expected
    assert after["blendrop_worker_blender_memory_bytes"] == 12_345


async def test_a_worker_that_leaves_stays_one_that_leaves() -> None:
    """Whatever becomes of the batch that it still holds."""
    activity = Activity(a_worker(), clock=ManualClock(), metrics=Metrics())
    activity.batch_begun(BATCH, frames_left=4)
    activity.leaving("asked to stop")
    held = activity.worker()
    activity.message_left(render.Outcome.STOPPED)
    gone = activity.worker()

    assert (held.state, held.rendering is None) == (workers.WorkerState.LEAVING, False)
    assert (gone.state, gone.rendering) == (workers.WorkerState.LEAVING, None)
    activity.left("asked to stop")
    activity.leaving("asked again")
    assert activity.worker().left_because == "asked to stop"
    assert activity.worker().since == START


async def test_a_port_that_is_taken_stops_no_worker(
    asked: Asked,
) -> None:
    """The log says what to do, and rendering goes on."""
    reached = False
    with structlog.testing.capture_logs() as logs:
        async with status_server.serving(
            asked.activity, asked.metrics, host="127.0.0.1", port=asked.port
        ):
            reached = True
    assert reached
    (told,) = logs
    assert told["log_level"] == "error"
    assert "BLENDROP_STATUS_PORT" in told["reason"]
    assert (await asked.get("/healthz"))[0] == 200


async def test_a_worker_without_a_port_renders_all_the_same() -> None:
    """0: none."""
    activity = Activity(a_worker(), clock=ManualClock(), metrics=Metrics())
    reached = False
    async with status_server.serving(activity, Metrics(), host="127.0.0.1", port=0):
        reached = True
    assert reached


async def test_the_images_health_check_asks_that_port(asked: Asked) -> None:
    """It is run here as Docker would run it."""
    image = _DOCKERFILE.read_text()
    found = re.search(r"^HEALTHCHECK (?:.*\\\n)*\s+CMD (.*)$", image, re.MULTILINE)
    assert found is not None
    command = json.loads(found.group(1))
    assert command[0] == "python"

    async def checked() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command[1:],
            env={**os.environ, "BLENDROP_STATUS_PORT": str(asked.port)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()

    assert await checked() == 0
    asked.activity.left("it is broken", unfit=True)
    assert await checked() != 0
