"""How does a test wait for what sets no event?"""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object]) -> None:
    """Return once something holds in a double, in the farm or in a folder.

    Raises:
        TimeoutError: it did not within 15 s.
    """
    async with asyncio.timeout(15):
        while not holds():  # noqa: ASYNC110 there is no event
            await asyncio.sleep(0.005)
