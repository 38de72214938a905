"""Does a collector that is away, or never answers, cost a job anything?"""

import asyncio
import contextlib
import signal
import socket
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blendrop.domain import jobs
from tests.doubles import quick_blender, watched_farm
from tests.doubles.watched_farm import WatchedFarm

_ROUNDS = 5
_FRAMES = 20
# Of the medians over the rounds. Were one export waited for, which gives up after 5 s, it were
# above 2.
_MOST = 1.35
_GRACE = 20.0  # seconds after SIGTERM that a platform can be relied on for


@contextlib.asynccontextmanager
async def never_answering() -> AsyncIterator[str]:
    """Take connections and what is sent, and say nothing."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def nobody() -> str:
    """Return an address at which connections are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def took(farm: WatchedFarm, number: int) -> float:
    """Return the seconds from an upload until its job has ended."""
    content = quick_blender.scene(f"shot-{number}", _FRAMES, seconds=0.05)
    began = time.monotonic()
    job_id = await farm.upload(f"shot-{number}.blend", content, batch_size="5")
    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    return time.monotonic() - began


async def leaves(farm: WatchedFarm) -> float:
    """Return the seconds that a worker takes to leave after SIGTERM."""
    worker = farm.running.workers["worker-1"].process
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), _GRACE) == 0
    return time.monotonic() - began


@pytest.mark.timeout(240)
async def test_a_collector_that_is_away_costs_no_time_and_no_line(tmp_path: Path) -> None:
    """Beside a farm that tells nobody anything, round by round, on the same machine."""
    async with contextlib.AsyncExitStack() as stack:
        addresses = {
            "none": "",
            "refused": nobody(),
            "silent": await stack.enter_async_context(never_answering()),
        }
        farms = {
            name: await stack.enter_async_context(
                watched_farm.running(
                    tmp_path / name,
                    quick_blender.blenders(tmp_path / f"{name}-blender"),
                    workers=1,
                    environment={"OTEL_EXPORTER_OTLP_ENDPOINT": address},
                )
            )
            for name, address in addresses.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in farms}
        for number in range(_ROUNDS):
            for name, farm in farms.items():
                seconds[name].append(await took(farm, number))

        medians = {name: statistics.median(taken) for name, taken in seconds.items()}
        left = {name: await leaves(farm) for name, farm in farms.items()}
        print("median seconds of a job", medians, "seconds to leave", left)

        for name, farm in farms.items():
            assert medians[name] / medians["none"] < _MOST, (medians, seconds)
            assert left[name] < _GRACE / 2, left
            lines = farm.log_lines("worker-1.log")
            done = [line for line in lines if line.get("event") == "frame_done"]
            assert len(done) == _ROUNDS * _FRAMES
            assert [line for line in lines if line.get("event") == "worker_left"]
            # Why spans do not arrive is said, and not over and over.
            complaints = [one for one in lines if one["logger"].startswith("opentelemetry")]
            assert bool(complaints) is (name != "none")
            assert len(complaints) <= 4, complaints
