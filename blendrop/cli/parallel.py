"""How are many things done at once, but not all at once?"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Thing = TypeVar("Thing")


async def each(
    things: Iterable[Thing], do: Callable[[Thing], Awaitable[None]], *, at_once: int
) -> None:
    """Do something with each thing, `at_once` of them at a time.

    The first failure stops the others and is raised as it is.
    """
    waiting = iter(things)

    async def work() -> None:
        for thing in waiting:
            await do(thing)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
