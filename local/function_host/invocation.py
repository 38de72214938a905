"""How is a function called, and what does the log say of it?"""

import asyncio
import inspect
import logging
import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import azure.functions as func

from local.function_host.hosted_function import HostedFunction

log = logging.getLogger("local.function_host")


@dataclass(frozen=True)
class TraceContext:
    """The W3C trace context that a function can take up."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Context(func.Context):
    """What a function may know about its invocation."""

    # The base class declares these as abstract properties, which fields of a dataclass do not
    # count as until they are assigned in the class body.
    function_name: str = ""
    invocation_id: str = ""
    function_directory: str = ""
    trace_context: TraceContext = TraceContext("")  # type: ignore[assignment]
    retry_context: None = None  # type: ignore[assignment]
    thread_local_storage: type[threading.local] = threading.local


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to."""

    succeeded: bool
    returned: Any = None


async def invoke(
    function: HostedFunction, argument: object, *, reason: str, trace_parent: str = ""
) -> Outcome:
    """Call a function with the trigger's argument, and log how it went.

    Whatever the function raises is its failure, not the host's: it is logged, and the outcome says
    so. A function that is no coroutine runs in a thread, as in Azure's worker.
    """
    context = Context(
        function_name=function.name,
        invocation_id=str(uuid.uuid4()),
        function_directory=str(Path.cwd()),
        trace_context=TraceContext(trace_parent or _new_trace()),
    )
    arguments: dict[str, object] = {function.setting("name"): argument}
    if function.wants_context():
        arguments["context"] = context
    log.info("%s started: %s (invocation %s)", function.name, reason, context.invocation_id)
    started = time.monotonic()
    try:
        if inspect.iscoroutinefunction(function.call):
            returned = await function.call(**arguments)
        else:
            returned = await asyncio.to_thread(function.call, **arguments)
    except Exception:
        log.exception("%s failed %s", function.name, _after(started, context))
        return Outcome(succeeded=False)
    log.info("%s succeeded %s", function.name, _after(started, context))
    return Outcome(succeeded=True, returned=returned)


def _after(started: float, context: Context) -> str:
    milliseconds = (time.monotonic() - started) * 1000
    return f"after {milliseconds:.0f} ms (invocation {context.invocation_id})"


def _new_trace() -> str:
    """Return the start of a new trace (W3C Trace Context: version, trace id, parent id, flags)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
