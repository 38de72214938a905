"""Do two workers on one machine get in each other's way?"""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from blendrop.domain import jobs
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

SLOW = {"engine": "CYCLES", "samples": "600", "resolution_percent": "300"}


async def states(farm: WatchedFarm) -> dict[str, tuple[str, str]]:
    """Return what each worker says it is at, and what it waits for."""
    found: dict[str, tuple[str, str]] = {}
    async with aiohttp.ClientSession() as http:
        for name, address in farm.running.status_addresses.items():
            async with http.get(f"{address}/status") as answer:
                row = await answer.json()
                found[name] = (row["state"], row["waits_for"])
    return found


async def test_one_renders_while_the_other_stands_by_and_goes_on_where_it_hangs(
    tmp_path: Path, installed_blenders: Mapping[str, str], scene: Callable[[str], Path]
) -> None:
    """The scene is opened once; and no worker that hangs is waited for."""
    async with watched_farm.running(
        tmp_path, installed_blenders, apart=False, lease_seconds="3"
    ) as farm:
        content = scene("tiny").read_bytes()
        job_id = await farm.upload("one.blend", content, frames="1-8", batch_size="1", **SLOW)
        under_way = await farm.until(job_id, lambda view: view.frames_done >= 2)
        at_work = under_way.workers[0].worker
        seen = await states(farm)
        view = await farm.until(job_id)

        (standing_by,) = set(seen) - {at_work}
        assert seen[at_work] == ("rendering", "")
        state, reason = seen[standing_by]
        assert state == "standby"
        assert reason.startswith(f"{at_work} needs the cores of this machine (")
        assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
        lines = farm.log_lines("worker-*.log")
        opened = [line["worker"] for line in lines if line["event"] == "scene_opened"]
        assert opened == [at_work]
        assert farm.times_rendered(job_id) == dict.fromkeys(range(1, 9), 1)

        again = await farm.upload("two.blend", content, frames="1-8", batch_size="1", **SLOW)
        await farm.until(again, lambda view: view.frames_done >= 2)
        assert (await states(farm))[at_work][0] == "rendering"  # whoever rendered last
        hangs = farm.running.workers[at_work].process.pid
        os.kill(hangs, signal.SIGSTOP)
        view = await farm.until(again)
        os.kill(hangs, signal.SIGCONT)
        assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
        assert standing_by in {batch.worker for batch in view.batches}
        assert sorted(farm.times_rendered(again)) == list(range(1, 9))
