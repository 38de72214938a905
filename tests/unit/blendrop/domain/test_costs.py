"""Does a job cost what was used for it, by prices that can be looked up?"""

import json
from pathlib import Path

import pytest

from blendrop import settings
from blendrop.domain import batches, costs, usage

PRICES = costs.PriceTable.model_validate_json(
    Path(settings.__file__).with_name("prices.json").read_bytes()
)
BY_THE_HOUR = costs.PriceTable(worker_hour=0.36)
MACHINE = usage.Machine(cpus=4, memory_gib=8)


def test_a_job_costs_what_its_workers_used() -> None:
    """Seconds of their processors and memory, and their calls, each as the table prices it."""
    used = MACHINE.used_for(1000, {"queue_class_1": 20_000, "table_read": 10_000})

    cost = costs.of_job(PRICES, used, idle_seconds=0, done=50, left=150)

    assert cost.parts == (
        costs.CostPart(what="vcpu_second", amount=4000, cost=0.096),
        costs.CostPart(what="gib_second", amount=8000, cost=0.024),
        costs.CostPart(what="queue_class_1", amount=20_000, cost=0.008),
        costs.CostPart(what="table_read", amount=10_000, cost=0.00036),
    )
    assert (cost.so_far, cost.currency) == (0.12836, "USD")
    assert cost.per_frame == pytest.approx(0.12836 / 50, abs=1e-6)
    assert cost.projected == pytest.approx(0.12836 * 4)
    assert "capacity of the frame share" in cost.lacks


def test_what_workers_needed_to_start_is_not_taken_to_happen_again() -> None:
    """Half of what was spent on the first frames was for that: the others cost half as much."""
    cost = costs.of_job(
        BY_THE_HOUR, MACHINE.used_for(1000, {}), idle_seconds=500, done=50, left=150
    )

    assert (cost.so_far, cost.per_frame, cost.projected) == (0.1, 0.002, 0.25)


def test_nothing_is_projected_before_the_first_frame() -> None:
    """What was spent is told all the same."""
    cost = costs.of_job(BY_THE_HOUR, MACHINE.used_for(100, {}), idle_seconds=0, done=0, left=10)

    assert (cost.so_far, cost.per_frame, cost.projected) == (0.01, None, None)


def test_a_graphics_card_is_paid_beside_its_machine() -> None:
    """By its kind; one without a price is left out, and named."""
    t4 = usage.Machine(cpus=8, memory_gib=56, graphics_cards=("Tesla T4",))
    other = usage.Machine(cpus=8, memory_gib=56, graphics_cards=("NVIDIA A100 80GB PCIe",))

    priced = costs.of_job(PRICES, t4.used_for(1000, {}), idle_seconds=0, done=1, left=0)
    lacking = costs.of_job(PRICES, other.used_for(1000, {}), idle_seconds=0, done=1, left=0)

    assert costs.CostPart(what="gpu_second_t4", amount=1000, cost=0.088) in priced.parts
    assert lacking.so_far == pytest.approx(priced.so_far - 0.088)
    assert lacking.lacks[0] == "the price of gpu_second_a100"
    assert not [one for one in priced.lacks if "price" in one]


def test_every_price_says_where_it_is_from() -> None:
    """With its day and its place; every class of calls has one."""
    every = {**PRICES.prices, **PRICES.beside_jobs}
    assert all(one.source and one.read and one.region and one.meter for one in every.values())
    classes = {
        usage.billed_as(service, operation)
        for service, operation in (
            ("queue", "Put Message"),
            ("queue", "Get Messages"),
            ("table", "Entity Group Transaction"),
            ("table", "Query Entities"),
            ("table", "Insert Entity"),
            ("table", "Delete Entity"),
            ("blob", "Put Blob"),
            ("blob", "Get Blob"),
            ("blob", "List Blobs"),
            ("blob", "Get Blob Properties"),
        )
    }
    assert classes <= set(PRICES.prices)
    assert usage.billed_as("blob", "Delete Blob") == ""
    assert usage.billed_as("blob", "Other") == "blob_unknown"


