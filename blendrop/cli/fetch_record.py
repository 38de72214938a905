"""Which frames in a folder are whole, and which version of each are they?

A line of JSON for each frame that was fetched and verified, added when the file has its name; the
last line about a name counts, and a line that was cut off is no line.
"""

import json
from pathlib import Path

import pydantic

FILE_NAME = ".blendrop-fetched.jsonl"


class Fetched(pydantic.BaseModel):
    """A frame's file, as it was when it was verified."""

    model_config = pydantic.ConfigDict(frozen=True)

    name: str
    etag: str  # of the image in the farm
    size: int
    mtime_ns: int


class FetchRecord:
    """What was fetched into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._by_name: dict[str, Fetched] = {}

    def load(self) -> None:
        """Read what earlier commands wrote."""
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                one = Fetched.model_validate_json(line)
            except pydantic.ValidationError:
                continue  # cut off: that frame is fetched again
            self._by_name[one.name] = one

    def etag_of(self, name: str) -> str:
        """Return the version of the file that stands here whole and untouched, or nothing."""
        known = self._by_name.get(name)
        if known is None:
            return ""
        try:
            now = (self._folder / name).stat()
        except FileNotFoundError:
            return ""
        untouched = (now.st_size, now.st_mtime_ns) == (known.size, known.mtime_ns)
        return known.etag if untouched else ""

    def add(self, name: str, etag: str) -> None:
        """Note a file that was verified and has its name."""
        now = (self._folder / name).stat()
        one = Fetched(name=name, etag=etag, size=now.st_size, mtime_ns=now.st_mtime_ns)
        self._by_name[name] = one
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one.model_dump()) + "\n")
