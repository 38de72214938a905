"""Where is the demo's scene?

Blender makes it once, and again when the program that makes it changes.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from blendrop import errors
from local import blenders

_PROGRAM = Path(__file__).with_name("demo_scene.py")


async def made(installed: Mapping[str, str], folder: Path) -> Path:
    """Return the demo's .blend in `folder`.

    Raises:
        UnavailableError: Blender could not make it; with what it said.
    """
    version = list(installed)[-1]
    digest = hashlib.sha256(_PROGRAM.read_bytes()).hexdigest()[:8]
    path = folder / f"{version}-{digest}" / "drops.blend"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.blend")
    blender = await asyncio.create_subprocess_exec(
        *blenders.script_command(installed[version], _PROGRAM, str(unfinished)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await blender.communicate()
    if blender.returncode != 0 or not unfinished.is_file():
        raise errors.UnavailableError(
            f"Blender left with code {blender.returncode} and did not make {path}:\n"
            f"{said.decode(errors='replace')[-2000:]}"
        )
    unfinished.rename(path)
    return path
