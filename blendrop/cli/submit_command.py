"""How is a scene handed to a farm? `blendrop submit`."""

from pathlib import Path
from typing import Annotated

import typer

from blendrop.cli import command, outcome, submission, views, watch
from blendrop.cli.command import Session
from blendrop.domain import frames as frame_ranges
from blendrop.domain import job_settings

_JOB = "The job (what is not given, the .blend says)"
# A farm has its own limit and says it; this one keeps a slip of the pen from filling the memory.
_MOST_FRAMES = 2_000_000


def add_to(app: typer.Typer) -> None:
    """Make the command one of `app`."""
    command.add(app, example="blendrop submit shot.blend --frames 1-250 --watch")(submit)


async def submit(
    session: Session,
    scene_path: Annotated[
        Path,
        typer.Argument(
            metavar="SCENE.blend", exists=True, dir_okay=False, readable=True, help="The scene."
        ),
    ],
    *,
    frames: Annotated[
        str | None,
        typer.Option(help="Like 1-250, 1-20x2 or 3,7,12-15.", rich_help_panel=_JOB),
    ] = None,
    scene: Annotated[
        str | None, typer.Option(help="A scene of the .blend, by name.", rich_help_panel=_JOB)
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="A camera of that scene, by name.", rich_help_panel=_JOB)
    ] = None,
    engine: Annotated[
        job_settings.Engine | None,
        typer.Option(case_sensitive=False, help="What renders.", rich_help_panel=_JOB),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=65_536, help="For each pixel.", rich_help_panel=_JOB)
    ] = None,
    resolution_percent: Annotated[
        int | None, typer.Option(min=1, max=400, help="Of the size.", rich_help_panel=_JOB)
    ] = None,
    format: Annotated[  # noqa: A002 it is the setting's name
        job_settings.ImageFormat | None,
        typer.Option(case_sensitive=False, help="Of the images.", rich_help_panel=_JOB),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Frames that a worker takes at once.", rich_help_panel=_JOB),
    ] = None,
    priority: Annotated[
        job_settings.Priority,
        typer.Option(case_sensitive=False, help="Which jobs go first.", rich_help_panel=_JOB),
    ] = "normal",
    allow_missing_files: Annotated[
        bool,
        typer.Option(
            "--allow-missing-files",
            help="Render without files that the scene lacks.",
            rich_help_panel=_JOB,
        ),
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="Hold the job when it is projected to cost more, in the farm's currency.",
            rich_help_panel=_JOB,
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(help="A URL that is told when the job ends.", rich_help_panel=_JOB),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What the scene is called in the farm, like shots/opening.blend."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be rendered; sends the file, makes no job."),
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="Submissions with one key make one job; made of file and settings."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Make a new job, and render all of it anew."),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--watch", help="Show the job until it has ended.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks at the job.")
    ] = 1.0,
) -> outcome.ExitCode:
    """Send a scene, and have its frames rendered.

    The same file with the same settings is one job, however often it is submitted: after a lost
    connection just submit again. What was sent of the file is not sent twice.
    """
    if again and idempotency_key:
        raise typer.BadParameter("--again and --idempotency-key both say which job it is")
    settings = {
        "frames": _canonical(frames),
        "scene": scene,
        "camera": camera,
        "engine": engine,
        "samples": samples,
        "resolution_percent": resolution_percent,
        "format": format,
        "batch_size": batch_size,
        "priority": priority,
        "allow_missing_files": allow_missing_files,
        "max_cost": max_cost,
        "webhook": webhook,
        "force": again or None,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    session.if_stopped = "stopped; what was sent is kept: submit again to go on"
    sending = submission.Submission(session, scene_path, name or scene_path.name, given)
    if dry_run:
        plan = await sending.dry_run()
        if session.terminal.as_json:
            session.terminal.document(plan)
        else:
            session.terminal.details(plan)
        return outcome.ExitCode.DONE
    answer = await sending.job(key=idempotency_key or "", again=again)
    job = views.read(views.JobView, answer).job
    session.if_stopped = f"stopped; the job goes on: blendrop watch {job.id}"
    if job.state in outcome.OF_STATE:
        session.terminal.tell(f"this was submitted before, at {job.created}; --again renders anew")
    if session.terminal.as_json:
        session.terminal.document(answer)
    else:
        session.terminal.say(job.id)
    if not follow:
        if not session.terminal.as_json:
            session.terminal.tell(f"{job.state}: {job.reason}; see it by: blendrop watch {job.id}")
        return outcome.ExitCode.DONE
    ended = await watch.until_ended(session.api.changes(job.id, every=every), session.terminal)
    return outcome.OF_STATE[ended.job.state]


def _canonical(text: str | None) -> str | None:
    """Return frames as they are written everywhere, before a large file is sent for nothing."""
    if text is None:
        return None
    return frame_ranges.canonical(frame_ranges.parse(text, at_most=_MOST_FRAMES))
