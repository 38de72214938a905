"""How does a person look at the farm? `blendrop workers` and `farm`."""

import pydantic
import typer

from blendrop.cli import command, outcome, views
from blendrop.cli.command import Session


class _Workers(pydantic.BaseModel):
    workers: list[views.Json]


def add_to(app: typer.Typer) -> None:
    """Make the commands some of `app`."""
    command.add(app, example="blendrop workers")(workers)
    command.add(app, example="blendrop farm")(farm)


async def workers(session: Session) -> outcome.ExitCode:
    """List the workers: what they have, what they render, and why one is thought dead."""
    answer = await session.api.get("/workers")
    listed = views.read(_Workers, answer).workers
    if session.terminal.as_json:
        session.terminal.document(answer)
    elif listed:
        session.terminal.rows(listed)
    else:
        session.terminal.say("there is no worker now; `blendrop farm` says why")
    return outcome.ExitCode.DONE


async def farm(session: Session) -> outcome.ExitCode:
    """Sum up the farm: what waits, who works, and why nothing is rendering if nothing is."""
    answer = await session.api.get("/farm")
    if session.terminal.as_json:
        session.terminal.document(answer)
    else:
        session.terminal.details(answer)
    return outcome.ExitCode.DONE
