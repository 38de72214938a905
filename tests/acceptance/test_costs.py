"""Is a job of a real farm held before it costs more than it may, and is every second somebody's?"""

import asyncio
import json
import stat
import sys
from pathlib import Path

import httpx

from blendrop.domain import batches, jobs
from tests.chaos import audit, stand_in_blender
from tests.doubles import watched_farm
from tests.doubles.blend_file import head
from tests.doubles.watched_farm import SeenJob, WatchedFarm

_FRAMES = 60
_DEAR = json.dumps({"worker_hour": 3600})  # 1 for a second


async def test_a_job_is_held_before_it_costs_more_than_it_may(tmp_path: Path) -> None:
    """It says why, goes on only when it may cost more, and no frame is rendered twice."""
    program = tmp_path / "blender"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in_blender.__file__} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    content = audit.scene("s", head(("S", 1, _FRAMES), version="5.0", large=True), {}, 0.2)
    async with watched_farm.running(
        tmp_path / "farm", {"5.0": str(program)}, prices=_DEAR, heartbeat_seconds="1"
    ) as farm:
        # The frames alone take 12 s of a worker.
        job_id = await farm.upload("shot.blend", content, batch_size="3", max_cost="6")
        held = await farm.until(job_id, lambda view: view.job.state is jobs.JobState.PAUSED)
        assert held.job.state is jobs.JobState.PAUSED
        assert held.job.held_at is not None
        assert held.job.held_at > 6
        assert f"to cost {held.job.held_at:.4g} USD, and may cost 6 (max_cost)" in held.job.reason
        await farm.until_empty("render-batches")
        still = await farm.look(job_id)
        assert 0 < still.frames_done < _FRAMES / 2
        assert not [one for one in still.batches if one.state is batches.BatchState.RENDERING]

        async with httpx.AsyncClient(base_url=f"{farm.running.client.http}/api") as api:
            refused = await api.post(f"/jobs/{job_id}/resume")
            assert refused.status_code == 409
            assert "max_cost" in refused.json()["detail"]
            resumed = await api.post(f"/jobs/{job_id}/resume", json={"max_cost": 1000})
            assert (resumed.status_code, resumed.json()["job"]["state"]) == (200, "queued")
        done = await farm.until(job_id)

        assert done.job.state is jobs.JobState.COMPLETED
        assert farm.times_rendered(job_id) == dict.fromkeys(range(1, _FRAMES + 1), 1)
        assert done.cost is not None
        assert done.cost.projected is not None
        assert done.cost.so_far >= _FRAMES * 0.2
        assert abs(done.cost.so_far - done.used.worker_seconds) < 0.01
        assert done.used.transactions["queue_class_2"] >= 20
        await _until_charged(farm, done)


async def _until_charged(farm: WatchedFarm, job: SeenJob) -> None:
    """Wait until the workers say that they have charged what the job's rows say."""
    on_rows = sum(one.used.worker_seconds for one in job.batches)
    assert job.used.worker_seconds == round(on_rows, 3)
    async with (
        asyncio.timeout(20),
        httpx.AsyncClient(base_url=f"{farm.running.client.http}/api") as api,
    ):
        charged = 0.0
        while abs(charged - on_rows) > 0.01:
            await asyncio.sleep(0.2)
            workers = (await api.get("/workers")).json()["workers"]
            charged = sum(one["charged_seconds"] for one in workers)
    assert len(workers) == 2
