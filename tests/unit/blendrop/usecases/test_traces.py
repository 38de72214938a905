"""Whatever sends a batch's message, and whoever takes it up, stays in the job's trace."""

import contextlib
import dataclasses
import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from blendrop import ports
from blendrop.domain import jobs, messages
from blendrop.usecases import control, recover, render, submit
from blendrop.usecases.render import Outcome
from tests.doubles.farm import MemoryFarm
from tests.doubles.renderer import crash

TRACE = "0af7651916cd43dd8448eb211c80319c"
REQUEST = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclasses.dataclass
class Seen:
    """A span that was opened."""

    name: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    traceparent: str


class SeenSpans(ports.Spans):
    """Gives every span an id of its own, in its parent's trace, and keeps it."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._numbers = itertools.count(1)

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        *,
        kind: Any = "internal",
        parent: str = "",
        links: Collection[str] = (),
        **attributes: Any,
    ) -> Iterator[ports.Span]:
        """Keep a span."""
        trace = parent.split("-")[1] if parent else ""
        span = ports.Span(f"00-{trace}-{next(self._numbers):016x}-01")
        self.seen.append(Seen(name, parent, tuple(links), attributes, span.traceparent))
        yield span

    def named(self, name: str) -> list[Seen]:
        """Return the spans of a name."""
        return [one for one in self.seen if one.name == name]


@pytest.fixture
def farm(tmp_path: Path) -> MemoryFarm:
    """A farm in memory."""
    return MemoryFarm(tmp_path / "frames")


@pytest.fixture
def spans() -> SeenSpans:
    """What keeps the spans."""
    return SeenSpans()


async def a_job(farm: MemoryFarm, spans: SeenSpans) -> jobs.Job:
    """Return a job of one batch, as a request in a trace makes it."""
    made = await farm.queued_job("1-2")
    await farm.queue.delete(await farm.receive())
    standing = await farm.table.get_job(made.id)
    traced = standing.row.model_copy(
        update={"traceparent": REQUEST, "state": jobs.JobState.SUBMITTED}
    )
    await farm.table.replace_job(traced, etag=standing.etag)
    world = dataclasses.replace(farm.submission(), spans=spans)
    return await submit.finish(world, await farm.table.get_job(made.id))


async def message_of(farm: MemoryFarm) -> messages.BatchMessage:
    """Return the next message, and take it off the queue."""
    delivery = await farm.receive()
    await farm.queue.delete(delivery)
    return messages.decode(delivery.body)


async def test_a_message_goes_on_from_the_span_that_sent_it(
    farm: MemoryFarm, spans: SeenSpans
) -> None:
    """Which is a child of the request."""
    job = await a_job(farm, spans)

    (sent,) = spans.named("send render-batches")
    assert sent.parent == REQUEST
    assert sent.attributes == {"job": job.id, "messages": 1}
    assert (await message_of(farm)).traceparent == sent.traceparent


async def test_the_sweeper_and_a_retry_keep_the_trace(farm: MemoryFarm, spans: SeenSpans) -> None:
    """Though neither has part in the request."""
    job = await a_job(farm, spans)
    await message_of(farm)  # and it is lost
    await farm.clock.advance(600)
    await recover.sweep(dataclasses.replace(farm.submission(), spans=spans))
    swept = (await message_of(farm)).traceparent

    steering = dataclasses.replace(farm.control(), spans=spans)
    await control.cancel(steering, job.id, by="ann")
    await control.retry(steering, job.id, by="ann")
    retried = (await message_of(farm)).traceparent

    _, by_sweeper, by_retry = spans.named("send render-batches")
    assert (by_sweeper.parent, by_retry.parent) == (REQUEST, REQUEST)
    assert (swept, retried) == (by_sweeper.traceparent, by_retry.traceparent)


async def test_each_attempt_is_linked_to_the_one_before(farm: MemoryFarm, spans: SeenSpans) -> None:
    """By the batch's row, which whoever comes next reads."""
    job = await a_job(farm, spans)
    (sent,) = spans.named("send render-batches")
    farm.renderer.failing[2] = [crash(), crash()]
    for worker in ("w1", "w2"):
        world = dataclasses.replace(farm.rendering(worker), spans=spans)
        since = farm.clock.elapsed()
        attended = await render.attend(world, await farm.receive(), since=since)
        assert attended.outcome is Outcome.RETRY
        await farm.clock.advance(60)

    first, second = spans.named("claim batch")
    assert [one.parent for one in (first, second)] == [sent.traceparent] * 2
    assert (first.links, second.links) == (("",), (first.traceparent,))
    assert [one.attributes["attempt"] for one in (first, second)] == [1, 2]
    assert (await farm.batch(job.id)).traceparent == second.traceparent
    assert [one.attributes for one in spans.named("frame")] == [{"frame": n} for n in (1, 2, 2)]
