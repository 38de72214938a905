"""How does a person at a terminal watch a job?"""

from collections.abc import AsyncIterator

import rich.console
import rich.progress

from blendrop.usecases import show

_UNFINISHED = "{task.completed:.0f} of {task.total:.0f} frames"


async def watch(views: AsyncIterator[show.JobView]) -> show.JobView:
    """Show a job until it has ended, as a bar with frames, rate and ETA; return its last view.

    Where there is no terminal, every change of state is one line.
    """
    console = rich.console.Console()
    bar = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TextColumn(_UNFINISHED),
        rich.progress.TextColumn("{task.fields[rate]}"),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("eta"),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    state = ""
    view: show.JobView | None = None
    with bar:
        task = bar.add_task("waiting for the job", total=None, rate="")
        async for view in views:
            job = view.job
            bar.update(
                task,
                description=f"{job.state} ",
                total=job.frame_count or None,
                completed=view.frames_done,
                rate=_rate(bar, task),
            )
            if not console.is_terminal and job.state != state:
                console.print(f"{job.state}: {job.reason}", highlight=False, soft_wrap=True)
            state = job.state
    if view is None:
        raise ValueError("there was nothing to watch")
    return view


def _rate(bar: rich.progress.Progress, task: rich.progress.TaskID) -> str:
    speed = bar.tasks[task].speed if not bar.disable else None
    return f"{speed:.2f} frames/s" if speed else ""
