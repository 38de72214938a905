"""Which file is to be rendered, and is it still the same?"""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from blendrop import errors


@dataclass(frozen=True)
class SceneFile:
    """A .blend on this machine, with what told it apart when it was read."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str

    def read_block(self, start: int, size: int) -> bytes:
        """Return some of its bytes."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    def check(self) -> None:
        """Hold the file to what it was.

        Raises:
            InvalidRequestError: someone wrote to it since.
        """
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise errors.InvalidRequestError(
                errors.Problem(
                    pointer="scene_file",
                    value=str(self.path),
                    reason="it was changed while it was sent",
                    remedy="Submit it again when it is saved; nothing was rendered",
                )
            )


async def read(path: Path) -> SceneFile:
    """Return a file with the hash of all its bytes.

    Raises:
        InvalidRequestError: its name does not end in .blend.
        OSError: it cannot be read.
    """
    if path.suffix.lower() != ".blend":
        raise errors.InvalidRequestError(
            errors.Problem(
                pointer="scene_file",
                value=str(path),
                reason="its name does not end in .blend",
                remedy="Give a file that Blender saved",
            )
        )
    before = path.stat()
    digest = await asyncio.to_thread(_digest, path)
    return SceneFile(path, before.st_size, before.st_mtime_ns, digest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
