"""Is the farm as near to the best that its workers could do as it says?"""

import statistics

import pytest

from local import simulate
from local.simulate import FARM, FIXED, Row
from local.simulated_farm import Policy, Result, SimulatedFarm, World, lower_bound

_SEEDS = range(1, 6)


def median(results: list[Result]) -> float:
    """Return the middle of the makespans over their bounds."""
    return statistics.median(one.ratio for one in results)


@pytest.mark.parametrize("shape", ["even", "ramp", "heavy-tailed", "shots", "recorded"])
def test_a_large_job_ends_within_five_per_cent_of_the_lower_bound(shape: str) -> None:
    """100,000 frames on 1,000 workers from zero, and no fixed batch size is better."""
    row = Row(shape, 100_000, World(1000))
    ours = row.results(FARM, _SEEDS)

    assert median(ours) <= 1.05
    assert median(ours) <= min(median(row.results(fixed, _SEEDS)) for fixed in FIXED)


# Who is evicted at the very end is chance, and costs a lease: where frames are much alike, single
# ones may come out as well.
@pytest.mark.parametrize(
    ("shape", "chance"), [("heavy-tailed", 0.0), ("shots", 0.0), ("recorded", 0.002)]
)
def test_evictions_cost_no_more_than_ten_per_cent(shape: str, chance: float) -> None:
    """One of each worker in an hour, every second one without notice; the bound knows of none."""
    row = Row(shape, 100_000, World(1000, evictions=1))
    ours = row.results(FARM, _SEEDS)

    assert median(ours) <= 1.10
    assert median(ours) <= min(median(row.results(fixed, _SEEDS)) for fixed in FIXED) + chance


@pytest.mark.parametrize("workers", [1, 2, 10, 100])
@pytest.mark.parametrize("shape", ["even", "ramp", "heavy-tailed", "shots", "recorded"])
def test_a_smaller_job_ends_near_the_best_fixed_size(shape: str, workers: int) -> None:
    """Whichever that is: one frame for some jobs, 25 for others, which nobody knows before."""
    row = Row(shape, 100 * workers, World(workers))
    ours = row.results(FARM, _SEEDS)

    assert median(ours) <= 1.05
    assert median(ours) <= min(median(row.results(fixed, _SEEDS)) for fixed in FIXED) + 0.01


def test_a_job_of_quick_frames_is_not_slower_on_one_worker() -> None:
    """The extremes go first at no cost worth naming: two calls more of a hundred milliseconds."""
    world = World(1, warm=True)
    quick = [0.25] * 24
    ours = SimulatedFarm(quick, FARM, world).run()

    assert (ours.messages, ours.splits) == (4, 0)
    assert ours.makespan <= SimulatedFarm(quick, Policy("", 5), world).run().makespan
    assert ours.extremes < 1.2


def test_a_farm_that_is_told_too_few_workers_shares_what_it_has() -> None:
    """Told 10 and given 1,000, its batches are too long at the end, and tails are given back."""
    costs = simulate.heavy_tailed(20_000, 1)
    told_too_few = Policy("", FARM.most, shrinking=True, assumed_workers=10, target=FARM.target)
    kept_whole = Policy("", FARM.most, shrinking=True, assumed_workers=10)
    shared = SimulatedFarm(costs, told_too_few, World(1000)).run()

    assert shared.splits > 100
    assert shared.ratio < SimulatedFarm(costs, kept_whole, World(1000)).run().ratio - 0.2


def test_a_single_frame_takes_its_own_time() -> None:
    """And what its worker needs to be there; the bound is exact where nothing can be shared."""
    cold = SimulatedFarm([5.0], Policy("", 1), World(3, batch_calls=0)).run()

    assert cold.makespan == cold.bound == 40 + 20 + 5
    assert lower_bound([1.0] * 10, World(2, warm=True)) == 5


def test_a_batch_whose_worker_vanishes_waits_for_its_lease() -> None:
    """And every frame is rendered in the end."""
    world = World(5, warm=True, evictions=60)
    result = SimulatedFarm([10.0] * 100, Policy("", 5), world, seed=3).run()

    assert (
        result.makespan
        > SimulatedFarm([10.0] * 100, Policy("", 5), World(5, warm=True)).run().makespan
    )
