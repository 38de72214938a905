"""Which requests about the farm itself are answered, and with what?"""

from typing import Any

import fastapi

from blendrop.domain import costs
from blendrop.usecases import farm
from functions import problems, world

router = fastapi.APIRouter(tags=["farm"])

_WORKER: dict[str, Any] = {
    "name": "blendrop-worker--0000001-6d8f7c9b5-x2kqp",
    "version": "0.1.0",
    "blenders": ["4.5", "5.0"],
    "cpus": 4,
    "memory_mib": 8192,
    "device": "CPU",
    "graphics_cards": [],
    "status_address": "http://10.0.4.7:8080",
    "heartbeat_seconds": 30.0,
    "started": "2026-01-02T09:00:00Z",
    "heard": "2026-01-02T09:41:30Z",
    "state": "rendering",
    "since": "2026-01-02T09:40:02Z",
    "rendering": {
        "job": "opening-9f86d081884c",
        "batch": 7,
        "frames": "57-64",
        "attempt": 1,
        "since": "2026-01-02T09:40:02Z",
        "frames_done": 2,
        "frames_left": 6,
        "frame": 59,
        "frame_since": "2026-01-02T09:41:15Z",
    },
    "waits_for": "",
    "charged_seconds": 2475.2,
    "left_because": "",
    "unfit": False,
    "live": False,
    "why_dead": "last heard from 3 minutes ago while it rendered batch 7 of job "
    "opening-9f86d081884c",
}
_FARM: dict[str, Any] = {
    "queue_depth": 12,
    "oldest_waiting_seconds": 40.0,
    "workers_live": 0,
    "workers_busy": 0,
    "poison_messages": 0,
    "open_jobs": 1,
    "why_nothing_renders": "scaling from zero: 12 batches wait, the oldest for 40 s",
}


def _answers(
    example: dict[str, Any] | str, *, kind: str = "application/json"
) -> dict[int | str, dict[str, Any]]:
    answered = {200: {"content": {kind: {"example": example}}}}
    return answered | problems.documented(503)


@router.get("/workers", responses=_answers({"workers": [_WORKER]}))
async def list_workers() -> farm.WorkersView:
    """List the workers: live ones first, then those thought dead, each with the reason.

    A worker says every so often that it lives (`heartbeat_seconds`); after three times as long
    without a word it is thought dead. Dead ones are shown for a day, the last hundred of them.
    """
    return await farm.show_workers(world.watching())


@router.get("/farm", responses=_answers(_FARM))
async def show_farm() -> farm.FarmView:
    """Sum up the farm: what waits, who works, and why nothing renders if nothing does."""
    return await farm.show_farm(world.watching())


@router.get(
    "/metrics",
    response_class=fastapi.responses.PlainTextResponse,
    responses=_answers('blendrop_workers{state="idle"} 2.0\n', kind="text/plain"),
)
async def show_metrics() -> fastapi.Response:
    """Give the farm in numbers, as Prometheus reads them.

    Each asking costs some two hundred reads of the storage: once a minute is often enough.
    """
    from functions import farm_metrics  # noqa: PLC0415 most instances are never asked

    numbers, prices = await farm.measure(world.watching()), world.settings().prices
    metrics = farm_metrics.FarmMetrics(
        numbers,
        worker_hour_price=costs.worker_hour(prices, numbers.machine),
        currency=prices.currency,
    )
    return fastapi.Response(
        metrics.text(),
        headers={"Content-Type": farm_metrics.content_type, "Cache-Control": "no-store"},
    )