def test_a_farm_has_prices_of_its_own() -> None:
    """Over those of the table; in another currency, those alone count."""
    dearer = PRICES.overridden(json.dumps({"vcpu_second": 0.001, "queue_class_1": 0.01}))
    used = MACHINE.used_for(100, {"queue_class_1": 10_000})
    assert costs.of_job(dearer, used, idle_seconds=0, done=1, left=0).so_far == 0.4124

    euros = PRICES.overridden(json.dumps({"currency": "EUR", "worker_hour": 0.36}))
    cost = costs.of_job(euros, used, idle_seconds=0, done=1, left=0)
    assert (cost.so_far, cost.currency) == (0.01, "EUR")
    assert cost.lacks[0] == "the price of queue_class_1"

    unknown = PRICES.overridden('{"worker_hour": 0}')
    assert costs.of_job(unknown, used, idle_seconds=0, done=1, left=0).lacks[0] == (
        "the price of worker_hour"
    )
    assert costs.band(unknown, frame_count=1) is None


def test_operations_of_the_frame_share_count_once_they_have_a_price() -> None:
    """Blendrop knows none; until the farm gives one, they are named as lacking."""
    used = MACHINE.used_for(0, {"file_write": 20_000})
    lacking = costs.of_job(PRICES, used, idle_seconds=0, done=1, left=0)
    own = PRICES.overridden('{"file_write": 0.06}')

    assert (lacking.so_far, lacking.lacks[0]) == (0, "the price of file_write")
    assert costs.of_job(own, used, idle_seconds=0, done=1, left=0).so_far == 0.12


@pytest.mark.parametrize(
    "text", ["nonsense", "[1]", '{"vcpu_secnd": 1}', '{"vcpu_second": -1}', '{"currency": "euro"}']
)
def test_prices_that_cannot_be_read_are_refused(text: str) -> None:
    """At the start, and not when the first job is shown."""
    with pytest.raises(ValueError, match=r"."):
        PRICES.overridden(text)


def test_an_hour_of_a_worker_has_a_price() -> None:
    """By its size, or the farm's own; none if a part of it has none."""
    a100 = usage.Machine(cpus=24, memory_gib=220, graphics_cards=("NVIDIA A100 80GB PCIe",))
    assert costs.worker_hour(PRICES, MACHINE) == costs.worker_hour(PRICES, None) == 0.432
    assert costs.worker_hour(BY_THE_HOUR, a100) == 0.36
    assert costs.worker_hour(PRICES, a100) == 0
    assert costs.worker_hour(PRICES.overridden('{"worker_hour": 0}'), MACHINE) == 0


def test_a_band_says_what_it_assumes() -> None:
    """Before anything was rendered."""
    band = costs.band(BY_THE_HOUR, frame_count=1000)
    assert band is not None
    assert (band.least, band.most) == (0.1, 30.0)
    assert "for each frame" in band.assumed

    listed = costs.band(PRICES, frame_count=1000)
    assert listed is not None
    assert (listed.least, listed.most) == (0.12, 36.0)
    assert "4 vCPUs and 8 GiB" in listed.assumed


def test_no_projection_passes_a_limit_that_every_batch_keeps() -> None:
    """So that other rows are read only at the end of a batch that does not keep it."""
    rows = [
        batches.Batch(job="j", number=number, frames="1-4")
        .waited_for(MACHINE.used_for(idle, {}))
        .held_for(MACHINE.used_for(held, {}))
        .model_copy(update={"frames_done": 4})
        for number, (idle, held) in enumerate([(60, 40), (0, 90), (5, 95)])
    ]
    projected = costs.of_batches(BY_THE_HOUR, rows, frame_count=400).projected
    assert projected == pytest.approx(0.7565)

    for limit, dear in ((1.01, []), (0.95, [0, 2]), (0.76, [0, 1, 2])):
        found = [costs.may_pass(BY_THE_HOUR, row, limit, frame_count=400) for row in rows]
        assert [number for number, one in enumerate(found) if one] == dear
    nothing = batches.Batch(job="j", number=0, frames="1-4").held_for(MACHINE.used_for(1, {}))
    assert costs.may_pass(BY_THE_HOUR, nothing, 100, frame_count=400)
