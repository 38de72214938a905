"""What do all commands have in common? Where the farm is, how they answer, and how they end."""

import asyncio
import contextlib
import errno
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from blendrop import errors, settings
from blendrop.cli import farm_api, outcome, patience, terminal

_PANEL = "The farm, and how to answer"

Url = Annotated[
    str,
    typer.Option(
        envvar=settings.CLIENT_URL, help="Where the farm's API is.", rich_help_panel=_PANEL
    ),
]
Key = Annotated[
    str,
    typer.Option(
        envvar=settings.CLIENT_KEY, help="The farm's function key.", rich_help_panel=_PANEL
    ),
]
Token = Annotated[
    str,
    typer.Option(envvar=settings.CLIENT_TOKEN, help="A token of Entra ID.", rich_help_panel=_PANEL),
]
PatienceSeconds = Annotated[
    float,
    typer.Option(
        "--patience",
        min=0,
        envvar=settings.CLIENT_PATIENCE,
        help="How many seconds to wait for a farm that is away or too busy.",
        rich_help_panel=_PANEL,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Answer in JSON: one document a line.", rich_help_panel=_PANEL),
]


@dataclass
class Session:
    """One command under way."""

    api: farm_api.FarmApi
    terminal: terminal.Terminal
    if_stopped: str = "stopped"  # what Ctrl-C leaves behind


# A session, then the command's own options, which typer reads from the signature.
Command = Callable[..., Awaitable[outcome.ExitCode]]


def add(app: typer.Typer, *, example: str, name: str | None = None) -> Callable[[Command], Command]:
    """Return what makes a function a command of `app`; `example` ends its help.

    The function is handed a session before its own options.
    """

    def decorate(function: Command) -> Command:
        def run(
            *,
            url: Url = "http://127.0.0.1:7071",
            key: Key = "",
            token: Token = "",
            patience: PatienceSeconds = 120.0,
            as_json: AsJson = False,
            **given: object,
        ) -> None:
            shown = terminal.Terminal(as_json=as_json)
            opened = _session(shown, url=url, key=key, token=token, seconds=patience)
            raise typer.Exit(_end(shown, opened, functools.partial(function, **given)))

        _take_over(run, function)
        epilog = f"Example: {example}"
        app.command(name or function.__name__.replace("_", "-"), epilog=epilog)(run)
        return function

    return decorate


def _take_over(run: Callable[..., None], function: Callable[..., object]) -> None:
    """Give `run` the function's own options, before those that all commands have."""
    own = list(inspect.signature(function).parameters.values())[1:]
    common = [
        one for one in inspect.signature(run).parameters.values() if one.kind is one.KEYWORD_ONLY
    ]
    listed = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + common
    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    run.__annotations__ = {one.name: one.annotation for one in listed}
    run.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def _session(
    shown: terminal.Terminal, *, url: str, key: str, token: str, seconds: float
) -> AsyncIterator[Session]:
    async with farm_api.client(url, key=key, token=token) as http:
        if (key or token) and farm_api.in_clear(http.base_url):
            shown.tell(f"anyone on the way to {http.base_url.host} can read the key: give https")
        waiting = patience.Patience(seconds=seconds, tell=shown.tell)
        yield Session(farm_api.FarmApi(http, waiting), shown)


def _end(
    shown: terminal.Terminal,
    opened: contextlib.AbstractAsyncContextManager[Session],
    do: Callable[[Session], Awaitable[outcome.ExitCode]],
) -> outcome.ExitCode:
    """Run a command to its end, however that is; return its exit code."""
    left = ["stopped"]

    async def within() -> outcome.ExitCode:
        async with opened as session:
            try:
                return await do(session)
            finally:
                left.append(session.if_stopped)

    try:
        return asyncio.run(within())
    except KeyboardInterrupt:
        shown.tell(left[-1])
        return outcome.ExitCode.INTERRUPTED
    except (errors.BlendropError, OSError) as failure:
        if isinstance(failure, OSError) and failure.errno == errno.EPIPE:
            raise  # whoever read our output has enough: typer ends quietly
        first, *others = outcome.lines_of(failure)
        shown.tell(first)
        for line in others:
            shown.tell_more(line)
        if shown.as_json:
            shown.document(outcome.document_of(failure))
        return outcome.code_of(failure)
