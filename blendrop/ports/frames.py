"""How does a frame come to be, and where does it stand?"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from blendrop.domain import (
    images,
    job_settings,
)


@dataclass(frozen=True)
class SceneReport:
    """What Blender says of a scene that it has opened, with the job's settings laid over it."""

    blender_version: str  # full, like 5.0.1
    image: images.ExpectedImage
    frame_pattern: str  # like shot_####.png
    missing_files: tuple[str, ...] = ()  # each "kind name: path"
    skipped_python: tuple[str, ...] = ()  # what of its Python would have changed its frames
    notes: tuple[str, ...] = ()  # what the artist should know, like a movie format replaced


@dataclass(frozen=True)
class ExtraFile:
    """A file that the compositor's File Output nodes wrote beside the frame's own image."""

    name: str  # relative, like Depth/depth_0001.exr
    path: Path  # where it lies now


@dataclass(frozen=True)
class RenderedFrame:
    """What Blender says of a frame that it has rendered."""

    # Of its image, on the worker's own disk until the next frame but one is rendered.
    path: Path
    seconds: float  # wall time in Blender
    # How it looks: Blender's own rendition where the image is scene-linear, else the image; None
    # where Blender could not give one.
    display: Path | None
    extra_files: tuple[ExtraFile, ...] = ()


class Renderer(Protocol):
    """Blender, kept open from batch to batch of the same scene."""

    async def open_scene(
        self, path: Path, settings: job_settings.JobSettings, *, version: str
    ) -> SceneReport:
        """Open a scene, or do nothing if it is open with the same settings.

        Raises:
            SceneError: no worker could render it as asked.
            FrameError: this Blender failed at it (crash, out of memory, timeout).
        """
        ...

    async def render(self, frame: int, name: str) -> RenderedFrame:
        """Render a frame of the open scene to a file of that name. Raises FrameError.

        After a failure that ended Blender, the next `open_scene` starts it anew. Being cancelled
        ends Blender.
        """
        ...

    def last_log(self) -> str:
        """Return what Blender printed while it worked on the last frame or scene."""
        ...

    async def close(self) -> None:
        """End Blender, if it runs."""
        ...


class ImageVerifier(Protocol):
    """What looks at every image before it counts."""

    async def verify(
        self, path: Path, expected: images.ExpectedImage
    ) -> frozenset[images.FrameFlag]:
        """Decode the whole image; return what makes it suspicious though right.

        Raises:
            FrameError: there is no image, it does not decode whole, or it is not as expected.
        """
        ...


class PreviewMaker(Protocol):
    """What draws a small picture of a frame, for people to look at."""

    async def preview(self, display: Path) -> Path:
        """Return a small JPEG of a display-referred image, beside it on the worker's own disk.

        Raises:
            FrameError: the image cannot be read, or the JPEG not written.
        """
        ...


class FrameShare(Protocol):
    """The folder that holds the frames; a frame is done when its file has its final name."""

    async def frames_done(self, job_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that stand in the job's folder."""
        ...

    async def publish(self, job_id: str, file: Path, name: str) -> bool:
        """Copy a verified file to its final name; False if another worker's already stands there.

        Either way one whole file stands there.

        Raises:
            UnavailableError: the share is full, read-only or away; nothing stands there.
            FrameError: the worker's own disk does not have the file.
        """
        ...

    async def keep(self, job_id: str, file: Path, name: str) -> None:
        """Copy a file that goes with a frame (an extra output) to `name` below the job's folder.

        Raises as `publish` does.
        """
        ...

    async def keep_log(self, job_id: str, name: str, text: str) -> None:
        """Write a frame's log to `name` below the job's folder, in place of an older one."""
        ...

    async def clear_unfinished(self, job_id: str) -> None:
        """Remove what workers that vanished left half copied, of a job that has ended."""
        ...

    async def file(self, job_id: str, name: str) -> Path:
        """Return the path of a file below the job's folder, for reading.

        Raises:
            NotFoundError: there is no such file.
        """
        ...

    async def has_extra_files(self, job_id: str) -> bool:
        """Tell whether files were kept below `extra/` in the job's folder."""
        ...

    async def remove_job(self, job_id: str) -> None:
        """Remove the job's folder with everything in it."""
        ...
