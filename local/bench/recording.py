"""What do the frames of a real shot take? Rendered by this farm, and kept for `make simulate`.

`python -m local.bench.recording` writes `local/recorded_shot.json`: the seconds that each frame
took in Blender, in their order.
"""

import json
import sys
from pathlib import Path

from blendrop import errors
from blendrop.domain import jobs
from local import blenders, farm, foreground
from local.bench import scene_files

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / ".farm" / "bench"
_RECORDED = _ROOT / "local" / "recorded_shot.json"


async def main() -> int:
    """Render the shot on one warm worker, and write down what its frames took."""
    version, program = blenders.newest(blenders.ensure({}))
    scene = await scene_files.made(program, "shot", _FOLDER / "scenes")
    plan = farm.Plan(
        folder=_FOLDER, share=_FOLDER / "frames", blenders={version: program}, workers=1
    )
    seconds: dict[int, float] = {}
    async with farm.running(plan) as running:

        async def render() -> None:
            job_id = await running.client.upload(scene, {"force": "true"})
            async for view in running.client.follow(job_id):
                print(f"\r{view.frames_done} frames", end="", flush=True)
            if view.job.state is not jobs.JobState.COMPLETED:
                raise errors.UnavailableError(f"job {job_id} {view.job.state}: {view.job.reason}")
            for batch in await running.client.batches(job_id):
                seconds.update(batch.frame_seconds)

        await running.beside(render())
    took = [round(seconds[frame], 3) for frame in sorted(seconds)]
    _RECORDED.write_text(json.dumps(took) + "\n", encoding="utf-8")
    print(f"\r{len(took)} frames, {min(took):g} to {max(took):g} s, {sum(took):.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
