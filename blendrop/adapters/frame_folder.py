"""The frame share as a folder: Azure Files mounted as a volume, or a directory on a laptop."""

import asyncio
import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from blendrop import errors, ports
from blendrop.adapters.smb_operations import SmbOperations

_UNFINISHED = ".part-"  # and some letters: half copied files
_COPIED_AT_ONCE = 1024 * 1024  # bytes
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
_NOBODY = ports.StorageCalls()


class FrameFolder:
    """Carries out `ports.FrameShare`."""

    def __init__(self, root: Path, calls: ports.StorageCalls = _NOBODY) -> None:
        self._root = root
        self._smb = SmbOperations(calls)

    async def frames_done(self, job_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that stand in the job's folder."""
        standing = await asyncio.to_thread(self._frames_done, job_id, names)
        self._smb.looked()
        self._smb.listed()
        return standing

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

    async def publish(self, job_id: str, file: Path, name: str) -> bool:
        """Copy a verified file to its final name; False if another worker's already stands there.

        Raises:
            UnavailableError: the share is full, read-only or away; nothing stands there.
            FrameError: the worker's own disk does not have the file.
        """
        published, size = await asyncio.to_thread(self._publish, job_id, file, name)
        self._smb.went_to(name)
        self._smb.looked()
        if size is not None:
            self._smb.wrote(size)
            # Azure Files has no hard links: one is tried, and after a look the file is renamed.
            self._smb.looked()
            self._smb.changed(3)  # the third removes what is left of the copy
        return published

    def _publish(self, job_id: str, file: Path, name: str) -> tuple[bool, int | None]:
        """Tell whether it was published, and how many bytes were copied, if any were."""
        with self._working(f"publish {name}"):
            final = self._inside(job_id, name)
            if final.exists():
                return False, None
            with self._copied(file, final.parent) as (unfinished, size):
                return _named(unfinished, final), size

    async def keep(self, job_id: str, file: Path, name: str) -> None:
        """Copy a file that goes with a frame (an extra output) to `name` below the job's folder."""
        size = await asyncio.to_thread(self._keep, job_id, file, name)
        self._smb.went_to(name)
        self._smb.wrote(size)
        self._smb.changed(2)  # it gets its name, and what is left of the copy is removed

    def _keep(self, job_id: str, file: Path, name: str) -> int:
        """Return how many bytes were copied."""
        with self._working(f"keep {name}"):
            final = self._inside(job_id, name)
            with self._copied(file, final.parent) as (unfinished, size):
                unfinished.replace(final)
        return size

    async def keep_log(self, job_id: str, name: str, text: str) -> None:
        """Write a frame's log to `name` below the job's folder, in place of an older one."""
        await asyncio.to_thread(self._keep_log, job_id, name, text)
        self._smb.went_to(name)
        self._smb.wrote(len(text))

    def _keep_log(self, job_id: str, name: str, text: str) -> None:
        with self._working(f"keep {name}"):
            self._inside(job_id, name).write_text(text, encoding="utf-8", errors="replace")

    async def clear_unfinished(self, job_id: str) -> None:
        """Remove what workers that vanished left half copied, of a job that has ended."""
        await asyncio.to_thread(self._clear_unfinished, job_id)

    def _clear_unfinished(self, job_id: str) -> None:
        with self._working("remove unfinished files"):
            self._root.stat()
            for left in self._job_folder(job_id).rglob(f"{_UNFINISHED}*"):
                left.unlink(missing_ok=True)

    async def file(self, job_id: str, name: str) -> Path:
        """Return the path of a file below the job's folder, for reading. Raises NotFoundError."""
        found = await asyncio.to_thread(self._file, job_id, name)
        self._smb.looked(3 + name.count("/"))
        return found

    def _file(self, job_id: str, name: str) -> Path:
        with self._working(f"read {name}"):
            self._root.stat()
            path = self._job_folder(job_id)
            _refuse_link(path)
            for part in name.split("/"):
                path /= _plain(part)
                _refuse_link(path)
            if not path.is_file():
                raise errors.NotFoundError(f"job {job_id} has no file {name}")
            return path

    async def has_extra_files(self, job_id: str) -> bool:
        """Tell whether files were kept below `extra/` in the job's folder."""
        return await asyncio.to_thread(self._has_extra_files, job_id)

    def _has_extra_files(self, job_id: str) -> bool:
        with self._working("look for extra files"):
            self._root.stat()
            return (self._job_folder(job_id) / "extra").exists()

    async def remove_job(self, job_id: str) -> None:
        """Remove the job's folder with everything in it."""
        await asyncio.to_thread(self._remove_job, job_id)

    def _remove_job(self, job_id: str) -> None:
        with self._working("remove a job's frames"):
            self._root.stat()
            folder = self._job_folder(job_id)
            _refuse_link(folder)
            if folder.exists():
                shutil.rmtree(folder)

    def _job_folder(self, job_id: str) -> Path:
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no job id")
        return self._root / job_id

    def _inside(self, job_id: str, name: str) -> Path:
        """Return the path of a file below the job's folder, having made the folders between."""
        self._root.stat()  # a share that is away must not be made anew where it was mounted
        folder = self._job_folder(job_id)
        folder.mkdir(exist_ok=True)
        _refuse_link(folder)
        *between, last = (_plain(part) for part in name.split("/"))
        for part in between:
            folder /= part
            folder.mkdir(exist_ok=True)
            _refuse_link(folder)
        _refuse_link(folder / last)
        return folder / last

    @contextlib.contextmanager
    def _copied(self, file: Path, folder: Path) -> Iterator[tuple[Path, int]]:
        """Give a whole copy on the share, and its size in bytes; its name does not stay."""
        copy = folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            with self._source(file) as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, _COPIED_AT_ONCE)
                target.flush()
                os.fsync(target.fileno())  # a name must never stand for a half file
                size = target.tell()
            yield copy, size
        finally:
            with contextlib.suppress(OSError):  # the share may be away; it is cleared later
                copy.unlink()

    def _source(self, file: Path) -> BinaryIO:
        """Open what is copied: on the worker's own disk, or on the share where it is taken over."""
        try:
            return file.open("rb")
        except OSError as failed:
            if file.is_relative_to(self._root):
                raise
            # To wait for the share would be to wait for ever.
            raise errors.FrameError(
                errors.FailureClass.WORKER_DISK,
                f"{file.name} was rendered, and cannot be read from the worker's own disk: "
                f"{failed.strerror or failed}",
                "Rendering it again may help; where it does not, look at the worker's disk",
            ) from failed

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


def _named(unfinished: Path, final: Path) -> bool:
    """Give a file its final name, unless another has it."""
    try:
        os.link(unfinished, final, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as failed:
        if failed.errno not in _NO_HARD_LINKS:
            raise
        if final.exists():
            return False
        unfinished.rename(final)  # two at once: the later one wins, and it is as whole
    return True
