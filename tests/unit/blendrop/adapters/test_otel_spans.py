"""Spans hang together, say nothing that nobody may see, and those of a failure are kept."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from blendrop import errors
from blendrop.adapters.otel_spans import OtelSpans
from blendrop.adapters.trace_contexts import TraceContexts
from blendrop.domain import trace_context
from blendrop.redaction import Redactor

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
ELSEWHERE = "00-11111111111111111111111111111111-2222222222222222-01"
PLANTED = "cGxhbnRlZA"


class Kept(SpanExporter):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep some spans."""
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


class Told:
    """Spans, and what of them was told by the time that they were closed."""

    def __init__(self, *, share: float = 1) -> None:
        self._exporter = Kept()
        self.spans = OtelSpans(
            [lambda _: self._exporter],
            resource={"service.name": "test"},
            share=share,
            redactor=Redactor(["a known secret"]),
        )

    def all(self) -> dict[str, ReadableSpan]:
        """Close, and return each span by its name."""
        self.spans.close()
        return {one.name: one for one in self._exporter.spans}


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Return the ids of a span's trace, of itself, and of its parent."""
    context = span.get_span_context()
    assert context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent else ""
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", parent


async def test_a_span_goes_on_from_its_parent_and_others_from_it() -> None:
    """Over tasks, too; and a span may end before what it began."""
    told = Told()
    with told.spans.span("message", kind="consumer", parent=PARENT, job="shot") as message:
        assert told.spans.here() == message.traceparent
        with told.spans.span("claim", parent=PARENT, links=(ELSEWHERE, "", "nonsense")) as claim:
            claim.end()

            async def render() -> None:
                with told.spans.span("frame", frame=7):
                    await asyncio.sleep(0)

            await asyncio.gather(render())
            claim.note(outcome="too late, and no matter")
    assert told.spans.here() == ""

    spans = told.all()
    assert ids(spans["message"])[::2] == (TRACE, PARENT.split("-")[2])
    assert ids(spans["claim"])[::2] == (TRACE, PARENT.split("-")[2])
    assert ids(spans["frame"]) == (TRACE, ids(spans["frame"])[1], ids(spans["claim"])[1])
    assert message.traceparent == f"00-{TRACE}-{ids(spans['message'])[1]}-01"
    assert [f"{link.context.trace_id:032x}" for link in spans["claim"].links] == ["1" * 32]
    assert spans["message"].kind is SpanKind.CONSUMER
    assert dict(spans["message"].attributes or {}) == {"blendrop.job.id": "shot"}
    assert int(spans["claim"].end_time or 0) <= int(spans["frame"].start_time or 0)


def test_a_span_that_belongs_elsewhere_is_linked_to_where_it_was_opened() -> None:
    """So that whoever looks at a retry finds the request for it."""
    told = Told()
    with told.spans.span("retry", parent=ELSEWHERE), told.spans.span("send", parent=PARENT):
        pass

    spans = told.all()
    (link,) = spans["send"].links
    assert f"{link.context.span_id:016x}" == ids(spans["retry"])[1]
    assert ids(spans["send"])[0] == TRACE


def test_a_failure_says_why_and_no_secret() -> None:
    """In its status, its attributes and its event."""
    told = Told()
    failed = errors.FrameError(
        errors.FailureClass.CRASH, f"GET https://farm/?sig={PLANTED} a known secret", "Look"
    )
    with (
        pytest.raises(errors.FrameError),
        told.spans.span("frame", frame=1, address=f"https://farm/?sig={PLANTED}"),
    ):
        raise failed

    span = told.all()["frame"]
    said = span.to_json()
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {})["error.type"] == "crash"
    assert "sig=[redacted] [redacted]" in str(span.status.description)
    assert "sig=[redacted]" in str((span.events[0].attributes or {})["exception.message"])
    assert PLANTED not in said
    assert "a known secret" not in said


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_traces_is_kept_and_every_failure(share: float) -> None:
    """With what this process had done in that trace before, and does after."""
    told = Told(share=share)
    with told.spans.span("whole", parent=ELSEWHERE):
        pass
    with told.spans.span("batch", parent=PARENT):
        with told.spans.span("frame 1"):
            pass
        with told.spans.span("frame 2") as frame:
            frame.fail("it is damaged")
    with told.spans.span("next batch", parent=PARENT):
        pass

    of_failure = {"batch", "frame 1", "frame 2", "next batch"}
    assert set(told.all()) == of_failure | ({"whole"} if share else set())


def test_what_is_held_in_case_of_a_failure_is_bounded() -> None:
    """However many traces a process has part in."""
    told = Told(share=0)
    for number in range(1, 300):
        with told.spans.span("early", parent=f"00-{number:032x}-{1:016x}-01"):
            pass
    with told.spans.span("failed", parent=f"00-{1:032x}-{1:016x}-01") as span:
        span.fail("long after")

    assert set(told.all()) == {"failed"}


@pytest.mark.parametrize("told_to", ["nobody", "a collector"])
def test_lines_carry_the_trace_and_what_the_span_is_about(told_to: str) -> None:
    """Whether it is told to anyone or not; outside of it they do not."""
    spans = TraceContexts() if told_to == "nobody" else Told().spans

    def seen() -> dict[str, Any]:
        return structlog.contextvars.get_contextvars()

    with spans.span("batch", parent=PARENT, job="shot", batch=2, deliveries=1):
        with spans.span("frame", frame=7):
            assert seen() == {"trace_id": TRACE, "job": "shot", "batch": 2, "frame": 7}
        assert seen() == {"trace_id": TRACE, "job": "shot", "batch": 2}
    assert seen() == {}
    with spans.span("of its own") as span:
        assert seen()["trace_id"] == trace_context.trace_id(span.traceparent) != ""
    spans.close()


def test_without_a_collector_others_go_on_from_the_last_that_was_told() -> None:
    """A span that nobody is told of would leave a gap in the trace."""
    spans = TraceContexts()
    with spans.span("batch", parent=PARENT) as batch, spans.span("frame") as frame:
        assert batch.traceparent == frame.traceparent == PARENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        f"00-{TRACE}-b7ad6b7169203331",
        PARENT.upper(),
        f"00-{'0' * 32}-{'1' * 16}-01",
    ],
)
def test_what_is_no_trace_context_begins_a_new_trace(text: str) -> None:
    """A client may send anything."""
    told = Told()
    assert trace_context.trace_id(text) == ""
    with told.spans.span("request", parent=text):
        pass

    trace, _, parent = ids(told.all()["request"])
    assert (trace != TRACE, parent) == (True, "")
