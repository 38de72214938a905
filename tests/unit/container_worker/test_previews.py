"""Does the preview of a frame show what the artist sees, whatever the frame's format?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from blendrop.adapters.frame_images import OpenImageIOVerifier
from blendrop.domain import frames
from blendrop.domain.job_settings import ImageFormat, JobSettings
from container_worker.blender_renderer import BlenderRenderer

Scenes = Callable[[str], Path]
Pixels = np.ndarray[Any, Any]


async def preview(renderer: BlenderRenderer, scene: Path, settings: JobSettings) -> Pixels:
    """Return the preview of the first frame, which must have verified as it does in a worker."""
    report = await renderer.open_scene(scene, settings, version="5.0")
    frame = await renderer.render(1, frames.file_name(report.frame_pattern, 1))
    looking = OpenImageIOVerifier()
    await looking.verify(frame.path, report.image)
    assert frame.display is not None
    small = oiio.ImageBuf(str(await looking.preview(frame.display)))
    assert small.file_format_name == "jpeg"
    return np.asarray(small.get_pixels(oiio.FLOAT))


@pytest.mark.parametrize("image_format", ["OPEN_EXR", "OPEN_EXR_MULTILAYER", "JPEG"])
async def test_every_format_is_shown_as_its_png_is(
    renderer: BlenderRenderer, scene: Scenes, image_format: ImageFormat
) -> None:
    """Through the scene's own view transform, composited."""
    shown = await preview(renderer, scene("filmic"), JobSettings(format="PNG"))
    other = await preview(renderer, scene("filmic"), JobSettings(format=image_format))

    assert other.shape == shown.shape == (90, 160, 3)
    difference = np.abs(other - shown)
    assert difference.mean() < 0.01
    assert np.abs(other - shown[:, ::-1]).mean() > 5 * difference.mean()  # it was mirrored
    standard = await preview(renderer, scene("standard"), JobSettings(format=image_format))
    assert np.abs(other - standard).mean() > 0.05


@pytest.mark.parametrize("kind", ["filmic", "stereo", "stereo_layers", "passes", "format_HDR"])
async def test_a_preview_changes_nothing_of_the_next_frame(
    renderer: BlenderRenderer, scene: Scenes, kind: str
) -> None:
    """The output settings are what they were: the same frame again is the same file."""
    asked = JobSettings(format="OPEN_EXR" if kind == "filmic" else None)
    report = await renderer.open_scene(scene(kind), asked, version="5.0")
    hashes: list[list[str]] = []
    for _ in range(2):
        frame = await renderer.render(1, frames.file_name(report.frame_pattern, 1))
        assert frame.display is not None
        assert frame.display != frame.path
        shown = oiio.ImageBuf(str(frame.display)).spec()
        assert (shown.width, shown.height) == (report.image.width, report.image.height)
        await OpenImageIOVerifier().verify(frame.path, report.image)
        part, image = 0, oiio.ImageBuf(str(frame.path))
        hashes.append([])
        while part < image.nsubimages:
            of_part = oiio.ImageBuf(str(frame.path), part, 0)
            hashes[-1].append(oiio.ImageBufAlgo.computePixelHashSHA1(of_part))
            part += 1
    assert hashes[0] == hashes[1]
