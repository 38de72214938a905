"""Are the figures of docs/cost.md those that the code gives?"""

import re
from pathlib import Path

from blendrop.domain import costs, usage
from tests.contract import test_calls_of_a_job as calls

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
_PRICES = costs.PriceTable.model_validate_json((_ROOT / "blendrop" / "prices.json").read_bytes())


def test_the_page_holds_every_price() -> None:
    """Under its name, and for as many."""
    rows = re.findall(r"^\| (`[a-z0-9_`, ]+`) \| ([0-9.]+) \| (10,000|1) ", _PAGE, re.MULTILINE)
    shown = {
        name: (float(price), int(per.replace(",", "")))
        for names, price, per in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    assert shown == {name: (one.price, one.per) for name, one in _PRICES.prices.items()}


def test_the_page_states_the_calls_that_are_counted() -> None:
    """By service, and by the frame."""
    for service, plural in (("queue", "queues"), ("table", "tables"), ("blob", "blobs")):
        counted = [
            sum(
                times
                for table in (calls.PLANNED, calls.RENDERED)
                for called, times in table[size].items()
                if called.startswith(service)
            )
            for size in (8, 50)
        ]
        assert f"| {plural} | {counted[0]} | {counted[1]} |" in _PAGE
    assert f"| **{calls.PER_FRAME[8]}** | **{calls.PER_FRAME[50]}** |" in _PAGE


def test_the_shot_of_the_example_costs_what_the_page_says() -> None:
    """As a whole, by its parts, and as it was projected."""
    machine = usage.Machine(cpus=4, memory_gib=8)
    transactions = {
        "queue_class_1": 30 + 240,  # messages deleted, and renewals
        "queue_class_2": 60 + 3_000,  # looks, and looks while nothing is there
        "table_read": 121,
        "table_batch_write": 62 + 240,
        "blob_read": 5,
    }
    times = {"held": 4_850, "start-up": 200, "waiting": 1_500}
    used = machine.used_for(sum(times.values()), transactions).plus(usage.of_planning(30))
    cost = costs.of_job(_PRICES, used, idle_seconds=1_700, done=240, left=0)
    first = costs.of_job(
        _PRICES, machine.used_for(40 + 10 + 160, {}), idle_seconds=40, done=8, left=232
    )

    assert (round(cost.so_far, 2), cost.per_frame) == (0.79, 0.003281)
    assert first.projected is not None
    assert round(first.projected, 2) == 0.62
    parts = [machine.used_for(seconds, {}) for seconds in times.values()]
    spent = [costs.of_job(_PRICES, one, idle_seconds=0, done=0, left=0).so_far for one in parts]
    assert [round(one, 2) for one in spent] == [0.58, 0.02, 0.18]
    assert round(sum(used.transactions.values()), -2) == 3_800
    for figure in ("0.58", "0.02", "0.18", "**0.79**, 0.0033 a frame", "projected to cost 0.62"):
        assert figure in _PAGE
