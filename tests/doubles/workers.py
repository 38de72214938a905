"""Workers as they would describe themselves."""

from typing import Any

from blendrop.domain import workers
from tests.doubles.clock import START


def a_worker(name: str = "w1", **changes: Any) -> workers.Worker:
    """Return a worker that waits for a message."""
    given = {
        "name": name,
        "version": "0.1.0",
        "blenders": ("4.5", "5.0"),
        "cpus": 2,
        "memory_mib": 4096,
        "device": "CPU",
        "heartbeat_seconds": 30,
        "started": START,
        "heard": START,
        "since": START,
        "state": workers.WorkerState.IDLE,
    }
    return workers.Worker.model_validate(given | changes)


def at_work(name: str = "w1", **changes: Any) -> workers.Worker:
    """Return a worker that holds batch 7 of a job."""
    held = workers.RenderingNow(
        job="shot-00000000000a",
        batch=7,
        frames="29-32",
        attempt=1,
        since=START,
        frames_left=4,
    )
    return a_worker(name, state=workers.WorkerState.RENDERING, rendering=held, **changes)
