"""What has a job cost so far, what will it have cost in the end, and what may one cost?

Priced is what was used (`usage`), by a table in which each price has its source and the day it was
read. What the table does not know is left out, and named.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence

import pydantic

from blendrop.domain import batches, record, usage

_LEAST_SECONDS, _MOST_SECONDS = 1.0, 300.0  # of a worker for a frame, while nothing is known
_USUAL = usage.Machine(cpus=4, memory_gib=8)  # of a worker, before one was seen
# Classes of operations for which blendrop/prices.json has no price and a farm may give its own, and
# for how many operations that is.
_UNLISTED = dict.fromkeys(("file_write", "file_read", "file_other"), 10_000)
_CARDS = ("T4", "A100")  # whose seconds Container Apps has a price for
# What no process of ours can count for a job.
_NEVER_COUNTED = (
    "capacity of the frame share",
    "time of the functions",
    "capacity of scenes and rows",
    "traffic",
)


class Price(record.Record):
    """What something costs, where, and who says so."""

    model_config = pydantic.ConfigDict(extra="forbid")

    price: float
    per: int = 1  # for so many
    unit: str = ""
    region: str = ""
    meter: str = ""  # what Azure's own price list calls it
    source: str = ""
    read: datetime.date | None = None  # when it was looked up


class PriceTable(record.Record):
    """The prices by the names of what they are for."""

    model_config = pydantic.ConfigDict(extra="forbid")

    currency: str = pydantic.Field("USD", pattern="^[A-Z]{3}$")
    prices: Mapping[str, Price] = {}
    beside_jobs: Mapping[str, Price] = {}  # of what is no job's alone
    # Of a worker whatever its size, in place of the prices of its parts; 0 is not known.
    worker_hour: float | None = None

    def overridden(self, text: str) -> "PriceTable":
        """Return the table with a farm's own prices in it, a JSON object; empty: none.

        Raises:
            ValueError: it is no such object.
        """
        if not text.strip():
            return self
        given = json.loads(text)
        if not isinstance(given, dict):
            raise ValueError("it is no JSON object")  # noqa: TRY004 a value of a setting
        currency = given.pop("currency", self.currency)
        known = dict(self.prices) if currency == self.currency else {}
        own = pydantic.TypeAdapter(dict[str, pydantic.NonNegativeFloat]).validate_python(given)
        if unknown := sorted(set(own) - {*self.prices, *_UNLISTED, *_gpu_names(), "worker_hour"}):
            raise ValueError(f"there is no price {unknown[0]}; see docs/cost.md")
        worker_hour = own.pop("worker_hour", self.worker_hour)
        for name, price in own.items():
            per = self.prices[name].per if name in self.prices else _UNLISTED.get(name, 1)
            known[name] = Price(price=price, per=per, source="the farm's own setting")
        return PriceTable(
            currency=currency,
            prices=known,
            beside_jobs=self.beside_jobs if currency == self.currency else {},
            worker_hour=worker_hour,
        )


class CostPart(record.Record):
    """What one thing that was used costs."""

    what: str  # its name in the price table
    amount: float  # of seconds, or of operations
    cost: float


class Cost(record.Record):
    """The money of a job, as far as the prices go."""

    so_far: float
    per_frame: float | None  # of those done, start-up and waiting included
    projected: float | None  # when every frame is done, if it goes on like this
    currency: str
    parts: tuple[CostPart, ...]  # of what was spent so far
    lacks: tuple[str, ...]  # what is not in it


class CostBand(record.Record):
    """Between which amounts a job may come to lie of which no frame was rendered."""

    least: float
    most: float
    assumed: str
    currency: str


def of_job(
    table: PriceTable, used: usage.Usage, *, idle_seconds: float, done: int, left: int
) -> Cost:
    """Return what a job costs.

    The frames to come are taken to cost what those done did while their batches were held; that
    workers started and waited (`idle_seconds` of what was used) is not taken to happen again.
    """
    parts = list(_parts(table, used))
    so_far = sum(part.cost for part in parts)
    held = used.worker_seconds - idle_seconds
    share = held / used.worker_seconds if used.worker_seconds else 1.0
    return Cost(
        so_far=round(so_far, 6),
        per_frame=round(so_far / done, 6) if done else None,
        projected=round(so_far + so_far * share / done * left, 6) if done else None,
        currency=table.currency,
        parts=tuple(part.model_copy(update={"cost": round(part.cost, 8)}) for part in parts),
        lacks=(*_lacks(table, used), *_NEVER_COUNTED),
    )


def of_batches(table: PriceTable, rows: Sequence[batches.Batch], *, frame_count: int) -> Cost:
    """Return what the workers of these batches, all of one job, cost it."""
    used = sum_of(rows)
    done = sum(row.frames_done for row in rows)
    idle = sum(row.idle_seconds for row in rows)
    return of_job(table, used, idle_seconds=idle, done=done, left=frame_count - done)


def sum_of(rows: Sequence[batches.Batch]) -> usage.Usage:
    """Return what was used for all of some batches."""
    used = usage.Usage()
    for row in rows:
        used = used.plus(row.used)
    return used


def may_pass(table: PriceTable, batch: batches.Batch, limit: float, *, frame_count: int) -> bool:
    """Tell whether a job may come to cost more than `limit`, by one batch of it.

    A projection is no more than the mean of what its batches' frames cost, all waiting included: it
    passes the limit only if one of them does by itself. So most of the time no other row is read.
    """
    spent = sum(part.cost for part in _parts(table, batch.used))
    if not batch.frames_done:
        return spent > 0
    return spent / batch.frames_done * frame_count > limit


def worker_hour(table: PriceTable, machine: usage.Machine | None) -> float:
    """Return what a worker costs in an hour, the usual one if none is seen; 0 is not known."""
    used = (machine or _USUAL).used_for(3600, {})
    if _lacks(table, used):
        return 0.0
    return round(sum(part.cost for part in _parts(table, used)), 6)


def band(table: PriceTable, *, frame_count: int) -> CostBand | None:
    """Return what a job may cost; None if no price of a worker is known."""
    hour = worker_hour(table, _USUAL)
    if not hour:
        return None
    second = hour / 3600
    size = "" if table.worker_hour else f" of {_USUAL.cpus:g} vCPUs and {_USUAL.memory_gib:g} GiB"
    return CostBand(
        least=round(frame_count * second * _LEAST_SECONDS, 2),
        most=round(frame_count * second * _MOST_SECONDS, 2),
        assumed=f"between {_LEAST_SECONDS:g} s and {_MOST_SECONDS:g} s of a worker{size} for each "
        "frame",
        currency=table.currency,
    )


def _amounts(table: PriceTable, used: usage.Usage) -> Iterator[tuple[str, float]]:
    """Yield what was used by the names of its prices."""
    if table.worker_hour is None:
        yield "vcpu_second", used.vcpu_seconds
        yield "gib_second", used.gib_seconds
        for card, seconds in sorted(used.gpu_seconds.items()):
            yield _gpu_name(card), seconds
    else:
        yield "worker_hour", used.worker_seconds / 3600
    yield from used.transactions.items()


def _parts(table: PriceTable, used: usage.Usage) -> Iterator[CostPart]:
    for name, amount in _amounts(table, used):
        if amount and (price := _price(table, name)) is not None:
            yield CostPart(what=name, amount=round(amount, 3), cost=amount * price)


def _lacks(table: PriceTable, used: usage.Usage) -> list[str]:
    return sorted(
        {
            f"the price of {name}"
            for name, amount in _amounts(table, used)
            if amount and _price(table, name) is None
        }
    )


def _price(table: PriceTable, name: str) -> float | None:
    if name == "worker_hour":
        return table.worker_hour or None
    price = table.prices.get(name)
    return None if price is None else price.price / price.per


def _gpu_name(card: str) -> str:
    """Return the name of a card's price: gpu_second_t4 for a Tesla T4."""
    model = next((one for one in _CARDS if one in card.upper()), card)
    return f"gpu_second_{model.lower()}"


def _gpu_names() -> set[str]:
    return {_gpu_name(card) for card in _CARDS}
