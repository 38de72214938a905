"""What do tests of all but Blender render with? A program that draws in its place, at once."""

import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.chaos import audit, stand_in_blender
from tests.doubles.blend_file import head


def blenders(folder: Path) -> Mapping[str, str]:
    """Return the program by its version, as a farm is told of it."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "blender"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in_blender.__file__} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"5.0": str(program)}


def scene(name: str, frames: int, *, seconds: float, bad: Mapping[str, str] | None = None) -> bytes:
    """Return a .blend whose frames take so long; `bad` ones fail in the way that is given."""
    return audit.scene(
        name, head(("Scene", 1, frames), version="5.0", large=True), bad or {}, seconds
    )
