"""Which Blender renders a scene, and when is it kept open?"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from blendrop import errors, ports
from blendrop.domain import images, job_settings
from container_worker.blender import Blender, Bounds

log = structlog.stdlib.get_logger(__name__)

_NOBODY = ports.Progress()
_UNTRACED = ports.Spans()
_MEASURED = 2.0  # seconds of rendering, before they say how many cores that takes
_LEAST_FREE = 2**20  # bytes: with less than this free, that is why an image could not be written


@dataclass
class _Took:
    """What the frames of a scene took in all since it was opened, but for the first; seconds.

    With the first one Blender makes the whole scene ready, which is work of another kind.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    _first: bool = True

    def add(self, seconds: float, cpu: float) -> None:
        """One more frame took that."""
        if not self._first:
            self.seconds += seconds
            self.cpu += cpu
        self._first = False


class BlenderRenderer:
    """Carries out `ports.Renderer`: one Blender, open from batch to batch of the same scene."""

    def __init__(
        self,
        programs: Mapping[str, str],
        *,
        scratch: Path,
        bounds: Bounds,
        progress: ports.Progress = _NOBODY,
        spans: ports.Spans = _UNTRACED,
    ) -> None:
        self._programs = programs
        self._scratch = scratch
        self._home = scratch / "home"  # of the Blender that runs
        # Scenes for which Blender ran out of memory here: without persistent data they take less.
        self._lean: set[Path] = set()
        self._outputs = [scratch / "frames" / turn for turn in "ab"]
        self._bounds = bounds
        self._progress = progress
        self._spans = spans
        self._blender: Blender | None = None
        self._version = ""  # of the one that runs, as the settings name it
        self._open: tuple[Path, job_settings.JobSettings] | None = None
        self._report: ports.SceneReport | None = None
        self._log = ""
        self._took = _Took()

    async def warm_up(self) -> None:
        """Start the newest Blender, so that the first scene does not wait for it.

        Raises:
            UnfitWorkerError: it does not start.
        """
        try:
            await self._running(list(self._programs)[-1])
        except errors.FrameError as failed:
            raise errors.UnfitWorkerError(str(failed)) from failed

    async def open_scene(
        self, path: Path, settings: job_settings.JobSettings, *, version: str
    ) -> ports.SceneReport:
        """Open a scene, or do nothing if it is open with the same settings.

        Raises:
            SceneError: no worker could render it as asked.
            FrameError: this Blender failed at it (crash, out of memory, timeout).
        """
        asked = (path, settings)
        if self._report is not None and self._open == asked and self._alive:
            return self._report
        self._open = self._report = None
        with self._spans.span("load"):
            blender = await self._running(self._fitting(version))
            began = time.monotonic()
            try:
                loaded = await blender.load(
                    path,
                    settings.model_dump(include=set(job_settings.PIXELS)),
                    persistent_data=path not in self._lean,
                )
            finally:
                self._log = blender.last_log()
        self._progress.scene_opened(seconds=time.monotonic() - began)
        self._report, self._open, self._took = _report(loaded), asked, _Took()
        log.info(
            "scene_opened",
            blender=self._report.blender_version,
            image=self._report.image.model_dump(),
            notes=self._report.notes,
        )
        return self._report

    async def render(self, frame: int, name: str) -> ports.RenderedFrame:
        """Render a frame of the open scene to a file of that name. Raises FrameError."""
        if self._blender is None:
            raise RuntimeError("a scene must be open before a frame is rendered")
        # Two in turn: the frame before is still being verified and published.
        self._outputs.reverse()
        output = self._outputs[0]
        with self._own_disk():
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
        to = output / name
        began, cpu = time.monotonic(), self._blender.cpu_seconds()
        try:
            rendered = await self._blender.render(frame, to)
        except errors.SceneError:
            raise
        except errors.FrameError as failed:
            if failed.failure_class is errors.FailureClass.OUT_OF_MEMORY and self._open:
                self._lean.add(self._open[0])
            if shutil.disk_usage(self._scratch).free < _LEAST_FREE:
                raise self._disk_failure("it is full", failed.log_tail) from failed
            raise
        finally:
            self._log = self._blender.last_log()
        self._took.add(time.monotonic() - began, self._blender.cpu_seconds() - cpu)
        if not (display := rendered["display"]):
            log.warning("preview_failed", frame=frame, reason=rendered["display_problem"])
        folder = Path(rendered["extra_folder"])
        return ports.RenderedFrame(
            path=to,
            seconds=rendered["seconds"],
            display=Path(display) if display else None,
            extra_files=tuple(
                ports.ExtraFile(name=name, path=folder / name) for name in rendered["extra_files"]
            ),
        )

    def last_log(self) -> str:
        """Return what Blender printed while it worked on the last frame or scene."""
        return self._log

    async def close(self) -> None:
        """End Blender, if it runs."""
        if self._blender is not None:
            await self._blender.quit()

    @property
    def pid(self) -> int | None:
        """The process of the Blender that runs, if one does."""
        return self._blender.pid if self._blender is not None and self._alive else None

    @property
    def memory(self) -> int:
        """The bytes that the running Blender had when it was last looked at; 0 if none runs."""
        return self._blender.memory if self._blender is not None and self._alive else 0

    @property
    def cores_used(self) -> float | None:
        """How many cores the frames of the open scene keep busy; None: not known yet."""
        took = self._took
        return took.cpu / took.seconds if took.cpu and took.seconds >= _MEASURED else None

    @property
    def _alive(self) -> bool:
        return self._blender is not None and self._blender.alive

    def _fitting(self, version: str) -> str:
        """Return the oldest Blender that opens a file of this version; that changes it least."""
        needed = _key(version) if version else (0,)
        for candidate in self._programs:
            if _key(candidate) >= needed:
                return candidate
        raise errors.SceneError(
            errors.FailureClass.BLENDER_TOO_OLD,
            f"the scene was saved by Blender {version}, and this worker has "
            f"{', '.join(self._programs)}",
            f"Save it with an older Blender, or give the workers Blender {version}",
        )

    async def _running(self, version: str) -> Blender:
        if self._blender is not None and self._alive and self._version == version:
            return self._blender
        await self.close()
        with self._own_disk():
            shutil.rmtree(self._home, ignore_errors=True)
            self._blender = await Blender.start(
                self._programs[version], scratch=self._home, bounds=self._bounds
            )
        self._version = version
        return self._blender

    @contextlib.contextmanager
    def _own_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as failed:
            raise self._disk_failure(failed.strerror or str(failed)) from failed

    def _disk_failure(self, why: str, log_tail: str = "") -> errors.FrameError:
        return errors.FrameError(
            errors.FailureClass.WORKER_DISK,
            f"the worker's own disk at {self._scratch} cannot hold what Blender writes: {why}",
            "Give the workers a larger disk, or lower BLENDROP_SCENE_CACHE_BYTES",
            log_tail,
        )


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _report(loaded: Mapping[str, Any]) -> ports.SceneReport:
    image = images.ExpectedImage.model_validate(loaded["image"])
    pink = any(missing["kind"] == "image" for missing in loaded["missing_files"])
    return ports.SceneReport(
        blender_version=loaded["blender_version"],
        image=image.model_copy(update={"textures_missing": pink}),
        frame_pattern=loaded["frame_pattern"],
        missing_files=tuple(
            f"{missing['kind']} {missing['name']}: {missing['path']}"
            for missing in loaded["missing_files"]
        ),
        skipped_python=tuple(loaded["skipped_python"]),
        notes=tuple(loaded["notes"]),
    )
