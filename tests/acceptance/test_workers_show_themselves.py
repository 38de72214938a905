"""Does a real farm say what its workers are at, and why one is thought dead?"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import parser

from blendrop import settings, wiring
from blendrop.domain import jobs
from blendrop.usecases import farm as usecase
from local import blenders, farm_storage
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).parents[2]
# Slow enough to be asked in mid-batch: about half a second for each frame.
SLOW = {"engine": "CYCLES", "samples": "800", "resolution_percent": "300"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm of one worker, whose heart beats every second."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder, installed_blenders, workers=1, lease_seconds="3", heartbeat_seconds="1"
    ) as started:
        yield started


async def asked(address: str) -> tuple[int, Mapping[str, str], str]:
    """Return status, headers and body of an answer."""
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        return answer.status, answer.headers, await answer.text()


async def status(farm: WatchedFarm) -> tuple[int, Mapping[str, str], dict[str, Any]]:
    """Return what the worker says of itself on its own port."""
    code, headers, text = await asked(f"{farm.running.status_addresses['worker-1']}/status")
    return code, headers, json.loads(text)


async def measured(farm: WatchedFarm, **labels: str) -> Mapping[str, float]:
    """Return what Prometheus would read of the worker, of these labels' values if it has them."""
    _, _, text = await asked(f"{farm.running.status_addresses['worker-1']}/metrics")
    return {
        one.name: one.value
        for family in parser.text_string_to_metric_families(text)
        for one in family.samples
        if all(one.labels.get(name, value) == value for name, value in labels.items())
    }


async def frames_done(farm: WatchedFarm) -> float:
    """Return how many frames the worker counts."""
    return (await measured(farm, result="done"))["blendrop_worker_frames_total"]


async def farm_view(farm: WatchedFarm) -> usecase.FarmView:
    """Return the farm at a glance."""
    code, _, text = await asked(f"{farm.running.client.http}/api/farm")
    assert code == 200, text
    return usecase.FarmView.model_validate_json(text)


async def workers(farm: WatchedFarm) -> tuple[usecase.WorkerView, ...]:
    """Return the workers as the HTTP API lists them."""
    code, _, text = await asked(f"{farm.running.client.http}/api/workers")
    assert code == 200, text
    return usecase.WorkersView.model_validate_json(text).workers


async def thought_dead(farm: WatchedFarm) -> list[usecase.WorkerView]:
    """Return the workers that are thought dead."""
    return [one for one in await workers(farm) if not one.live]


async def told_to_render(farm: WatchedFarm, job_id: str) -> bool:
    """Tell whether some worker has told the farm that it renders a job."""
    held = [one.rendering for one in await workers(farm)]
    return any(one is not None and one.job == job_id for one in held)


