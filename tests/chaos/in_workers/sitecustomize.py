"""How do faults reach into a worker that no signal and no proxy brings about?

Python runs a module of this name as it starts. What the share and the clock are to do stands in
files of the folder that CHAOS_FOLDER names: `share-errno`, the error that every file on its way to
the share ends with, and `skew-<worker>`, the seconds by which that worker's clock is wrong.
"""

import contextlib
import datetime
import os
from pathlib import Path

from blendrop.adapters import system_clock

_FOLDER = Path(os.environ["CHAOS_FOLDER"])
_SKEW = _FOLDER / f"skew-{os.environ.get('BLENDROP_WORKER_NAME', 'nobody')}"
_fsync = os.fsync


def _fsync_or_fail(file: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        number = int((_FOLDER / "share-errno").read_text())
        raise OSError(number, os.strerror(number))
    _fsync(file)


def _skewed_now(_: system_clock.SystemClock) -> datetime.datetime:
    now = datetime.datetime.now(datetime.UTC)
    with contextlib.suppress(FileNotFoundError):
        return now + datetime.timedelta(seconds=float(_SKEW.read_text()))
    return now


os.fsync = _fsync_or_fail  # type: ignore[assignment]
system_clock.SystemClock.now = _skewed_now  # type: ignore[assignment, method-assign]
