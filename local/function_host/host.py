"""How do all triggers of an app run together, and how do they end?"""

import asyncio
import logging
import signal
from collections.abc import Mapping, Sequence
from typing import Protocol

import azure.functions as func

from local.function_host import host_json, hosted_function
from local.function_host.blob_trigger import BlobTrigger
from local.function_host.hosted_function import HostedFunction
from local.function_host.http_trigger import HttpTriggers
from local.function_host.queue_trigger import QueueTrigger
from local.function_host.timer_trigger import TimerTrigger

log = logging.getLogger("local.function_host")

_GRACE = 5.0  # seconds for invocations in hand after the host was asked to stop


class Trigger(Protocol):
    """What sets functions off until the host is asked to stop."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Fire until asked to stop; then let the invocations in hand end, and return."""
        ...


async def run(
    app: func.FunctionApp,
    settings: host_json.Extensions,
    environment: Mapping[str, str],
    *,
    port: int,
) -> None:
    """Run all functions of an app until SIGTERM or SIGINT.

    Raises:
        InvalidRequestError: a function cannot be run here.
        UnavailableError: the port is taken.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stopping.set)
    functions = hosted_function.read(app, environment)
    await run_until(stopping, triggers(functions, settings, port=port))
    if isinstance(app, func.AsgiFunctionApp) and app.startup_task_done:
        await app.middleware.notify_shutdown()


def triggers(
    functions: Sequence[HostedFunction], settings: host_json.Extensions, *, port: int
) -> list[Trigger]:
    """Return the triggers of an app; those of HTTP listen from now on. Raises as `run` does."""
    found: list[Trigger] = []
    for function in functions:
        if function.kind == "blobTrigger":
            found.append(BlobTrigger(function, settings.blobs))
        elif function.kind == "queueTrigger":
            found.append(QueueTrigger(function, settings.queues))
        elif function.kind == "timerTrigger":
            found.append(TimerTrigger(function))
        log.info("%s waits for its %s", function.name, function.kind)
    http = [function for function in functions if function.kind == "httpTrigger"]
    if http:
        served = HttpTriggers(http, route_prefix=settings.http.route_prefix, port=port)
        log.info("HTTP on http://127.0.0.1:%s", served.port)
        found.append(served)
    return found


async def run_until(
    stopping: asyncio.Event, started: Sequence[Trigger], *, grace: float = _GRACE
) -> None:
    """Run triggers until asked to stop, and `grace` seconds longer at most."""
    running = asyncio.create_task(_all(started, stopping))
    stop_requested = asyncio.create_task(stopping.wait())
    await asyncio.wait({running, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
    stop_requested.cancel()
    _, late = await asyncio.wait({running}, timeout=grace)
    if late:
        log.warning("invocations still ran %s s after the host was asked to stop", grace)
        running.cancel()
        await asyncio.wait({running})
        return
    await running


async def _all(started: Sequence[Trigger], stopping: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as together:
        for trigger in started:
            together.create_task(trigger.run(stopping))
