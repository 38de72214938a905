"""How does a person get the frames of a job? `blendrop fetch`."""

from pathlib import Path
from typing import Annotated

import rich.progress
import typer

from blendrop.cli import command, fetch, outcome, terminal, views
from blendrop.cli.command import Session
from blendrop.cli.job_commands import JobId
from blendrop.domain import frames as frame_ranges

_MOST_FRAMES = 2_000_000
_LISTED = 20  # missing frames that are told one by one


def add_to(app: typer.Typer) -> None:
    """Make the command one of `app`."""
    command.add(
        app, example="blendrop fetch opening-0f3a92c1d4e5 --to renders --follow", name="fetch"
    )(fetch_frames)


async def fetch_frames(
    session: Session,
    job: JobId,
    *,
    to: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="The folder; without it, one named after the job."),
    ] = None,
    frames: Annotated[str | None, typer.Option(help="Only these, like 1-10 or 3,7.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Fetch frames as they are done, until the job ends.")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="How many frames at once.")] = 8,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks, with --follow.")
    ] = 1.0,
) -> outcome.ExitCode:
    """Bring the frames of a job into a folder, each whole and verified.

    A frame has its name only when every byte of it is there. Run it again to go on after
    anything: frames that are here and still the same are not fetched again. The exit code tells
    whether frames are missing, and each is named with its reason.
    """
    chosen = frame_ranges.parse(frames, at_most=_MOST_FRAMES) if frames is not None else ()
    folder = to or Path(job)
    session.if_stopped = f"stopped; run it again to go on: what is in {folder} stays"
    shown = session.terminal

    def arrived(frame: views.Frame) -> None:
        if follow and not shown.live:
            _say_arrived(shown, frame, folder)

    with _progress(shown) as bar:
        task = bar.add_task("frames", total=None)
        harvest = await fetch.Fetching(
            api=session.api,
            job_id=job,
            folder=folder,
            only=chosen,
            at_once=parallel,
            follow=follow,
            every=every,
            progress=lambda done, every_one: bar.update(task, completed=done, total=every_one),
            arrived=arrived,
        ).run()
    if shown.as_json:
        shown.document(harvest.document())
    else:
        _sum_up(shown, harvest)
    return harvest.exit_code


def _say_arrived(shown: terminal.Terminal, frame: views.Frame, folder: Path) -> None:
    if shown.as_json:
        shown.document({"frame": frame.frame, "file": str(folder / frame.name)})
    else:
        shown.say(str(folder / frame.name))


def _sum_up(shown: terminal.Terminal, harvest: fetch.Harvest) -> None:
    shown.say(
        f"{len(harvest.fetched)} frames fetched into {harvest.folder}, "
        f"{len(harvest.kept)} were there, {len(harvest.missing)} missing"
    )
    for one in harvest.missing[:_LISTED]:
        shown.tell(f"frame {one.frame}: {one.reason}. {one.remedy}")
    if others := harvest.missing[_LISTED:]:
        shown.tell(f"and frames {frame_ranges.canonical(one.frame for one in others)}")


def _progress(shown: terminal.Terminal) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        console=shown.err,
        disable=not shown.err.is_terminal,
        transient=True,
    )
