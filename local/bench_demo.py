"""What does the farm cost over plain Blender? Both render the demo's scene, in turn, in one run."""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from blendrop import errors
from blendrop.domain import frames, jobs
from local import blenders, demo_file, farm, foreground, pixel_compare

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / ".farm" / "bench-demo"
_PLAIN = Path(__file__).with_name("plain_blender.py")
_MOST = 1.25  # times plain Blender


async def main() -> int:
    """Print both times and their ratio; return 0 if it is low enough and all pixels are equal."""
    parser = argparse.ArgumentParser(prog="make bench-demo", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    installed = blenders.find(os.environ)
    scene = await demo_file.made(installed, _FOLDER)
    program = list(installed.values())[-1]
    farm_times, plain_times = [], []
    plan = farm.Plan(folder=_FOLDER, share=_FOLDER / "frames", blenders=installed)
    shutil.rmtree(plan.share, ignore_errors=True)
    async with farm.running(plan) as running:
        for _ in range(rounds):
            began = time.monotonic()
            job = await _by_farm(running, scene)
            farm_times.append(time.monotonic() - began)
            plain = _FOLDER / "plain"
            shutil.rmtree(plain, ignore_errors=True)
            plain.mkdir()
            began = time.monotonic()
            await _by_plain_blender(program, scene, plain)
            plain_times.append(time.monotonic() - began)
            print(f"farm {farm_times[-1]:.1f} s, plain {plain_times[-1]:.1f} s", flush=True)
    worst = _worst_difference(job, plan.share / job.id, plain)
    ratio = statistics.median(farm_times) / statistics.median(plain_times)
    cores = len(os.sched_getaffinity(0))
    print(
        f"{job.frame_count} frames on {cores} cores, median of {rounds}: farm with "
        f"{plan.workers} workers {statistics.median(farm_times):.1f} s, from upload to completed; "
        f"plain `blender -b -a` {statistics.median(plain_times):.1f} s; ratio {ratio:.2f} "
        f"(at most {_MOST}); largest pixel difference {worst}"
    )
    return 0 if ratio <= _MOST and worst == 0.0 else 1


async def _by_farm(running: farm.Farm, scene: Path) -> jobs.Job:
    last: list[jobs.Job] = []

    async def render() -> None:
        job_id = await running.client.upload(scene, {})
        last.extend([view.job async for view in running.client.follow(job_id)][-1:])

    await running.beside(render())
    if last[-1].state is not jobs.JobState.COMPLETED:
        raise errors.UnavailableError(f"job {last[-1].id} {last[-1].state}: {last[-1].reason}")
    return last[-1]


async def _by_plain_blender(program: str, scene: Path, folder: Path) -> None:
    if blenders.is_interpreter(program):
        command = [program, str(_PLAIN), str(scene), str(folder)]
    else:
        command = [program, "-b", "--factory-startup", str(scene), "-o", f"{folder}/", "-a"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if code := await process.wait():
        raise errors.UnavailableError(f"plain Blender left with code {code}")


def _worst_difference(job: jobs.Job, folder: Path, plain: Path) -> float:
    """Return the largest pixel difference between the farm's frames and plain Blender's."""
    numbers = [number for batch in job.batches() for number in batch]
    ours = [folder / frames.file_name(job.frame_pattern, number) for number in numbers]
    theirs = sorted(path for path in plain.iterdir())
    return max(
        pixel_compare.max_difference(one, other) for one, other in zip(ours, theirs, strict=True)
    )


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
