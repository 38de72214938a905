"""How does a command end: with which exit code, and how is a failure said?

Exit codes are for scripts; docs/cli.md promises them, so that their numbers never change.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from blendrop import errors


class ExitCode(IntEnum):
    """What scripts may ask of a command that has ended."""

    DONE = 0
    JOB_FAILED = 1  # or frames are missing for good
    USAGE = 2  # what typer itself ends with
    NOT_FOUND = 3
    REFUSED = 4  # the request is wrong, not allowed, or too late; every problem is listed
    FARM_AWAY = 5
    JOB_CANCELLED = 6
    NOT_YET = 7  # some of the frames that were asked for are still to be rendered
    THIS_MACHINE = 8  # a file here could not be read or written
    INTERRUPTED = 130  # Ctrl-C, as shells report it


MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.JOB_FAILED: "the job failed, or frames of it are missing for good",
    ExitCode.USAGE: "the command was not understood",
    ExitCode.NOT_FOUND: "there is no such job, frame or log",
    ExitCode.REFUSED: "refused: every problem is listed",
    ExitCode.FARM_AWAY: "the farm is away, or too busy for longer than --patience",
    ExitCode.JOB_CANCELLED: "the job was cancelled",
    ExitCode.NOT_YET: "frames that were asked for are still to be rendered",
    ExitCode.THIS_MACHINE: "a file on this machine could not be read or written",
    ExitCode.INTERRUPTED: "stopped by Ctrl-C",
}

# An ended job, as a command says it that waited for its end; any other state is no end.
OF_STATE = {
    "completed": ExitCode.DONE,
    "failed": ExitCode.JOB_FAILED,
    "cancelled": ExitCode.JOB_CANCELLED,
}


class RefusedError(errors.InvalidRequestError):
    """The farm refuses a request; `detail` says why as a whole, `problems` each in turn."""

    def __init__(self, detail: str, problems: Sequence[errors.Problem] = ()) -> None:
        super().__init__(*problems)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


def code_of(failure: errors.BlendropError | OSError) -> ExitCode:
    """Return the exit code of a command that ended by an error."""
    match failure:
        case errors.NotFoundError():
            return ExitCode.NOT_FOUND
        case errors.InvalidRequestError() | errors.ConflictError():
            return ExitCode.REFUSED
        case errors.UnavailableError():
            return ExitCode.FARM_AWAY
        case OSError():
            return ExitCode.THIS_MACHINE
    raise TypeError(f"no exit code is set for {type(failure).__name__}") from failure


def lines_of(failure: errors.BlendropError | OSError) -> list[str]:
    """Return a failure for a person: what happened, then each problem and what to do about it."""
    problems = failure.problems if isinstance(failure, errors.InvalidRequestError) else ()
    lines = [_summary(failure)]
    for problem in problems:
        given = f" {problem.value!r}" if problem.value else ""
        lines.append(f"  {problem.pointer}{given}: {problem.reason}")
        if problem.remedy:
            lines.append(f"      {problem.remedy}")
    return lines


def document_of(failure: errors.BlendropError | OSError) -> dict[str, Any]:
    """Return a failure for a program."""
    problems = failure.problems if isinstance(failure, errors.InvalidRequestError) else ()
    return {
        "error": {
            "exit_code": int(code_of(failure)),
            "detail": _summary(failure),
            "problems": [
                {
                    "pointer": problem.pointer,
                    "value": problem.value,
                    "reason": problem.reason,
                    "remedy": problem.remedy,
                }
                for problem in problems
            ],
        }
    }


def _summary(failure: errors.BlendropError | OSError) -> str:
    """Return what happened as a whole, without what each problem says by itself."""
    problems = failure.problems if isinstance(failure, errors.InvalidRequestError) else ()
    if any(problem.reason in str(failure) for problem in problems):
        return "this cannot be done as asked"
    return str(failure)
