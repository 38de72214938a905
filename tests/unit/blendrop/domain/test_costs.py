"""Does a job cost what its workers' time costs?"""

from blendrop.domain import costs

PRICE = costs.Price(worker_hour=0.36)


def test_a_job_costs_the_time_of_its_workers() -> None:
    """A hundredth of a cent for a second, and as much for each frame to come."""
    cost = costs.of_job(PRICE, worker_seconds=1000, done=50, left=150)

    assert cost == costs.Cost(so_far=0.1, per_frame=0.002, projected=0.4, currency="USD")


def test_nothing_is_projected_before_the_first_frame() -> None:
    """What was spent is told all the same."""
    cost = costs.of_job(PRICE, worker_seconds=100, done=0, left=10)

    assert cost == costs.Cost(so_far=0.01, per_frame=None, projected=None, currency="USD")


def test_a_farm_that_does_not_know_its_price_says_nothing() -> None:
    """Rather than that it is free."""
    assert costs.of_job(costs.Price(), worker_seconds=1, done=1, left=1) is None
    assert costs.band(costs.Price(), frame_count=1) is None


def test_a_band_says_what_it_assumes() -> None:
    """Before anything was rendered."""
    band = costs.band(PRICE, frame_count=1000)

    assert band is not None
    assert (band.least, band.most) == (0.1, 30.0)
    assert "for each frame" in band.assumed
