"""What has a job cost so far, what will it have cost in the end, and what may one cost?

Counted is the time that workers held its batches: rendering, opening scenes, and what came to
nothing. A worker that starts or waits is nobody's, and not in it.
"""

import pydantic

_LEAST_SECONDS, _MOST_SECONDS = 1.0, 300.0  # of a worker for a frame, while nothing is known


class Price(pydantic.BaseModel):
    """What a worker costs; a price of 0 is not known."""

    model_config = pydantic.ConfigDict(frozen=True)

    worker_hour: float = 0.0
    currency: str = "USD"


class Cost(pydantic.BaseModel):
    """The money of a job, by the farm's price of a worker-hour."""

    so_far: float
    per_frame: float | None  # of those done
    projected: float | None  # when every frame is done, if it goes on like this
    currency: str


class CostBand(pydantic.BaseModel):
    """Between which amounts a job may come to lie of which no frame was rendered."""

    least: float
    most: float
    assumed: str
    currency: str


def of_job(price: Price, *, worker_seconds: float, done: int, left: int) -> Cost | None:
    """Return what a job costs; None if the farm does not know its price."""
    if not price.worker_hour:
        return None
    so_far = worker_seconds / 3600 * price.worker_hour
    per_frame = so_far / done if done else None
    return Cost(
        so_far=round(so_far, 4),
        per_frame=None if per_frame is None else round(per_frame, 6),
        projected=None if per_frame is None else round(so_far + per_frame * left, 4),
        currency=price.currency,
    )


def band(price: Price, *, frame_count: int) -> CostBand | None:
    """Return what a job may cost; None if the farm does not know its price."""
    if not price.worker_hour:
        return None
    hourly = frame_count / 3600 * price.worker_hour
    return CostBand(
        least=round(hourly * _LEAST_SECONDS, 2),
        most=round(hourly * _MOST_SECONDS, 2),
        assumed=f"between {_LEAST_SECONDS:g} s and {_MOST_SECONDS:g} s of a worker for each frame",
        currency=price.currency,
    )
