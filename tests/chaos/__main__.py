"""Run trials by their seeds, and print what they came to: `make chaos SEEDS=20`, or `21-40`."""

import argparse
import asyncio
import collections
import os
import sys
import tempfile
from pathlib import Path

import rich.console
import rich.table

from local import blenders, foreground
from tests.chaos import audit, trial

_ROOT = Path(__file__).parents[1]


async def main() -> int:
    """Return 0 if nothing was lost, twice, wrong or stuck in any trial."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default="5", help="how many, or which: 20, 21-40")
    parser.add_argument("--seed", type=int, help="replay this one alone")
    parser.add_argument("--real", action="store_true", help="replay it with real Blender")
    parser.add_argument("--seconds", type=float, default=20, help="of faults, for each seed")
    chosen = parser.parse_args()
    # The last one is with real Blender, which the others have a stand-in for.
    trials = [(seed, False) for seed in chosen.seeds] + [(chosen.seeds[0], True)]
    if chosen.seed:
        trials = [(chosen.seed, chosen.real)]
    everything: dict[str, audit.Found] = {}
    for seed, real in trials:
        # Kept where something is wrong, for whoever looks into it.
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-", dir=os.environ.get("TMPDIR")))
        name = f"{seed}{' real' if real else ''}"
        if real:
            found = await _with_real_blender(seed, folder, chosen.seconds)
        else:
            found = await trial.run(seed, folder, seconds=chosen.seconds)
        everything[name] = found
        ended = (
            f"{found.jobs} jobs, {found.injected.total()} faults, {len(found.problems)} problems"
        )
        print(f"seed {name}: {ended}", file=sys.stderr, flush=True)
        for problem in found.problems:
            print(f"seed {name}: {problem} (logs in {folder})", flush=True)
    _print(everything)
    return int(any(found.problems for found in everything.values()))


def _seeds(text: str) -> range:
    first, between, last = text.rpartition("-")
    seeds = range(int(first) if between else 1, int(last) + 1)
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} names no seed: give a number, or like 21-40")
    return seeds


async def _with_real_blender(seed: int, folder: Path, seconds: float) -> audit.Found:
    found = blenders.find(os.environ)
    python = next(one for one in reversed(found.values()) if blenders.is_interpreter(one))
    scene, maker = folder / "tiny.blend", _ROOT / "doubles" / "scene_files.py"
    made = await asyncio.create_subprocess_exec(python, maker, "tiny", scene)
    if await made.wait():
        raise RuntimeError(f"{python} {maker} made no scene")
    return await trial.run_real(seed, folder, found, scene.read_bytes(), seconds=seconds)


def _print(everything: dict[str, audit.Found]) -> None:
    table = rich.table.Table()
    seen = ("jobs", "cancelled", "frames", "wasted", "cut_off")
    columns = (*seen, "lost", "duplicated", "wrong", "stuck")
    for column in ("seed", *columns, "faults"):
        table.add_column(column.replace("_", " "), justify="right")
    injected: collections.Counter[str] = collections.Counter()
    for name, found in everything.items():
        injected.update(found.injected)
        counts = [str(getattr(found, column)) for column in columns]
        table.add_row(name, *counts, str(found.injected.total()))
    totals = [
        str(sum(getattr(found, column) for found in everything.values())) for column in columns
    ]
    table.add_row("all", *totals, str(injected.total()), style="bold")
    console = rich.console.Console(width=120)
    console.print(table)
    for kind, count in sorted(injected.items()):
        console.print(f"{count:6} {kind}", highlight=False)


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
