"""What are the figures of docs/performance.md? Measured in one run, by `make bench`."""

import argparse
import shutil
import sys
from pathlib import Path

from local import blenders, farm, foreground
from local.bench import imports, page, planning, renders, scene_files

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / ".farm" / "bench"
_PAGE = _ROOT / "docs" / "performance.md"
_PLOT = _ROOT / "docs" / "images" / "performance.svg"


async def main() -> int:
    """Measure, print, and write the page; return 0 if every bound is kept."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, the page stays as it is")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scenes", default="tiny,medium,heavy,uneven,workbench,one core")
    chosen = parser.parse_args()
    rounds = 1 if chosen.quick else chosen.rounds
    imported = await imports.measured(rounds=5 * rounds)
    print(imported.told(), flush=True)
    planned = await planning.measured(_FOLDER / "planning", rounds=rounds)
    print(*(one.told() for one in planned), sep="\n", flush=True)
    rendered = await _rendered(chosen.scenes.split(","), rounds)
    figures = page.Figures(imported=imported, planned=planned, rendered=rendered, rounds=rounds)
    print(page.text(figures))
    if not chosen.quick:
        page.write(figures, page=_PAGE, plot=_PLOT)
    missed = page.missed(figures)
    for one in missed:
        print(f"not kept: {one}", file=sys.stderr)
    return int(bool(missed))


async def _rendered(names: list[str], rounds: int) -> dict[str, renders.Measured]:
    version, program = blenders.newest(blenders.ensure({}))
    scenes = {name: await scene_files.made(program, name, _FOLDER / "scenes") for name in names}
    measured = {name: renders.Measured() for name in names}
    one, two = (
        farm.Plan(
            folder=_FOLDER / f"farm-of-{workers}",
            share=_FOLDER / f"farm-of-{workers}" / "frames",
            blenders={version: program},
            workers=0,
            # Batches are cut for as many as there may be.
            settings={"BLENDROP_MOST_WORKERS": str(workers)},
        )
        for workers in (1, 2)
    )
    for plan in (one, two):
        shutil.rmtree(plan.share, ignore_errors=True)
    async with farm.running(one) as alone, farm.running(two) as shared:
        bench = renders.Bench(alone, shared, program, _FOLDER)
        for _ in range(rounds):
            await bench.round(scenes, measured)
    return measured


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