async def test_a_worker_is_busy_while_it_renders_and_counts_its_frames(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """On its own port at once; in the farm's table soon after."""
    idle, _, row = await status(farm)
    assert (idle, row["state"], row["rendering"]) == (200, "idle", None)
    before = await frames_done(farm)
    (registered,) = await workers(farm)
    assert registered.live
    assert registered.status_address == farm.running.status_addresses["worker-1"]
    assert registered.cpus >= 1
    nothing = await farm_view(farm)
    assert (nothing.workers_live, nothing.workers_busy, nothing.queue_depth) == (1, 0, 0)
    assert nothing.why_nothing_renders == "nothing waits"

    job_id = await farm.upload(
        "busy.blend", scene("tiny").read_bytes(), frames="1-6", batch_size="6", **SLOW
    )
    await farm.until(job_id, lambda view: view.frames_done >= 2)
    busy, headers, row = await status(farm)
    assert busy == 503
    assert int(headers["Retry-After"]) >= 1
    assert (row["rendering"]["job"], row["rendering"]["frames"]) == (job_id, "1-6")
    assert row["rendering"]["attempt"] == 1
    assert row["rendering"]["frames_done"] >= 1
    seen = await farm_view(farm)
    assert (seen.workers_busy, seen.open_jobs, seen.why_nothing_renders) == (1, 1, "")

    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    async with asyncio.timeout(5):  # the message is deleted last, after the job has ended
        while (await status(farm))[0] != 200:  # noqa: ASYNC110 another process sets no event
            await asyncio.sleep(0.05)
    assert await frames_done(farm) - before == 6
    numbers = await measured(farm, outcome="done")
    assert numbers["blendrop_worker_batches_total"] == 1
    assert numbers["blendrop_worker_frame_render_seconds_count"] == 6
    assert numbers["blendrop_worker_scene_load_seconds_count"] == 1
    assert numbers["blendrop_worker_blender_memory_bytes"] > 50 * 2**20
    assert numbers["blendrop_worker_busy"] == 0


async def test_a_killed_worker_is_thought_dead_and_its_end_is_told(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """Though another took its name at once."""
    job_id = await farm.upload(
        "killed.blend", scene("tiny").read_bytes(), frames="1-4", batch_size="4", **SLOW
    )
    async with asyncio.timeout(15):
        while not await told_to_render(farm, job_id):  # noqa: ASYNC110 as above
            await asyncio.sleep(0.1)
    os.kill(farm.running.workers["worker-1"].process.pid, signal.SIGKILL)

    async with asyncio.timeout(15):
        while not await thought_dead(farm):  # noqa: ASYNC110 as above
            await asyncio.sleep(0.1)

    (one,) = await thought_dead(farm)
    assert one.name == "worker-1"
    assert one.why_dead.startswith("last heard from ")
    assert f" s ago while it rendered batch 0 of job {job_id}" in one.why_dead
    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    first, *_ = await workers(farm)
    assert (first.name, first.live) == ("worker-1", True)


async def test_a_worker_that_is_asked_to_stop_says_so(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """At once, while it finishes its frame; and it was not lost, so that nobody looks for it."""
    slower = SLOW | {"samples": "4000"}
    await farm.upload("left.blend", scene("tiny").read_bytes(), frames="1", **slower)
    async with asyncio.timeout(15):
        while (await status(farm))[2]["state"] != "rendering":  # noqa: ASYNC110 as above
            await asyncio.sleep(0.05)
    stopped = farm.running.workers["worker-1"]
    address = farm.running.status_addresses["worker-1"]
    stopped.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        while (answer := await asked(f"{address}/readyz"))[0] == 200:  # noqa: ASYNC110 as above
            await asyncio.sleep(0.02)
    assert json.loads(answer[2]) == {"status": "leaving", "reason": "asked to stop"}
    assert await asyncio.wait_for(stopped.process.wait(), 20) == 0

    assert "left: asked to stop" in [one.why_dead for one in await workers(farm)]


async def life(storage_account: str, tmp_path: Path, **given: str) -> tuple[int, str]:
    """Let a worker of a farm without work live; return its exit code, and what its row says."""
    await farm_storage.create(storage_account)
    name = given["BLENDROP_WORKER_NAME"]
    given |= {
        "BLENDROP_STORAGE": storage_account,
        "BLENDROP_FRAME_SHARE": str(tmp_path),
        "BLENDROP_SCRATCH": str(tmp_path),
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "container_worker",
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], **given},
        stdout=asyncio.subprocess.DEVNULL,
    )
    code = await asyncio.wait_for(worker.wait(), 30)

    store = wiring.storage(settings.read(settings.WorkerSettings, given).storage)
    try:
        shown = await usecase.show_workers(wiring.watching(store))
    finally:
        await store.clients.close()
    (one,) = [one for one in shown.workers if one.name == name]
    return code, one.why_dead


async def test_a_worker_that_cannot_start_says_why(storage_account: str, tmp_path: Path) -> None:
    """Where people look, and not in its log alone."""
    code, why = await life(
        storage_account,
        tmp_path,
        BLENDROP_BLENDERS="5.0=/nowhere/blender",
        BLENDROP_WORKER_NAME="unstartable",
    )
    assert code == 1
    assert why.startswith("left: crash: Blender cannot be started as /nowhere/blender")


async def test_a_worker_that_was_idle_for_too_long_says_so(
    storage_account: str, tmp_path: Path, installed_blenders: Mapping[str, str]
) -> None:
    """Its container ends well, and is not started anew."""
    version, program = blenders.newest(installed_blenders)
    code, why = await life(
        storage_account,
        tmp_path,
        BLENDROP_BLENDERS=f"{version}={program}",
        BLENDROP_WORKER_NAME="idle",
        BLENDROP_IDLE_SECONDS="0.5",
    )
    assert (code, why) == (0, "left: idle for its idle time, 0.5 s")
