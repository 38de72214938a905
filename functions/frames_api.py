"""How are a job's frames looked at and fetched over HTTP?"""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Annotated, Any

import fastapi

from blendrop.domain import frames, record
from blendrop.usecases import show
from functions import conditional, problems, world
from functions.jobs_api import NOT_MODIFIED, JobId

router = fastapi.APIRouter(tags=["frames"])

# What Blender writes; Python's own table lacks some of them.
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".exr": "image/x-exr",
    ".tif": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tga": "image/x-tga",
    ".hdr": "image/vnd.radiance",
    ".dpx": "image/x-dpx",
    ".cin": "image/cineon",
    ".jp2": "image/jp2",
}
_BINARY = "application/octet-stream"
Frame = Annotated[int, fastapi.Path(ge=frames.FIRST_POSSIBLE, le=frames.LAST_POSSIBLE)]


class Frames(record.Record):
    """A job's frames."""

    frames: tuple[show.FrameView, ...]


def _files(*media_types: str) -> dict[int | str, dict[str, Any]]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        200: {"content": dict.fromkeys(media_types, binary)},
        206: {
            "content": dict.fromkeys((*media_types, "multipart/byteranges"), binary),
            "description": "The range that was asked for",
        },
        416: {"description": "There is no such range"},
        400: {"description": "The range is malformed"},
        **NOT_MODIFIED,
        **problems.documented(404, 422, 503),
    }


@router.get(
    "/jobs/{job_id}/frames",
    response_model=Frames,
    responses=NOT_MODIFIED | problems.documented(404, 422, 503),
)
async def show_frames(request: fastapi.Request, job_id: JobId) -> fastapi.Response:
    """Show every frame of a job: its state, time, flags and failure."""
    shown = await show.frames_of(world.showing(), job_id)
    return conditional.answer(request, Frames(frames=tuple(shown)))


@router.get(
    "/jobs/{job_id}/frames.zip",
    response_class=fastapi.Response,
    responses={
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
        **problems.documented(404, 413, 422, 503),
    },
)
async def fetch_all(
    job_id: JobId,
    chosen: Annotated[
        str, fastapi.Query(alias="frames", max_length=10_000, description="Like 1-100; else all")
    ] = "",
) -> fastapi.Response:
    """Fetch the frames that are done, in one file."""
    views = [one for one in await show.frames_of(world.showing(), job_id) if one.state == "done"]
    if chosen:
        wanted = set(frames.parse(chosen, at_most=frames.LAST_POSSIBLE))
        views = [one for one in views if one.frame in wanted]
    paths = [await show.frame_file(world.showing(), job_id, one.frame) for one in views]
    size = sum([(await asyncio.to_thread(path.stat)).st_size for path in paths])
    if size > world.settings().zip_bytes:
        return problems.answer(
            413,
            f"these {len(paths)} frames have {size} bytes, more than the "
            f"{world.settings().zip_bytes} that come in one answer. Ask for fewer, like "
            "?frames=1-100, or use `blendrop fetch`",
        )
    return fastapi.Response(
        await asyncio.to_thread(_zipped, paths),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{job_id}.zip"'},
    )


def _zipped(paths: list[Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # images are packed already
        for path in paths:
            archive.write(path, path.name)
    return packed.getvalue()


@router.get(
    "/jobs/{job_id}/frames/{frame}",
    response_class=fastapi.Response,
    responses=_files(*sorted({*_MEDIA_TYPES.values(), _BINARY})),
)
async def fetch_frame(request: fastapi.Request, job_id: JobId, frame: Frame) -> fastapi.Response:
    """Fetch the image of a frame, or a range of it."""
    path = await show.frame_file(world.showing(), job_id, frame)
    return await conditional.file(request, path, _MEDIA_TYPES.get(path.suffix, _BINARY))


@router.get(
    "/jobs/{job_id}/frames/{frame}/preview",
    response_class=fastapi.Response,
    responses=_files("image/jpeg"),
)
async def fetch_preview(request: fastapi.Request, job_id: JobId, frame: Frame) -> fastapi.Response:
    """Fetch a small JPEG of a frame, as Blender would display it."""
    path = await show.frame_preview(world.showing(), job_id, frame)
    return await conditional.file(request, path, "image/jpeg")


@router.get(
    "/jobs/{job_id}/frames/{frame}/log",
    response_class=fastapi.Response,
    responses=_files("text/plain"),
)
async def fetch_log(request: fastapi.Request, job_id: JobId, frame: Frame) -> fastapi.Response:
    """Fetch what Blender printed at the last attempt at a frame."""
    path = await show.frame_log(world.showing(), job_id, frame)
    return await conditional.file(request, path, "text/plain; charset=utf-8")
