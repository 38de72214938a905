"""Traces that go on from process to process, and whose id is on every log line, told to nobody."""

import contextlib
import contextvars
import secrets
from collections.abc import Collection, Iterator

import structlog

from blendrop import ports
from blendrop.domain.trace_context import Kind, trace_id

_LOGGED = ("job", "batch", "frame", "attempt")
_here: contextvars.ContextVar[str] = contextvars.ContextVar("traceparent", default="")


class TraceContexts(ports.Spans):
    """Carries out `ports.Spans` where no exporter is configured.

    Spans get no ids of their own, since nobody would ever see them: whoever goes on from one goes
    on from the last that somebody may have seen.
    """

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: str = "",
        links: Collection[str] = (),
        **attributes: str | float,
    ) -> Iterator[ports.Span]:
        """Have a span for as long as the block runs."""
        parent = parent if trace_id(parent) else ""
        logged: dict[str, object] = {
            name: value for name, value in attributes.items() if name in _LOGGED
        }
        with self._opened(name, kind, parent, links, attributes) as span:
            token = _here.set(span.traceparent)
            try:
                with structlog.contextvars.bound_contextvars(
                    **logged, trace_id=trace_id(span.traceparent)
                ):
                    yield span
            finally:
                _here.reset(token)

    def here(self) -> str:
        """Return the trace context of the span that is open here, or nothing."""
        return _here.get()

    def close(self) -> None:
        """Send what is left, for as long as there is time; here it is nothing."""

    @contextlib.contextmanager
    def _opened(
        self,
        name: str,  # noqa: ARG002
        kind: Kind,  # noqa: ARG002
        parent: str,
        links: Collection[str],  # noqa: ARG002
        attributes: dict[str, str | float],  # noqa: ARG002
    ) -> Iterator[ports.Span]:
        yield ports.Span(parent or self.here() or _new_trace())


def _new_trace() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
