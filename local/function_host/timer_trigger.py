"""When does a timer trigger fire?"""

import asyncio
import datetime
import logging

import azure.functions.timer

from local.function_host import invocation, ncrontab, storage
from local.function_host.hosted_function import HostedFunction

log = logging.getLogger("local.function_host")


class TimerTrigger:
    """One function that the clock sets off; it never runs beside itself.

    Raises:
        InvalidRequestError: its schedule cannot be read.
    """

    def __init__(self, function: HostedFunction) -> None:
        self._function = function
        self._schedule = ncrontab.parse(function.setting("schedule"))
        self._on_startup = bool(function.trigger.get("runOnStartup"))

    async def run(self, stopping: asyncio.Event) -> None:
        """Fire at every due moment, until asked to stop.

        A moment that passes while the function runs is made up for once, as past due.
        """
        if self._on_startup and not stopping.is_set():
            await self._fire(past_due=False, reason="the host starts")
        last = _now()
        while (due := self._schedule.next_after(last)) is not None:
            past_due = due < _now() - datetime.timedelta(seconds=1)
            await storage.pause(stopping, max((due - _now()).total_seconds(), 0))
            if stopping.is_set():
                return
            # The sleep may end a little early by this clock: the moment counts as passed.
            last = max(due, _now())
            await self._fire(past_due=past_due, reason=f"its schedule is due ({due.isoformat()})")
        log.warning("%s is never due: %s", self._function.name, self._function.setting("schedule"))

    async def _fire(self, *, past_due: bool, reason: str) -> None:
        request = azure.functions.timer.TimerRequest(past_due=past_due)
        await invocation.invoke(self._function, request, reason=reason)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
