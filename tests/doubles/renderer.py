"""A renderer that does what a test tells it, frame by frame, and writes down what it was asked."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from blendrop import errors, ports
from blendrop.domain import images, job_settings
from tests.doubles.clock import ManualClock

IMAGE = images.ExpectedImage(file_format="PNG", width=4, height=2, channels=3, color_depth="8")
REPORT = ports.SceneReport(blender_version="5.0.1", image=IMAGE, frame_pattern="shot_####.png")


def crash() -> errors.FrameError:
    """Return what a crash of Blender is reported as."""
    return errors.FrameError(
        errors.FailureClass.CRASH, "Blender was killed by SIGSEGV", "Look at the log", "boom"
    )


@dataclass
class ScriptedRenderer:
    """Carries out `ports.Renderer`."""

    report: ports.SceneReport | errors.FrameError = REPORT
    failing: dict[int, list[errors.FrameError]] = field(default_factory=dict)  # raised in order
    before: Callable[[int], None] = lambda _: None  # called as a frame begins
    hold: asyncio.Event | None = None  # frames wait for it
    folder: Path = Path()  # of its images
    rendered: list[int] = field(default_factory=list)
    ended: int = 0  # times that it was cancelled, which ends a real Blender
    _outputs: list[Path] = field(default_factory=list)  # of each time that it was asked

    def hold_at(self, frame: int) -> asyncio.Event:
        """Have a frame in hand until the event that is returned is set."""
        hold = asyncio.Event()

        def hold_it(begun: int) -> None:
            self.hold = hold if begun == frame else None

        self.before = hold_it
        return hold

    async def open_scene(
        self, path: Path, settings: job_settings.JobSettings, *, version: str
    ) -> ports.SceneReport:
        """Return the report, or raise it."""
        if isinstance(self.report, errors.FrameError):
            raise self.report
        return self.report

    async def render(self, frame: int, name: str) -> ports.RenderedFrame:
        """Write the frame's number, unless the script says otherwise."""
        self.before(frame)
        path = self.folder / f"{id(self)}-{len(self._outputs)}-{name}"
        self._outputs.append(path)
        for old in self._outputs[:-2]:  # a real one has room for two, too
            old.unlink(missing_ok=True)
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.ended += 1
                raise
        self.rendered.append(frame)
        if self.failing.get(frame):
            raise self.failing[frame].pop(0)
        path.write_text(str(frame))
        return ports.RenderedFrame(path=path, seconds=1.0, display=path)

    def last_log(self) -> str:
        """Return a line."""
        return "Blender says hello\n"

    async def close(self) -> None:
        """Do nothing."""


@dataclass
class TimedRenderer(ScriptedRenderer):
    """Takes ten seconds for a frame by the clock, or as long as a test says."""

    clock: ManualClock = field(default_factory=ManualClock)
    seconds: dict[int, float] = field(default_factory=dict)  # by the frame
    begun: list[int] = field(default_factory=list)

    async def render(self, frame: int, name: str) -> ports.RenderedFrame:
        """Wait, and then render."""
        seconds = self.seconds.get(frame, 10.0)
        self.begun.append(frame)
        await self.clock.sleep(seconds)
        return dataclasses.replace(await super().render(frame, name), seconds=seconds)


@dataclass
class TrustingVerifier:
    """Carries out `ports.ImageVerifier`: whatever is there is right, but what a test doubts."""

    doubted: dict[str, errors.FrameError] = field(default_factory=dict)  # by the content

    async def verify(
        self, path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        """Raise only if nothing is there."""
        if not path.exists():
            raise errors.FrameError(errors.FailureClass.NO_IMAGE, "no image", "Look at the log")
        if doubt := self.doubted.get(path.read_text()):
            raise doubt
        return frozenset()


@dataclass
class SlowVerifier(TrustingVerifier):
    """Verifies when it is told to: everything, or images of one content alone."""

    only: str = ""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def verify(
        self, path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        """Wait, and then look."""
        self.asked += 1
        if self.only in ("", path.read_text()):
            await self.go_on.wait()
        return await super().verify(path, expected)


@dataclass
class CopyingPreviews:
    """Carries out `ports.PreviewMaker`: a preview is the word and the image."""

    failing: errors.FrameError | None = None

    async def preview(self, display: Path) -> Path:
        """Return a file, or raise."""
        if self.failing is not None:
            raise self.failing
        small = display.with_name(f"{display.name}.jpg")
        small.write_text(f"preview of {display.read_text()}")
        return small
