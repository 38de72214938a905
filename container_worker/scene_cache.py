"""Where on this worker's disk is a scene?

A file's folder comes from the blob's name and ETag, so that a cached file can only be the version
that was asked for; the file is called as it was uploaded, since a .blend may name its frames after
itself (`{blend_name}`). The least recently used ones make room for new ones.
"""

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path, PurePosixPath

import structlog

from blendrop import errors, ports
from blendrop.domain import jobs

log = structlog.stdlib.get_logger(__name__)

_NOBODY = ports.Progress()
_STEM_BYTES = 200


class SceneCache:
    """Scenes as files in a folder of `largest` bytes, plus the one in use if it is larger.

    The next one is fetched while the last is still rendered: that one is kept, whatever its size.
    """

    def __init__(
        self,
        store: ports.SceneStore,
        folder: Path,
        *,
        largest: int,
        progress: ports.Progress = _NOBODY,
    ) -> None:
        self._store = store
        self._progress = progress
        self._folder = folder
        self._largest = largest
        self._one_at_a_time = asyncio.Lock()
        self._last: Path | None = None  # that was asked for, and may be open

    async def path_of(self, scene: jobs.SceneRef) -> Path:
        """Return the file with exactly that version's bytes, downloading it if it is not there.

        Raises:
            ConflictError: the blob was replaced by another version.
            NotFoundError: it is gone.
            UnavailableError: the store is away, or the disk is full.
        """
        async with self._one_at_a_time:
            path = await self._path_of(scene)
            self._last = path
            return path

    async def _path_of(self, scene: jobs.SceneRef) -> Path:
        digest = hashlib.sha256(f"{scene.name}\n{scene.etag}".encode()).hexdigest()[:32]
        path = self._folder / digest / f"{_stem(scene.name)}.blend"
        if await asyncio.to_thread(self._have, path, scene.size):
            self._progress.scene_found(cached=True)
            return path
        log.info("scene_download", scene=scene.name, bytes=scene.size)
        try:
            await asyncio.to_thread(self._make_room, scene.size)
            path.parent.mkdir(parents=True, exist_ok=True)
            await self._store.download(scene, path)
        except OSError as failed:
            raise errors.UnavailableError(
                f"scene {scene.name!r} ({scene.size} bytes) cannot be written to {self._folder}: "
                f"{failed}. Give the worker more disk, or lower BLENDROP_SCENE_CACHE_BYTES"
            ) from failed
        self._progress.scene_found(cached=False)
        return path

    async def digest_of(self, scene: jobs.SceneRef) -> str:
        """Return the SHA-256 of that version's bytes. Raises as `path_of` does."""
        path = await self.path_of(scene)
        try:
            return await asyncio.to_thread(_digest, path)
        except OSError as failed:
            raise errors.UnavailableError(
                f"scene {scene.name!r} cannot be read: {failed}"
            ) from failed

    def _have(self, path: Path, size: int) -> bool:
        try:
            whole = path.stat().st_size == size
        except FileNotFoundError:
            return False
        if whole:
            os.utime(path)  # most recently used
        return whole

    def _make_room(self, size: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        by_age = sorted(self._folder.glob("*/*.blend"), key=lambda file: file.stat().st_mtime)
        total = sum(file.stat().st_size for file in by_age)
        for file in by_age:
            if total + size <= self._largest:
                return
            if file == self._last:
                continue
            total -= file.stat().st_size
            file.unlink()
            with contextlib.suppress(OSError):  # a download that was cut off may lie there still
                file.parent.rmdir()
            log.info("scene_evicted", file=file.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stem(name: str) -> str:
    """Return what the file is called without its extension, short enough for any disk."""
    return PurePosixPath(name).stem.encode()[:_STEM_BYTES].decode("utf-8", "ignore") or "scene"
