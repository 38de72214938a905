"""Run trials by their seeds, and print what they came to: `make chaos SEEDS=20`."""

import argparse
import collections
import os
import sys
import tempfile
from pathlib import Path

import rich.console
import rich.table

from local import foreground
from tests.chaos import audit, trial


async def main() -> int:
    """Return 0 if nothing was lost, twice, wrong or stuck in any trial."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 1")
    parser.add_argument("--seed", type=int, help="replay this one alone")
    parser.add_argument("--seconds", type=float, default=20, help="of faults, for each seed")
    chosen = parser.parse_args()
    seeds = [chosen.seed] if chosen.seed else range(1, chosen.seeds + 1)
    everything: dict[int, audit.Found] = {}
    for seed in seeds:
        # Kept where something is wrong, for whoever looks into it.
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-", dir=os.environ.get("TMPDIR")))
        found = everything[seed] = await trial.run(seed, folder, seconds=chosen.seconds)
        for problem in found.problems:
            print(f"seed {seed}: {problem} (logs in {folder})", flush=True)
    _print(everything)
    return int(any(found.problems for found in everything.values()))


def _print(everything: dict[int, audit.Found]) -> None:
    table = rich.table.Table()
    columns = ("jobs", "frames", "wasted", "lost", "duplicated", "wrong", "stuck")
    for column in ("seed", *columns, "faults"):
        table.add_column(column, justify="right")
    injected: collections.Counter[str] = collections.Counter()
    for seed, found in everything.items():
        injected.update(found.injected)
        counts = [str(getattr(found, column)) for column in columns]
        table.add_row(str(seed), *counts, str(found.injected.total()))
    totals = [
        str(sum(getattr(found, column) for found in everything.values())) for column in columns
    ]
    table.add_row("all", *totals, str(injected.total()), style="bold")
    console = rich.console.Console(width=100)
    console.print(table)
    for kind, count in sorted(injected.items()):
        console.print(f"{count:6} {kind}", highlight=False)


if __name__ == "__main__":
    sys.exit(foreground.run(main()))
