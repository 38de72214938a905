"""Traces by OpenTelemetry: how are spans made, which are kept, and how do they leave the process?

They leave in batches by a thread of their own, from a queue that is bounded: a collector that is
away or slow costs spans, and nothing else. Exporters are loaded by that thread, at the first batch,
so that no start of a process waits for them.
"""

import collections
import contextlib
import functools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation import tracecontext

from blendrop import ports
from blendrop.adapters import trace_contexts
from blendrop.domain.trace_context import Kind, trace_id
from blendrop.redaction import Redactor

# Soon, so that little is lost with a process that is killed.
_BATCH_MILLISECONDS = 300
_LARGEST_BATCH, _LARGEST_QUEUE = 256, 4096  # spans
_LONGEST_TEXT = 4096  # characters of an attribute
_CLOSING_SECONDS = 2.0  # a process that was asked to leave has little time
# What is held of traces that are not kept, in case something fails in them yet.
_HELD_TRACES, _HELD_SPANS = 64, 64

_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
# What our own names are called by OpenTelemetry's semantic conventions, or in their manner.
_NAMES = {
    "job": "blendrop.job.id",
    "batch": "blendrop.batch.number",
    "frame": "blendrop.frame.number",
    "attempt": "blendrop.attempt",
    "outcome": "blendrop.outcome",
    "failure": "error.type",
    "deliveries": "blendrop.message.deliveries",
    "messages": "messaging.batch.message_count",
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "invocation": "faas.invocation_id",
}
_PROPAGATOR = tracecontext.TraceContextTextMapPropagator()


class OtelSpans(trace_contexts.TraceContexts):
    """Carries out `ports.Spans`; a span is a child of its parent in whichever process that was."""

    def __init__(
        self,
        exporters: Sequence[Callable[[TracerProvider], SpanExporter]],
        *,
        resource: Mapping[str, str],
        share: float,
        redactor: Redactor,
    ) -> None:
        self._redactor = redactor
        self._provider = TracerProvider(
            sampler=sampling.ALWAYS_ON,  # which are kept is decided when they end
            resource=Resource.create(dict(resource)),
            shutdown_on_exit=False,
        )
        batches = [
            BatchSpanProcessor(
                _Late(functools.partial(exporter, self._provider)),
                max_queue_size=_LARGEST_QUEUE,
                schedule_delay_millis=_BATCH_MILLISECONDS,
                max_export_batch_size=_LARGEST_BATCH,
            )
            for exporter in exporters
        ]
        self._provider.add_span_processor(_Keeping(batches, share=share))
        self._tracer = self._provider.get_tracer("blendrop")

    def close(self) -> None:
        """Send what is left, for as long as there is time."""
        # By a thread that nobody waits for any longer, since an exporter in the middle of a request
        # cannot be interrupted.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSING_SECONDS)

    @contextlib.contextmanager
    def _opened(
        self,
        name: str,
        kind: Kind,
        parent: str,
        links: Collection[str],
        attributes: dict[str, str | float],
    ) -> Iterator[ports.Span]:
        linked = [one for one in links if trace_id(one)]
        here = self.here()
        if parent and trace_id(here) not in ("", trace_id(parent)):
            linked.append(here)
        with self._tracer.start_as_current_span(
            self._redactor.text(name),
            context=_context(parent or here),
            kind=_KINDS[kind],
            attributes=self._clean(attributes),
            links=[trace.Link(_of(one)) for one in linked],
            record_exception=False,  # by ourselves, since its text may hold what nobody may see
            set_status_on_exception=False,
            end_on_exit=False,
        ) as started:
            span = _Span(started, self._clean)
            try:
                yield span
            except Exception as raised:
                span.raised(raised)
                raise
            finally:
                span.end()

    def _clean(self, attributes: Mapping[str, str | float]) -> dict[str, str | float]:
        return {
            _NAMES.get(name, name): self._redactor.text(value)[:_LONGEST_TEXT]
            if isinstance(value, str)
            else value
            for name, value in attributes.items()
        }


