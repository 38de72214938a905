"""Is no more work taken while too much waits?"""

import asyncio
import datetime

import pytest

from blendrop import errors
from blendrop.adapters.memory_storage import MemoryBatchQueue
from functions import back_pressure
from tests.doubles import guarded_app
from tests.doubles.clock import ManualClock


class CountingQueue(MemoryBatchQueue):
    """A queue that counts how often its depth is asked for."""

    looks = 0

    async def depth(self) -> int:
        """Return how many messages there are."""
        self.looks += 1
        await asyncio.sleep(0)
        return await super().depth()


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock."""
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> CountingQueue:
    """Return an empty queue."""
    return CountingQueue(clock)


async def test_there_is_room_up_to_the_mark(queue: CountingQueue, clock: ManualClock) -> None:
    """And again once workers have caught up."""
    backlog = back_pressure.Backlog(queue, clock, at_most=2)
    for _ in range(2):
        queue.put_text("batch")
    await backlog.check()
    queue.put_text("batch")
    await backlog.check()  # what was seen a moment ago still counts
    await clock.advance(2)
    with pytest.raises(errors.BacklogError, match=r"3 batches wait .* 2 may; nothing was written"):
        await backlog.check()
    delivery = await queue.receive(lease=datetime.timedelta(seconds=60))
    assert delivery is not None
    await queue.delete(delivery)
    await clock.advance(2)
    await backlog.check()


async def test_many_requests_look_once(queue: CountingQueue, clock: ManualClock) -> None:
    """A rush is just when looking must not cost."""
    backlog = back_pressure.Backlog(queue, clock, at_most=2)
    await asyncio.gather(*(backlog.check() for _ in range(100)))
    assert queue.looks == 1


async def test_over_http_it_is_503_with_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, queue: CountingQueue, clock: ManualClock
) -> None:
    """As problem details."""
    guarded_app.given(monkeypatch, clock=clock, queue=queue, auth="anonymous", backlog="1")
    async with guarded_app.client() as http:
        taken = await http.post("/api/heavy")
        queue.put_text("batch")
        queue.put_text("batch")
        await clock.advance(2)
        refused = await http.post("/api/heavy")

    assert taken.status_code == 200
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["content-type"] == "application/problem+json"
    assert "nothing was written" in refused.json()["detail"]
