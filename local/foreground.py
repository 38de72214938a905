"""How does a command for people run, and end when they ask it to?"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from blendrop import errors

# Exit codes of programs ended by a signal (128 and its number), as shells report them.
_INTERRUPTED = 128 + signal.SIGINT


def run(command: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end and return its exit code.

    Ctrl-C, SIGTERM and a closed terminal cancel it, so that it stops all it started; what it cannot
    do is said in one line and ends in exit code 1.
    """
    try:
        return asyncio.run(_until_asked(command))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return _INTERRUPTED
    except errors.BlendropError as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1


async def _until_asked(command: Coroutine[Any, Any, int]) -> int:
    asked: list[int] = []
    running = asyncio.ensure_future(command)

    def stop(number: int) -> None:
        asked.append(number)
        running.cancel()

    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(wanted, stop, wanted)
    try:
        return await running
    except asyncio.CancelledError:
        if not asked:
            raise
        print("stopped", file=sys.stderr)
        return 128 + asked[0]
