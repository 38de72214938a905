"""How does a person steer a job? By `blendrop cancel`, `pause`, `retry` and their like."""

import sys
from typing import Annotated

import typer

from blendrop.cli import command, farm_api, outcome, views
from blendrop.cli.command import Session
from blendrop.cli.job_commands import JobId
from blendrop.domain import job_settings


def add_to(app: typer.Typer) -> None:
    """Make the commands some of `app`."""
    command.add(app, example="blendrop cancel opening-0f3a92c1d4e5")(cancel)
    command.add(app, example="blendrop pause opening-0f3a92c1d4e5")(pause)
    command.add(app, example="blendrop resume opening-0f3a92c1d4e5")(resume)
    command.add(app, example="blendrop retry opening-0f3a92c1d4e5")(retry)
    command.add(app, example="blendrop priority opening-0f3a92c1d4e5 high")(priority)
    command.add(app, example="blendrop delete opening-0f3a92c1d4e5 --yes")(delete)


async def cancel(session: Session, job: JobId) -> outcome.ExitCode:
    """Stop a job; the frames it has stay."""
    return await _steer(session, job, "/cancel")


async def pause(session: Session, job: JobId) -> outcome.ExitCode:
    """Let a job wait; the frames in hand are finished."""
    return await _steer(session, job, "/pause")


async def resume(
    session: Session,
    job: JobId,
    *,
    max_cost: Annotated[
        float | None,
        typer.Option(help="What it may cost from now on; a job held for its cost needs more."),
    ] = None,
) -> outcome.ExitCode:
    """Let a paused job go on."""
    body = None if max_cost is None else {"max_cost": max_cost}
    return await _steer(session, job, "/resume", body)


async def retry(session: Session, job: JobId) -> outcome.ExitCode:
    """Render the frames of an ended job that are missing, and no other."""
    return await _steer(session, job, "/retry")


async def priority(
    session: Session,
    job: JobId,
    level: Annotated[
        job_settings.Priority, typer.Argument(case_sensitive=False, help="Which jobs go first.")
    ],
) -> outcome.ExitCode:
    """Let a job go before others, or no longer."""
    return await _steer(session, job, "/priority", {"priority": level})


async def delete(
    session: Session,
    job: JobId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> outcome.ExitCode:
    """Remove an ended job with all its frames from the farm."""
    if not yes:
        if not sys.stdin.isatty():
            session.terminal.tell("there is nobody to ask: give --yes to delete a job's frames")
            return outcome.ExitCode.USAGE
        if not typer.confirm(f"Delete job {job} and all its frames?", err=True):
            session.terminal.tell("nothing was deleted")
            return outcome.ExitCode.USAGE
    await session.api.delete(farm_api.job(job))
    if session.terminal.as_json:
        session.terminal.document({"job": job, "deleted": True})
    else:
        session.terminal.say(f"{job} is deleted")
    return outcome.ExitCode.DONE


async def _steer(
    session: Session, job: str, how: str, body: views.Json | None = None
) -> outcome.ExitCode:
    answer = await session.api.post(farm_api.job(job, how), body)
    view = views.read(views.JobView, answer)
    if session.terminal.as_json:
        session.terminal.document(answer)
    else:
        session.terminal.say(f"{view.job.id} is {view.job.state}: {view.job.reason}")
    return outcome.ExitCode.DONE
