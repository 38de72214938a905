"""The frame share as a folder: Azure Files mounted as a volume, or a directory on a laptop."""

import asyncio
import contextlib
import errno
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from blendrop import errors, ports
from blendrop.adapters.smb_operations import Deed

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
# For so many seconds a folder that was looked at is written to without another look: looks are
# most of what a frame would cost on the share, and are billed like writes.
_RELIED_ON = 60.0
Result = TypeVar("Result")


class FrameFolder:
    """Carries out `ports.FrameShare`."""

    def __init__(self, root: Path, calls: ports.StorageCalls = _NOBODY) -> None:
        self._root = root
        self._calls = calls
        self._looked_at: dict[Path, float] = {}  # folders, and when by the monotonic clock
        self._hard_links = True  # as far as is known

    async def frames_done(self, job_id: str, names: Collection[str]) -> set[str]:
        """Return those of `names` that stand in the job's folder."""
        return await self._done("look for frames", lambda deed: self._frames(deed, job_id, names))

    def _frames(self, deed: Deed, job_id: str, names: Collection[str]) -> set[str]:
        self._root.stat()  # a share that is away must not look like one without frames
        deed.looked()
        deed.listed()
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

        def published(deed: Deed, final: Path) -> bool:
            with self._copied(deed, file, final.parent) as copy:
                return self._named(deed, copy, final)

        return await self._done(
            f"publish {name}", lambda deed: self._inside(deed, job_id, name, published)
        )

    async def keep(self, job_id: str, file: Path, name: str) -> None:
        """Copy a file that goes with a frame (an extra output) to `name` below the job's folder."""

        def kept(deed: Deed, final: Path) -> None:
            with self._copied(deed, file, final.parent) as copy:
                deed.changed()
                copy.replace(final)

        await self._done(f"keep {name}", lambda deed: self._inside(deed, job_id, name, kept))

    async def keep_log(self, job_id: str, name: str, text: str) -> None:
        """Write a frame's log to `name` below the job's folder, in place of an older one."""

        def written(deed: Deed, final: Path) -> None:
            with open(final, "wb", opener=_no_link) as log:
                deed.wrote(log.write(text.encode("utf-8", "replace")), kept=False)

        await self._done(f"keep {name}", lambda deed: self._inside(deed, job_id, name, written))

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
        return await self._done(f"read {name}", lambda deed: self._file(deed, job_id, name))

    def _file(self, deed: Deed, job_id: str, name: str) -> Path:
        self._root.stat()
        path = self._job_folder(job_id)
        _stands(path)  # and nothing on the way to the file is a link
        for part in name.split("/"):
            path /= _plain(part)
            _stands(path)
        deed.looked(4 + name.count("/"))
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
            if _stands(folder):
                shutil.rmtree(folder)

    async def _done(self, doing: str, do: Callable[[Deed], Result]) -> Result:
        """Do something in a thread, and tell what it took. Raises UnavailableError."""
        deed = Deed()

        def done() -> Result:
            with self._working(doing):
                return do(deed)

        result = await asyncio.to_thread(done)
        deed.tell(self._calls)
        return result

    def _job_folder(self, job_id: str) -> Path:
        if not _JOB_ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no job id")
        return self._root / job_id

    def _inside(
        self, deed: Deed, job_id: str, name: str, write: Callable[[Deed, Path], Result]
    ) -> Result:
        """Write a file below the job's folder, in folders that are there and are no links."""
        *between, last = (_plain(part) for part in name.split("/"))
        folders = [self._job_folder(job_id)]
        for part in between:
            folders.append(folders[-1] / part)
        final = folders[-1] / last
        if time.monotonic() - self._looked_at.get(folders[-1], -_RELIED_ON) < _RELIED_ON:
            try:
                return write(deed, final)
            except FileNotFoundError:
                pass  # the job was deleted meanwhile, or the share is away
        self._look_at(deed, folders)
        return write(deed, final)

    def _look_at(self, deed: Deed, folders: list[Path]) -> None:
        for folder in folders:
            folder.mkdir(
                exist_ok=True
            )  # and not its parents: a share that is away is not made anew
            deed.made()
            _stands(folder)  # and is no link
            deed.looked()
        now = time.monotonic()
        self._looked_at = {
            folder: looked
            for folder, looked in self._looked_at.items()
            if now - looked < _RELIED_ON
        } | {folders[-1]: now}

    @contextlib.contextmanager
    def _copied(self, deed: Deed, file: Path, folder: Path) -> Iterator[Path]:
        """Give a whole copy on the share, to be given a name or removed within the block."""
        copy = folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            with self._source(file) as source, copy.open("xb") as target:
                shutil.copyfileobj(source, target, _COPIED_AT_ONCE)
                target.flush()
                os.fsync(target.fileno())  # a name must never stand for a half file
                deed.wrote(target.tell(), kept=True)
            yield copy
        except BaseException:
            with contextlib.suppress(OSError):  # the share may be away; it is cleared later
                copy.unlink()
            raise

    def _named(self, deed: Deed, copy: Path, final: Path) -> bool:
        """Give a copy its final name; where another has it, remove the copy."""
        if self._hard_links:
            deed.changed()
            try:
                os.link(copy, final, follow_symlinks=False)
            except FileExistsError:
                pass
            except OSError as failed:
                if failed.errno not in _NO_HARD_LINKS:
                    raise
                self._hard_links = False
            else:
                deed.changed()
                copy.unlink()
                return True
        deed.looked()
        deed.changed()
        if _stands(final):
            copy.unlink()
            return False
        copy.rename(final)  # two at once: the later one wins, and it is as whole
        return True

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


def _stands(path: Path) -> bool:
    """Tell whether there is something of that name. Raises OSError: it is a link."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise OSError(errno.EACCES, f"{path.name} is a symbolic link, which may lead anywhere")
    return True


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
