"""How far was a scene sent, should the upload be cut off?

A signature that may write need not be allowed to read, so that the blob service is not asked which
blocks it has: what it took is written down here, a line for each block, beside the user's other
settings. A line that was cut off is no line. What the record says is not trusted: a blob service
that has forgotten the blocks refuses to put them together, and all are sent again.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

_COMMITTED = "committed"
_KEPT = 30 * 24 * 3600.0  # seconds; blocks that nothing was made of are dropped after a week


class UploadRecord:
    """The blocks of one scene that the blob service has, at one farm."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self.sent: set[str] = set()  # ids of blocks
        self.committed = False  # the blob stands
        self._lost = False  # whether it cannot be read or written here

    def load(self) -> None:
        """Read what an earlier command wrote."""
        try:
            text = self._path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return
        except OSError as failed:
            self._give_up(failed)
            return
        lines = text.splitlines(keepends=True)
        whole = {line.strip() for line in lines if line.endswith("\n")}
        self.committed = _COMMITTED in whole
        self.sent = whole - {_COMMITTED}

    def add(self, block_id: str) -> None:
        """Note a block that the blob service took."""
        self.sent.add(block_id)
        self._write(block_id)

    def commit(self) -> None:
        """Note that the blob stands."""
        self.committed = True
        self._write(_COMMITTED)

    def forget(self) -> None:
        """Drop all of it: the blob service does not have what it says."""
        self.sent, self.committed = set(), False
        try:
            self._path.unlink(missing_ok=True)
        except OSError as failed:
            self._give_up(failed)

    def _write(self, line: str) -> None:
        if self._lost:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{line}\n")
        except OSError as failed:
            self._give_up(failed)

    def _give_up(self, failed: OSError) -> None:
        """Go on without a record: the upload is as good, it just cannot be resumed."""
        if not self._lost:
            self._tell(f"this upload cannot be resumed if it is cut off: {failed}")
        self._lost = True


def of(
    folder: Path, *, farm: str, scene: str, sha256: str, tell: Callable[[str], None]
) -> UploadRecord:
    """Return the record of one file's content on its way to one blob of a farm."""
    name = hashlib.sha256(f"{farm}\n{scene}\n{sha256}".encode()).hexdigest()[:32]
    record = UploadRecord(folder / f"{name}.txt", tell)
    record.load()
    return record


def remove_old(folder: Path) -> None:
    """Remove the records that nothing can be resumed by any more."""
    for path in folder.glob("*.txt"):
        with contextlib.suppress(OSError):  # another command may be first
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()
