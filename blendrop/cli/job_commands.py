"""How does a person look at jobs? `blendrop jobs`, `show`, `watch` and `logs`."""

from typing import Annotated

import typer

from blendrop.cli import command, farm_api, outcome, terminal, views, watch
from blendrop.cli.command import Session

JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, as `blendrop jobs` lists.")]
Every = Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")]
_PAGE = 100  # jobs in one answer


def add_to(app: typer.Typer) -> None:
    """Make the commands some of `app`."""
    command.add(app, example="blendrop jobs --state rendering")(jobs)
    command.add(app, example="blendrop show opening-0f3a92c1d4e5")(show)
    command.add(app, example="blendrop watch opening-0f3a92c1d4e5", name="watch")(watch_job)
    command.add(app, example="blendrop logs opening-0f3a92c1d4e5 --frame 3")(logs)


async def jobs(
    session: Session,
    *,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
) -> outcome.ExitCode:
    """List jobs, newest first."""
    found: list[views.Json] = []
    token = ""
    while len(found) < limit:
        query = {"limit": str(min(_PAGE, limit - len(found)))}
        query |= {"state": state} if state else {}
        query |= {"token": token} if token else {}
        page = views.read(views.Page, await session.api.get("/jobs", query))
        found.extend(page.jobs)
        token = page.next or ""
        if not token:
            break
    if session.terminal.as_json:
        session.terminal.document({"jobs": found[:limit]})
        return outcome.ExitCode.DONE
    rows = [views.read(views.Job, one) for one in found[:limit]]
    session.terminal.table(
        ("job", "state", "frames", "count", "created", "owner", "reason"),
        [
            (one.id, one.state, one.frames, one.frame_count, one.created, one.owner, one.reason)
            for one in rows
        ],
    )
    return outcome.ExitCode.DONE


async def show(session: Session, job: JobId) -> outcome.ExitCode:
    """Show a job: its state and the reason for it, how far it is, and what failed."""
    answer = await session.api.get(farm_api.job(job))
    view = views.read(views.JobView, answer)
    if session.terminal.as_json:
        session.terminal.document(answer)
    else:
        _show(session.terminal, view)
    return outcome.ExitCode.DONE


def _show(shown: terminal.Terminal, view: views.JobView) -> None:
    job = view.job
    shown.say(f"job       {job.id}")
    shown.say(f"state     {job.state}: {job.reason}")
    shown.say(f"scene     {job.scene.name} ({terminal.size(job.scene.size)})")
    shown.say(f"frames    {job.frames or '-'}: {watch.how_far(view)}")
    wasted = f", {terminal.duration(view.wasted_seconds)} in vain" if view.wasted_seconds else ""
    attempts = "" if view.attempts is None else f" in {view.attempts} attempts"
    shown.say(f"rendered  {terminal.duration(view.render_seconds)}{attempts}{wasted}")
    if view.cost is not None:
        _show_cost(shown, view.cost)
    for one in view.workers:
        shown.say(
            f"worker    {one.worker}: batch {one.batch}, frames {one.frames}, "
            f"{one.frames_done} of them done{f', waits: {one.waits}' if one.waits else ''}"
        )
    for flagged in view.flagged:
        shown.say(f"look at   frame {flagged.frame}: {', '.join(flagged.flags)}")
    for failure in view.failures:
        shown.say(watch.failure_line(failure))


def _show_cost(shown: terminal.Terminal, cost: views.Cost) -> None:
    more = "" if cost.per_frame is None else f", {terminal.money(cost.per_frame)} a frame"
    if cost.projected is not None:
        more += f", {terminal.money(cost.projected)} in the end"
    shown.say(f"cost      {terminal.money(cost.so_far)} {cost.currency} so far{more}")
    for part in cost.parts:
        shown.say(f"          {terminal.money(part.cost)} for {part.amount:,.0f} × {part.what}")
    if cost.lacks:
        shown.say(f"          without {', '.join(cost.lacks)}")


async def watch_job(session: Session, job: JobId, *, every: Every = 1.0) -> outcome.ExitCode:
    """Show a job while it renders, until it has ended; the exit code says how it did."""
    session.if_stopped = f"stopped; the job goes on: blendrop watch {job}"
    view = await watch.until_ended(session.api.changes(job, every=every), session.terminal)
    return outcome.OF_STATE[view.job.state]


async def logs(
    session: Session,
    job: JobId,
    *,
    frame: Annotated[
        int | None, typer.Option(help="What Blender printed when it rendered this frame.")
    ] = None,
) -> outcome.ExitCode:
    """Tell what happened to a job, in order; or show Blender's output for one frame."""
    if frame is not None:
        text = await session.api.text(farm_api.job(job, f"/frames/{frame}/log"))
        if session.terminal.as_json:
            session.terminal.document({"job": job, "frame": frame, "log": text})
        else:
            session.terminal.text(text)
        return outcome.ExitCode.DONE
    answer = await session.api.get(farm_api.job(job, "/events"))
    if session.terminal.as_json:
        session.terminal.document(answer)
        return outcome.ExitCode.DONE
    for event in views.read(views.Events, answer).events:
        by = f" by {event.by}" if event.by else ""
        session.terminal.say(f"{event.at}  {event.kind}{by}: {event.reason}")
    return outcome.ExitCode.DONE
