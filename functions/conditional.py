"""Has the client this answer already? Then it is not sent again (RFC 9110, section 13)."""

import asyncio
import hashlib
from pathlib import Path

import fastapi
import fastapi.responses
import pydantic


def answer(request: fastapi.Request, model: pydantic.BaseModel) -> fastapi.Response:
    """Return the model with its ETag, or 304 if the client has just that."""
    body = model.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if _has(request, etag):
        return _not_modified(etag)
    return fastapi.Response(
        body, media_type="application/json", headers={"ETag": etag, "Cache-Control": "no-cache"}
    )


async def file(request: fastapi.Request, path: Path, media_type: str) -> fastapi.Response:
    """Return a file, or the range of it that the client asks for, or 304 if it has it."""
    status = await asyncio.to_thread(path.stat)
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
    if _has(request, etag):
        return _not_modified(etag)
    return fastapi.responses.FileResponse(
        path,
        media_type=media_type,
        stat_result=status,
        filename=path.name,
        content_disposition_type="inline",
        headers={"ETag": etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
    )


def _has(request: fastapi.Request, etag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag in {
        one.strip().removeprefix("W/") for one in known.split(",")
    }


def _not_modified(etag: str) -> fastapi.Response:
    return fastapi.Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})
