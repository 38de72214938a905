"""Where is a scene that is measured? Blender makes it once, and anew when its program changes."""

import asyncio
import hashlib
from pathlib import Path

from blendrop import errors
from local import blenders

_PROGRAM = Path(__file__).with_name("scenes.py")


async def made(program: str, kind: str, folder: Path) -> Path:
    """Return a .blend in `folder`. Raises UnavailableError: Blender could not make it."""
    digest = hashlib.sha256(_PROGRAM.read_bytes()).hexdigest()[:8]
    path = folder / digest / f"{kind}.blend"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished.blend")
    blender = await asyncio.create_subprocess_exec(
        *blenders.script_command(program, _PROGRAM, kind, str(unfinished)),
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
