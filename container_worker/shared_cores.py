"""May this worker take a message, or do others need the cores that it shares with them?

Workers that share a scratch folder share a machine, as on a laptop; a container has its own. Each
keeps a note in that folder: whether it renders, and how many cores that takes. A worker that has
nothing in hand stands by as long as others leave too few cores free: a second Blender would only
load the same scene again, with the same cores, and hold it in memory once more. Of several that
have nothing in hand only one looks for a message: the one that rendered last, whose scene is open.
"""

import asyncio
import contextlib
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pydantic
import structlog

log = structlog.stdlib.get_logger(__name__)

_RENEWED_EVERY = 1.0  # seconds
_LONGEST_NAME = 200  # of a note, in bytes; a file's name may have 255
_FRESH = 5.0  # seconds: whoever has not renewed its note for longer is gone, or hangs
# Of its cores, a machine must have so many free for one more Blender. Cycles was seen to keep 1.7
# of two busy on scenes of all kinds, and what does its work on one core 0.9 to 1.0.
_LEAST_SHARE, _LEAST_CORES = 0.25, 0.75


class _Note(pydantic.BaseModel):
    """What a worker tells its neighbours."""

    model_config = pydantic.ConfigDict(frozen=True)

    worker: str
    renders: bool = False
    cores: float = 0.0  # that this takes; all, as long as it was not measured
    rendered: float = 0.0  # until when, in seconds since the epoch; 0: never, or in vain

    @property
    def place(self) -> tuple[float, str]:
        """Where it stands among those that have nothing in hand; the greatest is the first."""
        return self.rendered, self.worker


class SharedCores:
    """One worker's eye on those beside it; `used` tells how many cores its Blender keeps busy."""

    def __init__(
        self, folder: Path, worker: str, *, cores: int, used: Callable[[], float | None]
    ) -> None:
        self._folder = folder
        self._path = folder / f"{urllib.parse.quote(worker, safe='')[:_LONGEST_NAME]}.json"
        self._cores = cores
        self._used = used
        self._note = _Note(worker=worker)

    @contextlib.asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Let the neighbours know of this worker for as long as the block runs."""
        self._tell()
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
            self._path.unlink(missing_ok=True)

    def takes(self) -> None:
        """A message is in hand: the cores are this worker's now."""
        self._note = self._note.model_copy(update={"renders": True, "cores": self._taken()})
        self._tell()

    def rests(self, *, in_vain: bool = False) -> None:
        """Nothing is in hand any more; whoever rendered `in_vain` lets the others try first."""
        if self._note.renders:
            rendered = 0.0 if in_vain else time.time()
            self._note = self._note.model_copy(update={"renders": False, "rendered": rendered})
            self._tell()

    def why_stand_by(self) -> str:
        """Return why this worker, with nothing in hand, is to leave the queue to others, or ""."""
        others = self._others()
        if rendering := [one for one in others if one.renders]:
            taken = sum(one.cores for one in rendering)
            if self._cores - taken < max(self._cores * _LEAST_SHARE, _LEAST_CORES):
                names = ", ".join(sorted(one.worker for one in rendering))
                # Without a figure: it would be another one at each look, to be written down anew.
                return (
                    f"{names} {'needs' if len(rendering) == 1 else 'need'} the cores of this "
                    f"machine ({self._cores}), and another Blender would slow that down"
                )
        resting = [one for one in others if not one.renders]
        first = max([self._note, *resting], key=lambda one: one.place)
        if first is self._note:
            return ""
        return f"{first.worker} shares this machine, and takes what comes first"

    def _taken(self) -> float:
        used = self._used()
        return self._cores if used is None else min(used, self._cores)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEWED_EVERY)
            if self._note.renders:
                self._note = self._note.model_copy(update={"cores": self._taken()})
            self._tell()

    def _tell(self) -> None:
        written = self._path.with_suffix(".new")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            written.write_text(self._note.model_dump_json(), encoding="utf-8")
            written.replace(self._path)
        except OSError as failed:
            # The others think it gone after a while, and go on as if it were.
            log.warning("neighbours_not_told", reason=str(failed))

    def _others(self) -> Sequence[_Note]:
        found: list[_Note] = []
        for path in self._folder.glob("*.json"):
            if path == self._path:
                continue
            try:
                if time.time() - path.stat().st_mtime <= _FRESH:
                    found.append(_Note.model_validate_json(path.read_bytes()))
            except FileNotFoundError:
                continue  # it has just left
            except (OSError, ValueError) as failed:
                log.warning("neighbour_not_understood", note=path.name, reason=str(failed))
        return found
