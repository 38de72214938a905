"""How does one frame get here whole, over a connection that may break?

It is written beside its place, under a name made of the version that the farm has (its ETag), and
gets its own name when every byte is there and the image ends as it must. What was cut off goes on
where it stopped. Two commands that fetch the same frame at once write the same bytes at the same
places of the same file, and so do each other no harm: where one gives that file its name, the other
finds it there, and where one drops it, the other fetches the frame again.
"""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx

from blendrop import errors
from blendrop.cli import farm_api, fetch_record, image_file, views

_TRIES = 3  # of a frame that comes damaged
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_PART = re.compile(r"\.(?P<name>.+)\.(?P<etag>[0-9a-f]+)\.part")
_LONGEST_ETAG = 64  # bytes, of which a name of a file can be made
_WRITE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)  # which Windows has alone
Outcome = Literal["fetched", "kept"]


class DamagedError(errors.BlendropError):
    """A frame came, and is not what it should be."""


@dataclass
class _Arrived:
    """What is in a frame's unfinished file."""

    path: Path
    etag: str
    expected: int | None  # bytes, if the answer said
    file: os.stat_result  # which file it is, whatever it is called by now


class FrameDownload:
    """Fetches frames of one job into one folder."""

    def __init__(
        self,
        api: farm_api.FarmApi,
        job_id: str,
        folder: Path,
        record: fetch_record.FetchRecord,
    ) -> None:
        self._api = api
        self._job_id = job_id
        self._folder = folder
        self._record = record
        found = ((path, _PART.fullmatch(path.name)) for path in folder.glob(".*.part"))
        self._unfinished = {match["name"]: path for path, match in found if match}

    async def fetch(self, frame: views.Frame) -> Outcome:
        """Bring one frame, unless this version of it is here.

        Raises:
            NotFoundError: the farm has it no more.
            DamagedError: it came damaged, each time.
            UnavailableError: it did not come in time.
            OSError: this machine cannot hold it.
        """
        name = _safe(frame.name)
        said = ""
        for _ in range(_TRIES):
            arrived = await self._transfer(frame.frame, name)
            if arrived is None:
                return "kept"
            said = await asyncio.to_thread(_damage, arrived, name)
            if not said:
                said = self._publish(arrived, name)
            if not said:
                return "fetched"
            self._drop(name)
        raise DamagedError(f"it came damaged {_TRIES} times: {said}")

    async def _transfer(self, number: int, name: str) -> _Arrived | None:
        """Bring all bytes of a frame, or nothing where the version that is here still holds."""
        path = farm_api.job(self._job_id, f"/frames/{number}")
        arrived: list[_Arrived] = []

        async def send() -> httpx.Response:
            arrived.clear()
            headers = {"Accept": "*/*", "Accept-Encoding": "identity", **self._known(name)}
            async with self._api.http.stream("GET", path, headers=headers) as response:
                if response.status_code in {200, 206}:
                    arrived.append(await self._write(response, name))
                elif response.status_code == 416:  # what is here is no part of this frame
                    self._drop(name)
                    await response.aread()
                else:
                    await response.aread()
            return response

        response = await self._api.waiting.answer(send, of=self._api.name)
        if response.status_code == 416:
            response = await self._api.waiting.answer(send, of=self._api.name)
        self._api.check(response)
        return arrived[0] if arrived else None

    def _known(self, name: str) -> dict[str, str]:
        """Return what the farm must know of what is here already."""
        if etag := self._record.etag_of(name):
            return {"If-None-Match": etag}
        part = self._unfinished.get(name)
        if part is not None and (match := _PART.fullmatch(part.name)):
            etag, size = bytes.fromhex(match["etag"]).decode(errors="replace"), _size(part)
            # Only a strong ETag promises the same bytes (RFC 9110, 8.8.3).
            if size and etag.startswith('"'):
                return {"Range": f"bytes={size}-", "If-Range": etag}
        return {}

    async def _write(self, response: httpx.Response, name: str) -> _Arrived:
        etag = response.headers.get("ETag", "")
        path = self._part(name, etag)
        if self._unfinished.get(name, path) != path:
            self._drop(name)  # of another version
        self._unfinished[name] = path
        start, length = 0, response.headers.get("Content-Length", "")
        expected = int(length) if length.isdigit() else None
        if response.status_code == 206:
            spread = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if spread is None:
                raise errors.UnavailableError(f"{self._api.name} answered a part of no file")
            start, expected = int(spread[1]), int(spread[2])
        # Opened, but not cut to length: what another command wrote there is the same.
        with os.fdopen(os.open(path, _WRITE, 0o666), "wb") as file:
            file.seek(start)
            async for some in response.aiter_raw():
                file.write(some)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
            return _Arrived(path, etag, expected, os.fstat(file.fileno()))

    def _part(self, name: str, etag: str) -> Path:
        written = etag.encode()[:_LONGEST_ETAG].hex() or "00"
        return self._folder / f".{name}.{written}.part"

    def _drop(self, name: str) -> None:
        if part := self._unfinished.pop(name, None):
            part.unlink(missing_ok=True)

    def _publish(self, arrived: _Arrived, name: str) -> str:
        """Give a frame its name; return why it could not be done, or nothing."""
        try:
            arrived.path.replace(self._folder / name)
        except FileNotFoundError:
            if not _is(arrived, self._folder / name):
                return "another command that fetches it dropped it"
        self._unfinished.pop(name, None)
        self._record.add(name, arrived.etag)
        return ""


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:  # another command has given it its name
        return 0


def _damage(arrived: _Arrived, name: str) -> str:
    try:
        size = arrived.path.stat().st_size
        if arrived.expected is not None and size != arrived.expected:
            return f"{size} bytes came, of {arrived.expected}"
        return image_file.damage(arrived.path, name=name)
    except FileNotFoundError:
        return ""  # another command has found it whole and given it its name, or dropped it


def _is(arrived: _Arrived, path: Path) -> bool:
    """Tell whether a file is the one that was written, under the name that another gave it."""
    try:
        return os.path.samestat(arrived.file, path.stat())
    except FileNotFoundError:
        return False


def _safe(name: str) -> str:
    """Return the name of a file that leads nowhere else, here or on Windows.

    Raises:
        UnavailableError: the farm names a frame in a way that no frame is named.
    """
    if not name or name.startswith(".") or re.search(r'[/\\:*?"<>|\x00-\x1f]', name):
        raise errors.UnavailableError(
            f"the farm names a frame {name!r}, which is no name of a file"
        )
    return name
