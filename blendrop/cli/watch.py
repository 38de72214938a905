"""How is a job shown while it renders?

At a terminal as a bar, elsewhere as a line for each thing that happened, for a program as a line of
JSON for each change. The farm says the rate and the time left; nothing is guessed here.
"""

import time
from collections.abc import AsyncIterator, Iterator

import rich.progress

from blendrop.cli import outcome, terminal, views

_QUIET = 5.0  # seconds between two lines that say nothing but how many frames are done


async def until_ended(
    answers: AsyncIterator[views.Json], shown: terminal.Terminal
) -> views.JobView:
    """Show a job until it has ended; return what it came to."""
    lines = _Lines()
    bar = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.fields[said]}"),
        console=shown.out,
        disable=not shown.live,
    )
    with bar:
        task = bar.add_task("", total=None, said="")
        async for answer in answers:
            view = views.read(views.JobView, answer)
            ended = view.job.state in outcome.OF_STATE
            bar.update(
                task,
                description=terminal.plain(view.job.state),
                total=view.job.frame_count or None,
                completed=view.frames_done,
                said=how_far(view),
            )
            if shown.as_json:
                shown.document(answer)
            else:
                for line in lines.new(view, counting=not shown.live):
                    shown.say(line)
            if ended:
                return view
    raise ValueError("a job is watched until it has ended")


def how_far(view: views.JobView) -> str:
    """Return how far a job is: frames, failures, rate, time left and what it will have cost."""
    parts = [f"{view.frames_done} of {view.job.frame_count} frames"]
    if view.frames_failed:
        parts.append(f"failed {view.frames_failed}")
    if view.frames_per_second:
        parts.append(rate(view.frames_per_second))
    if view.eta_seconds is not None and view.job.state not in outcome.OF_STATE:
        parts.append(f"about {terminal.duration(view.eta_seconds)} left")
    if view.cost is not None and view.cost.projected is not None:
        parts.append(f"{terminal.money(view.cost.projected)} {view.cost.currency} in the end")
    return ", ".join(parts)


def rate(frames_per_second: float) -> str:
    """Return a rate so that its number is no tiny fraction."""
    if frames_per_second >= 0.1:
        return f"{frames_per_second:.2f} frames/s"
    return f"{frames_per_second * 60:.2f} frames/min"


def failure_line(failure: views.Failure) -> str:
    """Return why a frame has no image, and what to do."""
    times = "attempt" if failure.attempts == 1 else "attempts"
    where = f", last on {failure.worker}" if failure.worker else ""
    return (
        f"frame {failure.frame} failed ({failure.failure_class}, {failure.attempts} {times}"
        f"{where}): {failure.reason}. {failure.remedy}"
    )


class _Lines:
    """What has been said of a job so far."""

    def __init__(self) -> None:
        self._state = ("", "")
        self._frames_done = -1
        self._counted = -_QUIET
        self._failures: set[tuple[int, int]] = set()
        self._waits: dict[str, str] = {}  # why each worker could not go on, when last seen

    def new(self, view: views.JobView, *, counting: bool) -> Iterator[str]:
        """Yield what there is to say now; with `counting`, also how far it is."""
        for failure in view.failures:
            if (failure.frame, failure.attempts) not in self._failures:
                self._failures.add((failure.frame, failure.attempts))
                yield failure_line(failure)
        waits = {one.worker: one.waits for one in view.workers if one.waits}
        for worker, why in waits.items():
            if self._waits.get(worker) != why:
                yield f"{worker} waits: {why}"
        self._waits = waits
        state = (view.job.state, view.job.reason)
        turned = state[0] != self._state[0]
        ended = view.job.state in outcome.OF_STATE
        now = time.monotonic()
        due = view.frames_done != self._frames_done and now - self._counted >= _QUIET
        if counting and view.job.frame_count and (due or (ended and turned)):
            self._counted, self._frames_done = now, view.frames_done
            yield how_far(view)
        if state != self._state and (turned or counting):
            self._state = state
            yield f"{view.job.state}: {view.job.reason}"
