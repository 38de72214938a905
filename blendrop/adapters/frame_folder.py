"""The frame share as a folder: Azure Files mounted as a volume, or a directory on a laptop."""

import asyncio
import contextlib
import errno
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from blendrop import errors

_ROOMS = ".rendering"  # unfinished files, below the job's folder
_JOB_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PLAIN = re.compile(r"[^/\\\0]+")
# Filesystems without hard links say so in different words; Azure Files over SMB is one.
_NO_HARD_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)
_REMEDIES = {
    errno.ENOSPC: "Make room on it, or give it a larger quota",
    errno.EDQUOT: "Make room on it, or give it a larger quota",
    errno.EROFS: "Mount it for writing",
    errno.EACCES: "Give the worker's user the right to write there",
    errno.EPERM: "Give the worker's user the right to write there",
}


class FrameFolder:
    """Carries out `ports.FrameShare`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def frames_done(self, job_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that stand in the job's folder."""
        return await asyncio.to_thread(self._frames_done, job_id, names)

    def _frames_done(self, job_id: str, names: Collection[str]) -> set[str]:
        with self._working("look for frames"):
            self._root.stat()  # a share that is away must not look like one without frames
            try:
                with os.scandir(self._job_folder(job_id)) as found:
                    # A link is nobody's frame: it may lead anywhere.
                    standing = {one.name for one in found if one.is_file(follow_symlinks=False)}
            except FileNotFoundError:
                return set()
        return standing.intersection(names)

    async def make_room(self, job_id: str, *, attempt: str) -> Path:
        """Return a new, empty folder beside the job's frames, for one attempt's unfinished files.

        Raises:
            UnavailableError: the share is full, read-only or away.
        """
        return await asyncio.to_thread(self._make_room, job_id, attempt)

    def _make_room(self, job_id: str, attempt: str) -> Path:
        room = self._job_folder(job_id) / _ROOMS / _plain(attempt)
        with self._working("make room for frames"):
            self._root.stat()
            for folder in (self._job_folder(job_id), room.parent):
                folder.mkdir(exist_ok=True)
                _refuse_link(folder)
            if room.exists():
                shutil.rmtree(room)
            room.mkdir()
        return room

    async def publish(self, job_id: str, unfinished: Path, name: str) -> bool:
        """Give a verified file its final name; False if another worker's already stands there."""
        return await asyncio.to_thread(self._publish, job_id, unfinished, name)

    def _publish(self, job_id: str, unfinished: Path, name: str) -> bool:
        final = self._job_folder(job_id) / _plain(name)
        with self._working(f"publish {name}"):
            _flush(unfinished)
            try:
                os.link(unfinished, final, follow_symlinks=False)
            except FileExistsError:
                first = False
            except OSError as failed:
                if failed.errno not in _NO_HARD_LINKS:
                    raise
                first = not final.exists()
                if first:
                    unfinished.rename(final)
            else:
                first = True
            unfinished.unlink(missing_ok=True)
        return first

    async def keep(self, job_id: str, unfinished: Path, name: str) -> None:
        """Move a file that goes with a frame (an extra output) to `name` below the job's folder."""
        await asyncio.to_thread(self._keep, job_id, unfinished, name)

    def _keep(self, job_id: str, unfinished: Path, name: str) -> None:
        with self._working(f"keep {name}"):
            _flush(unfinished)
            unfinished.replace(self._inside(job_id, name))

    async def keep_log(self, job_id: str, name: str, text: str) -> None:
        """Write a frame's log to `name` below the job's folder, in place of an older one."""
        await asyncio.to_thread(self._keep_log, job_id, name, text)

    def _keep_log(self, job_id: str, name: str, text: str) -> None:
        with self._working(f"keep {name}"):
            self._inside(job_id, name).write_text(text, encoding="utf-8", errors="replace")

    async def clear_room(self, room: Path) -> None:
        """Remove an attempt's folder with all that is left in it."""
        await asyncio.to_thread(self._remove, room)

    async def clear_rooms(self, job_id: str) -> None:
        """Remove every attempt's folder of a job that has ended."""
        await asyncio.to_thread(self._remove, self._job_folder(job_id) / _ROOMS)

    def _remove(self, folder: Path) -> None:
        with self._working(f"remove {folder.name}"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)

    def _job_folder(self, job_id: str) -> Path:
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no job id")
        return self._root / job_id

    def _inside(self, job_id: str, name: str) -> Path:
        """Return the path of a file below the job's folder, having made the folders between."""
        folder = self._job_folder(job_id)
        *between, last = (_plain(part) for part in name.split("/"))
        for part in between:
            folder /= part
            folder.mkdir(exist_ok=True)
            _refuse_link(folder)
        _refuse_link(folder / last)
        return folder / last

    @contextlib.contextmanager
    def _working(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as failed:
            remedy = _REMEDIES.get(failed.errno or 0, "Look whether it is mounted and answers")
            raise errors.UnavailableError(
                f"the frame share {self._root} cannot {doing}: {failed.strerror or failed}. "
                f"{remedy}"
            ) from failed


def _plain(name: str) -> str:
    if not _PLAIN.fullmatch(name) or name in (".", "..") or name.startswith("."):
        raise ValueError(f"{name!r} is no plain file name")
    return name


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise OSError(errno.EACCES, f"{path.name} is a symbolic link, which may lead anywhere")


def _flush(path: Path) -> None:
    """Wait until a file's content is on the disk: a name must never stand for a half file."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(file)
    finally:
        os.close(file)
