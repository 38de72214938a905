"""What does the farm do with a scene? Rendered from upload to verified frames, on this machine."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from blendrop import errors
from blendrop.domain import frames, jobs
from blendrop.usecases import show
from local import blenders, contact_sheet, demo_file, farm, foreground, job_progress

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / ".farm" / "demo"
_SHARE = _ROOT / "frames"


async def main() -> int:
    """Render one scene; return 0 if every frame was rendered and verified."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--scene", type=Path, help="a .blend; without it, a scene of our own")
    parser.add_argument("--frames", default="", help="like 1-20; without it, what the .blend says")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    installed = blenders.find(os.environ)
    if not installed:
        raise errors.UnavailableError("there is no Blender; run `make setup`, which brings one")
    scene = _checked(chosen.scene) if chosen.scene else await demo_file.made(installed, _FOLDER)
    print(f"starting storage emulator, function app and {chosen.workers} workers", flush=True)
    plan = farm.Plan(
        folder=_FOLDER,
        share=_SHARE,
        blenders=installed,
        workers=chosen.workers,
        settings={name: value for name, value in os.environ.items() if name.startswith("BLENDROP")},
    )
    ended: list[show.JobView] = []
    async with farm.running(plan) as running:

        async def render() -> None:
            print(f"uploading {scene}", flush=True)
            metadata = {"frames": chosen.frames} if chosen.frames else {}
            job_id = await running.client.upload(scene, metadata)
            ended.append(await job_progress.watch(running.client.follow(job_id)))

        await running.beside(render())
    return await asyncio.to_thread(_report, ended[-1])


def _checked(scene: Path) -> Path:
    if scene.is_file() and scene.suffix.lower() == ".blend":
        return scene
    raise errors.InvalidRequestError(
        errors.Problem(
            pointer="SCENE",
            value=str(scene),
            reason="there is no such file" if not scene.is_file() else "its name is not *.blend",
            remedy="Give the path of a .blend file, like SCENE=~/shots/opening.blend",
        )
    )


def _report(view: show.JobView) -> int:
    """Look at every frame once more, and say what became of the job; return the exit code."""
    job = view.job
    folder = _SHARE / job.id
    if job.state is not jobs.JobState.COMPLETED:
        print(f"blendrop: job {job.id} {job.state}: {job.reason}", flush=True)
        for failure in view.failures:
            print(f"  frame {failure.frame}: {failure.reason}. {failure.remedy}", flush=True)
        print(f"  logs: {_FOLDER}", flush=True)
        return 1
    paths = [folder / frames.file_name(job.frame_pattern, number) for number in job.frame_numbers()]
    sheet = folder / "contact-sheet.png"
    contact_sheet.write(paths, sheet)
    for flagged in view.flagged:
        names = ", ".join(sorted(flagged.flags))
        print(f"frame {flagged.frame} is suspicious: {names}", flush=True)
    print(f"contact sheet: {sheet}")
    print(
        f"blendrop: job {job.id} completed: {view.frames_done} of {job.frame_count} frames "
        f"verified in {folder}",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
