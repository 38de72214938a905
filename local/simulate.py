"""How near does the farm come to the best that its workers could do? `make simulate` prints it.

The table holds the makespan over its lower bound, of jobs whose frames take the same, more and
more, or very uneven times, beside what batches of 1, 5 and 25 frames would come to.
"""

import argparse
import itertools
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blendrop import settings
from local.simulated_farm import Policy, Result, SimulatedFarm, World

MEAN = 10.0  # seconds a frame
_RECORDED = Path(__file__).with_name("recorded_shot.json")
_LARGEST = settings.FunctionSettings.model_fields["batch_size"].default
_TARGET = settings.WorkerSettings.model_fields["batch_seconds"].default
FARM = Policy("Blendrop", _LARGEST, shrinking=True, target=float(_TARGET))
FIXED = tuple(Policy(f"batches of {size}", size) for size in (1, 5, 25))
# What a policy comes to that does not know what a frame costs before it has rendered it, and whose
# calls take no time at all.
BLIND = Policy("single frames at no cost", 1)


def even(count: int, _: int) -> list[float]:
    """All frames take the same."""
    return [MEAN] * count


def ramp(count: int, _: int) -> list[float]:
    """The last frame takes nine times as long as the first."""
    return [MEAN * (0.2 + 1.6 * place / count) for place in range(count)]


def heavy_tailed(count: int, seed: int, *, sigma: float = 0.5) -> list[float]:
    """Lognormal, one frame independent of the next: the slowest takes eight times the mean."""
    chances = random.Random(seed)  # noqa: S311 it must replay
    middle = math.log(MEAN) - sigma**2 / 2
    return [chances.lognormvariate(middle, sigma) for _ in range(count)]


def heavier_tailed(count: int, seed: int) -> list[float]:
    """Lognormal with a sigma of 1: the slowest frame takes forty times the mean."""
    return heavy_tailed(count, seed, sigma=1.0)


def shots(count: int, seed: int) -> list[float]:
    """Shots of 50 to 200 frames, as uneven as `heavy_tailed`, with frames that are much alike."""
    chances = random.Random(seed)  # noqa: S311 it must replay

    def all_shots() -> Iterator[float]:
        while True:
            scale = chances.lognormvariate(-(0.5**2) / 2, 0.5)
            for _ in range(chances.randint(50, 200)):
                yield MEAN * scale * chances.lognormvariate(-0.02, 0.2)

    return list(itertools.islice(all_shots(), count))


def recorded(count: int, seed: int) -> list[float]:
    """A shot of 240 frames that this farm rendered, again and again; a seed begins elsewhere.

    `local.bench.recording` wrote its times; here their mean is the others'.
    """
    times: list[float] = json.loads(_RECORDED.read_text(encoding="utf-8"))
    scale = MEAN / statistics.fmean(times)
    begin = random.Random(seed).randrange(len(times))  # noqa: S311 it must replay
    from_there = itertools.islice(itertools.cycle(times), begin, begin + count)
    return [scale * seconds for seconds in from_there]


def one_in_a_thousand(count: int, seed: int) -> list[float]:
    """Even, but for some frames that take a hundred times as long."""
    chances = random.Random(seed)  # noqa: S311 it must replay
    return [MEAN * (100 if chances.random() < 0.001 else 1) for _ in range(count)]


Shape = Callable[[int, int], list[float]]
SHAPES: dict[str, Shape] = {
    "even": even,
    "ramp": ramp,
    "heavy-tailed": heavy_tailed,
    "shots": shots,
    "recorded": recorded,
    "heavier-tailed": heavier_tailed,
    "one in a thousand": one_in_a_thousand,
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    shape: str
    frames: int
    world: World

    def results(self, policy: Policy, seeds: Sequence[int]) -> list[Result]:
        """Return what comes of the policy, once for each seed."""
        costs, world = SHAPES[self.shape], self.world
        if policy is BLIND:
            world = replace(world, batch_calls=0.0)
        return [
            SimulatedFarm(costs(self.frames, seed), policy, world, seed=seed).run()
            for seed in seeds
        ]


_SMALLER = ("ramp", "heavy-tailed", "shots", "recorded")


def rows() -> Iterator[Row]:
    """Yield every line of the table."""
    for shape in SHAPES:
        yield Row(shape, 100_000, World(1000))
    for shape in SHAPES:
        yield Row(shape, 100_000, World(1000, evictions=1))
    for shape, workers in itertools.product(_SMALLER, (1, 10, 100)):
        yield Row(shape, 100 * workers, World(workers))
    for shape in _SMALLER[1:]:
        yield Row(shape, 240, World(10, warm=True))


def main() -> int:
    """Print the table as it stands in docs/performance.md."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(1, parser.parse_args().seeds + 1)
    policies = (FARM, *FIXED, BLIND)
    names = " | ".join(policy.name for policy in policies)
    print(f"| frames | workers | {names} | messages per frame | extremes |")
    print(f"|---|---|{'---|' * len(policies)}---|---|")
    for row in rows():
        shown = {policy: row.results(policy, seeds) for policy in policies}
        ours = shown[FARM]
        how = "warm" if row.world.warm else "cold"
        evicted = ", evictions" if row.world.evictions else ""
        cells = " | ".join(_ratio(results) for results in shown.values())
        messages = statistics.median(one.messages for one in ours) / row.frames
        extremes = statistics.median(one.extremes for one in ours)
        print(
            f"| {row.frames:,} {row.shape} | {row.world.workers:,} {how}{evicted} | {cells} | "
            f"{messages:.2f} | {extremes:.0f} s |",
            flush=True,
        )
    return 0


def _ratio(results: Sequence[Result]) -> str:
    """Return the median and the range of the makespan over its bound."""
    ratios = [one.ratio for one in results]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    sys.exit(main())
