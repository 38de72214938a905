"""Does a seed replay? What it decides is the same each time, whatever happens meanwhile."""

from tests.chaos import plan
from tests.chaos.faulty_storage import FaultyStorage

SHARES = {"error": 0.2, "reset": 0.2, "lost_answer": 0.2}


def planned(seed: int, *, jobs: int = 8) -> plan.Plan:
    """Return the plan of a trial as `make chaos` runs it."""
    return plan.of(seed, seconds=20, job_count=jobs, workers=3)


def fates(storage: FaultyStorage, request: str) -> list[str]:
    """Return what befalls the next requests of a kind."""
    return [storage.fate(request) for _ in range(100)]


def errant(seed: int) -> FaultyStorage:
    """Return a storage that errs."""
    storage = FaultyStorage(seed)
    storage.shares = SHARES
    return storage


def test_a_seed_plans_the_same_each_time_and_another_seed_does_not() -> None:
    """Jobs, and faults with their moments, whom they befall, and for how long."""
    again, other = planned(7), planned(8)

    assert again == planned(7)
    assert other.faults != again.faults
    assert [job.bad for job in other.jobs] != [job.bad for job in again.jobs]
    assert not {job.scene_id for job in other.jobs} & {job.scene_id for job in again.jobs}


def test_every_kind_of_fault_comes_in_order_and_time() -> None:
    """Also in a trial that is too short for chance to bring all of them."""
    for seconds in (5, 20, 60):
        faults = plan.of(1, seconds=seconds, job_count=5, workers=3).faults

        assert {fault.kind for fault in faults} == set(plan.KINDS)
        assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
        assert 0 <= faults[0].at <= faults[-1].at <= seconds


def test_a_job_more_changes_no_other_job() -> None:
    """Each draws from chances of its own."""
    assert planned(7, jobs=9).jobs[:8] == planned(7).jobs


def test_a_request_meets_the_same_fate_whatever_comes_between() -> None:
    """The order in which requests of different kinds come is the machine's, and not the seed's."""
    alone = fates(errant(7), "PUT render-batches")
    among = errant(7)
    mixed = []
    for _ in range(100):
        among.fate("GET render-batches")
        mixed.append(among.fate("PUT render-batches"))
        among.fate("MERGE jobs")

    assert mixed == alone
    assert set(alone) >= {"", "reset", "lost_answer"}
    assert fates(errant(8), "PUT render-batches") != alone
    assert fates(errant(7), "GET render-batches") != alone
