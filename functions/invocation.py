"""Where does a call of a function stand in its trace, and what is the host told of its failure?

The host logs the text of whatever a function raises, by a way that does not lead past our log
lines: what nobody may see has to be out of it before.
"""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import structlog
from starlette import types
from starlette.datastructures import Headers

from blendrop import errors, ports
from blendrop.domain import trace_context
from functions import world

log = structlog.stdlib.get_logger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class FailedInvocationError(errors.BlendropError):
    """A function failed, for a reason whose own words are not fit to be told."""


@contextlib.contextmanager
def of(context: func.Context) -> Iterator[ports.Span]:
    """Have a span for a call that a trigger made."""
    with (
        world.spans().span(
            context.function_name,
            kind=_kind("consumer"),
            parent=context.trace_context.trace_parent or "",
            invocation=context.invocation_id,
        ) as span,
        _fit_to_be_told(),
    ):
        yield span


class Tracing:
    """Has a span for each request that may change something.

    The host knows of every request; people who look again and again would fill the traces.
    """

    def __init__(self, app: types.ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Attend to one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = _parent(scope)
        if scope["method"] not in _READING:
            await self._traced(parent, scope, receive, send)
            return
        known = structlog.contextvars.bound_contextvars(trace_id=trace_context.trace_id(parent))
        with known, _fit_to_be_told():
            await self._app(scope, receive, send)

    async def _traced(
        self, parent: str, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        method = scope["method"]
        with world.spans().span(
            method,
            kind=_kind("server"),
            parent=parent,
            method=method,
            invocation=scope.get("azure_functions.invocation_id") or "",
        ) as span:

            async def sending(message: types.Message) -> None:
                if message["type"] == "http.response.start":
                    span.note(status=message["status"])
                    if message["status"] >= 500:
                        span.fail(f"answered {message['status']}")
                await send(message)

            try:
                with _fit_to_be_told():
                    await self._app(scope, receive, sending)
            finally:
                if route := _route(scope):
                    span.note(route=route)
                    span.rename(f"{method} {route}")


def _kind(kind: trace_context.Kind) -> trace_context.Kind:
    """Return the kind of a call's span.

    The host tells Application Insights of each call itself: told twice it would count double.
    """
    return "internal" if world.settings().insights else kind


def _parent(scope: types.Scope) -> str:
    """Return the host's trace context, or the client's where the host has none."""
    given: Any = scope.get("azure_functions.trace_context")
    hosts = getattr(given, "trace_parent", "") or ""
    return hosts or Headers(scope=scope).get("traceparent", "")


def _route(scope: types.Scope) -> str:
    """Return the path with parameters in place of their values; nothing if no endpoint was found.

    The route that Starlette leaves knows only its own part of the path.
    """
    if "endpoint" not in scope:
        return ""
    path = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(f"/{value}", f"/{{{name}}}")
    return path


@contextlib.contextmanager
def _fit_to_be_told() -> Iterator[None]:
    try:
        yield
    except Exception as failed:
        log.exception("invocation_failed")
        shown = "".join(traceback.format_exception(failed))
        if world.redactor().text(shown) == shown:
            raise
        told = world.redactor().text(f"{type(failed).__name__}: {failed}")
        # From none: the host shows what an error came from, too.
        raise FailedInvocationError(told) from None
