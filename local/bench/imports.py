"""How much longer does the function app take to import than the libraries that it needs?

Both in processes of their own, in turn, by the CPU seconds that they took. What it needs is what
importing it loaded that is not Blendrop's.
"""

import asyncio
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from blendrop import errors

_ROOT = Path(__file__).resolve().parents[2]
OURS = ("blendrop", "functions", "function_app")
# Importing submodules in the order in which they were imported loads just the same.
LIBRARIES = f"""
import sys
import function_app
print(",".join(m for m in sys.modules if m.partition(".")[0] not in {OURS!r}))
"""


@dataclass(frozen=True)
class Measured:
    """CPU seconds that a process took, each the median of several."""

    app: float
    libraries: float
    bare: float  # a Python that imports nothing

    @property
    def ratio(self) -> float:
        """How much longer the app takes, the start of Python left out."""
        return (self.app - self.bare) / (self.libraries - self.bare)

    def told(self) -> str:
        """Return it for people."""
        return (
            f"import function_app {self.app - self.bare:.2f} s, its libraries alone "
            f"{self.libraries - self.bare:.2f} s: ratio {self.ratio:.2f}"
        )


async def measured(*, rounds: int) -> Measured:
    """Return what was measured. Raises UnavailableError: the app cannot be imported."""
    _, loaded = await _run(LIBRARIES)
    names = loaded.strip().split(",")
    alone = (
        "import importlib\n"
        f"for name in {names!r}:\n"
        "    try: importlib.import_module(name)\n"
        "    except Exception: pass\n"
    )
    programs = {"app": "import function_app", "libraries": alone, "bare": "pass"}
    times: dict[str, list[float]] = {kind: [] for kind in programs}
    for _ in range(rounds):
        for kind, program in programs.items():
            seconds, _ = await _run(program)
            times[kind].append(seconds)
    return Measured(**{kind: statistics.median(seconds) for kind, seconds in times.items()})


async def _run(program: str) -> tuple[float, str]:
    """Return the CPU seconds that a program took, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{program}\nimport time\nprint(time.process_time())",
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    printed, complained = await process.communicate()
    if process.returncode:
        raise errors.UnavailableError(f"{program[:60]!r} failed:\n{complained.decode()[-2000:]}")
    *lines, seconds = printed.decode().splitlines()
    return float(seconds), "\n".join(lines)


def environment() -> dict[str, str]:
    """Return what the function app reads as it is imported."""
    return {
        "PYTHONPATH": str(_ROOT),
        "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
        "BLENDROP_FRAME_SHARE": "/tmp",  # noqa: S108 nothing is written
        "BLENDROP_NEWEST_BLENDER": "5.0",
        "BLENDROP_AUTH": "anonymous",
        "BLENDROP_UPLOADS_DOOR": "event-grid",
    }
