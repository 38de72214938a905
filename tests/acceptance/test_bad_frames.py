"""Are a few bad frames of many isolated, and a worker that was held for long harmless?"""

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from blendrop.domain import frames, jobs
from local import pixel_compare
from tests.chaos import audit, stand_in_blender
from tests.doubles import watched_farm
from tests.doubles.blend_file import head


async def test_three_bad_frames_of_two_hundred_fail_alone(tmp_path: Path) -> None:
    """Within the time of the good ones and the retries; the job names exactly these."""
    program = tmp_path / "blender"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in_blender.__file__} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    bad = {"17": "crash", "101": "damaged", "200": "wrong_size"}
    seconds = 0.05
    content = audit.scene("s", head(("S", 1, 200), version="5.0", large=True), bad, seconds)
    async with watched_farm.running(
        tmp_path / "farm", {"5.0": str(program)}, retry_seconds="0.5"
    ) as farm:
        began = time.monotonic()
        view = await farm.until(await farm.upload("shot.blend", content))
        took = time.monotonic() - began

        assert view.job.state is jobs.JobState.FAILED
        assert (view.frames_done, view.frames_failed) == (197, "17,101,200")
        assert view.job.reason.startswith("3 of 200 frames failed: 17, 101, 200.")
        by_frame = {one.frame: one for batch in view.batches for one in batch.failures}
        classes = {frame: one.failure_class for frame, one in by_frame.items()}
        assert classes == {17: "crash", 101: "damaged_image", 200: "wrong_image"}
        assert all(one.attempts == 3 and one.remedy for one in by_frame.values())
        good = [number for number in range(1, 201) if number not in by_frame]
        assert farm.times_rendered(view.job.id) == dict.fromkeys(good, 1)
        names = {frames.file_name(view.job.frame_pattern, number) for number in good}
        standing = {path.name for path in (farm.share / view.job.id).iterdir() if path.is_file()}
        assert standing == names
        # Two workers; two delays of 0.5 and 1 s; a new Blender after each crash.
        assert took < 200 * seconds / 2 + 12


async def test_a_worker_held_for_three_leases_does_no_harm(
    tmp_path: Path, installed_blenders: Mapping[str, str], scene: Callable[[str], Path]
) -> None:
    """Another finishes; what the first one then has in hand changes nothing."""
    slow = {"engine": "CYCLES", "samples": "1200", "resolution_percent": "300"}
    async with watched_farm.running(tmp_path, installed_blenders, lease_seconds="3") as farm:
        content = scene("tiny").read_bytes()
        job_id = await farm.upload("held.blend", content, frames="1-8", batch_size="8", **slow)
        under_way = await farm.until(job_id, lambda view: view.frames_done >= 2)
        held = farm.running.workers[under_way.batches[0].worker]
        os.kill(held.process.pid, signal.SIGSTOP)
        await asyncio.sleep(9)
        os.kill(held.process.pid, signal.SIGCONT)
        view = await farm.until(job_id)
        folder = farm.share / job_id
        whole = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
        again = await farm.until(
            await farm.upload("held.blend", content, frames="1-8", batch_size="8", **slow)
        )
        await asyncio.sleep(1)

        assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
        assert len(whole) == 8
        assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")} == whole
        for name in whole:
            other = farm.share / again.job.id / name
            assert pixel_compare.max_difference(folder / name, other) == 0.0
        assert not list(farm.share.rglob(".part-*"))
        assert held.process.returncode is None
        lost = [line for line in farm.log_lines("worker-*.log") if line["event"] == "lease_lost"]
        assert {line["worker"] for line in lost} == {under_way.batches[0].worker}
