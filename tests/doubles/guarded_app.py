"""An HTTP app behind the gate that the real one stands behind, with one endpoint for each role."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated

import fastapi
import httpx
import pytest

from blendrop import ports, settings
from blendrop.adapters.memory_rate_counters import MemoryRateCounters
from blendrop.adapters.memory_storage import MemoryBatchQueue
from functions import access, back_pressure, gate, rate_limits, world
from tests.doubles.clock import ManualClock

_LEAST = {
    "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
    "BLENDROP_FRAME_SHARE": "/frames",
    "BLENDROP_NEWEST_BLENDER": "5.0",
}


def given(
    patch: pytest.MonkeyPatch,
    *,
    clock: ports.Clock | None = None,
    counters: ports.RateCounters | None = None,
    queue: ports.BatchQueue | None = None,
    **own: str,
) -> None:
    """Let the function app find these settings, without the prefix, and nothing of another test."""
    named = {f"BLENDROP_{name.upper()}": value for name, value in own.items()}
    chosen = settings.read(settings.FunctionSettings, {**_LEAST, **named})
    time, counted = clock or ManualClock(), counters or MemoryRateCounters()
    patch.setattr(world, "settings", lambda: chosen)
    patch.setattr(world, "clock", lambda: time)
    patch.setattr(world, "rate_counters", lambda: counted)
    waiting = queue or MemoryBatchQueue(time)
    patch.setattr(world, "batch_queue", lambda: waiting)
    for made_once in (access._door, rate_limits._rate_limits, back_pressure._backlog):
        made_once.cache_clear()


def app() -> fastapi.FastAPI:
    """Return the app."""
    made = fastapi.FastAPI()
    gate.install(made)

    @made.get("/api/health")
    async def health() -> str:
        return "ok"

    @made.get("/api/jobs/{job_id}")
    async def read(caller: Annotated[access.Caller, fastapi.Depends(access.reader)]) -> str:
        return caller.name

    @made.get("/api/bare")
    async def bare(_: Annotated[access.Caller, fastapi.Depends(access.reader)]) -> fastapi.Response:
        return fastapi.Response(b"image", media_type="image/png")

    @made.post("/api/jobs")
    async def submit(caller: Annotated[access.Caller, fastapi.Depends(access.submitter)]) -> str:
        return caller.name

    @made.post("/api/administer")
    async def steer(caller: Annotated[access.Caller, fastapi.Depends(access.administrator)]) -> str:
        return caller.name

    @made.post("/api/heavy", dependencies=[fastapi.Depends(back_pressure.room)])
    async def heavy() -> str:
        return "accepted"

    return made


@contextlib.asynccontextmanager
async def client(headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Return an HTTP client of the app."""
    # Like the Functions host, it says nothing of where a request comes from.
    transport = httpx.ASGITransport(app=app(), client=None)  # type: ignore[arg-type]
    async with httpx.AsyncClient(
        transport=transport, base_url="http://farm", headers=headers
    ) as made:
        yield made