class _Span(ports.Span):
    """Carries out `ports.Span`."""

    def __init__(
        self,
        span: trace.Span,
        clean: Callable[[Mapping[str, str | float]], dict[str, str | float]],
    ) -> None:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
        super().__init__(carrier.get("traceparent", ""))
        self._span = span
        self._clean = clean

    def rename(self, name: str) -> None:
        """Call it by another name, that was not known when it began."""
        self._span.update_name(name)

    def note(self, **attributes: str | float) -> None:
        """Say more of it."""
        if self._span.is_recording():  # it may have ended before its block
            self._span.set_attributes(self._clean(attributes))

    def fail(self, reason: str) -> None:
        """Let it count as failed, though nothing is raised."""
        if self._span.is_recording():
            told = str(self._clean({"reason": reason})["reason"])
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, told))

    def raised(self, error: Exception) -> None:
        """Say what ended its block."""
        if self._span.is_recording():
            kind = type(error).__name__
            self.note(failure=str(getattr(error, "failure_class", kind)))
            told = self._clean({"exception.type": kind, "exception.message": str(error)})
            self._span.add_event("exception", told)
            self.fail(str(error) or kind)

    def end(self) -> None:
        """End it before its block does; what is opened until then is its child all the same."""
        if self._span.is_recording():
            self._span.end()


def _context(traceparent: str) -> Context:
    # Without one it begins a trace of its own, whatever another library may have opened.
    return _PROPAGATOR.extract({"traceparent": traceparent}, context=Context())


def _of(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(_context(traceparent)).get_span_context()


class _Late(SpanExporter):
    """An exporter that is made when there is something to send: loading one takes time."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._make = make
        self._made: SpanExporter | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some spans."""
        if self._made is None:
            self._made = self._make()
        return self._made.export(spans)

    def shutdown(self) -> None:
        """Send no more."""
        if self._made is not None:
            self._made.shutdown()


class _Keeping(SpanProcessor):
    """Passes on the traces that are kept: a share of all, and those in which something fails here.

    The share is of trace ids, so that all processes keep the same traces without a word. A failure
    keeps what this process did and does in that trace; what other processes had done, they have
    let go of.
    """

    def __init__(self, onward: Sequence[SpanProcessor], *, share: float) -> None:
        self._onward = onward
        self._sampler = sampling.TraceIdRatioBased(share)
        self._held: collections.OrderedDict[int, collections.deque[ReadableSpan]] = (
            collections.OrderedDict()
        )
        self._failed: collections.OrderedDict[int, None] = collections.OrderedDict()
        self._deciding = threading.Lock()

    def on_end(self, span: ReadableSpan) -> None:
        """Pass a span on, or hold it in case something fails yet."""
        with self._deciding:
            for one in self._to_pass_on(span):
                for processor in self._onward:
                    processor.on_end(one)

    def _to_pass_on(self, span: ReadableSpan) -> Sequence[ReadableSpan]:
        context = span.get_span_context()
        number = context.trace_id if context is not None else 0
        sampled = self._sampler.should_sample(None, number, span.name).decision
        if sampled is sampling.Decision.RECORD_AND_SAMPLE or number in self._failed:
            return (span,)
        if span.status.status_code is trace.StatusCode.ERROR:
            self._failed[number] = None
            if len(self._failed) > _HELD_TRACES:
                self._failed.popitem(last=False)
            return (*self._held.pop(number, ()), span)
        self._held.setdefault(number, collections.deque(maxlen=_HELD_SPANS)).append(span)
        self._held.move_to_end(number)
        if len(self._held) > _HELD_TRACES:
            self._held.popitem(last=False)
        return ()

    def shutdown(self) -> None:
        """Send what is left."""
        for processor in self._onward:
            processor.shutdown()
