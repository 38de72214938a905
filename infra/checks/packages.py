"""Which files go to Azure: with the functions, and into the worker's image?"""

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pathspec

from infra.checks.finding import Finding

MOST_BYTES = 100 * 2**20
# The first parts of every path that each may hold.
FUNCTIONS = frozenset({"blendrop", "function_app.py", "functions", "host.json", "requirements.txt"})
WORKER = frozenset({"blendrop", "container_worker"})
_COPY = re.compile(r"^COPY (?!--from)(?:--\S+ )*(\S+) \S+$", re.MULTILINE)


def broken(repository: Path) -> Iterator[Finding]:
    """Yield every file that is published and should not be, and all that is missing."""
    sides = (
        (repository / ".funcignore", functions_files(repository), FUNCTIONS),
        (repository / ".dockerignore", worker_files(repository), WORKER),
    )
    for source, files, wanted in sides:
        found = {file.parts[0] for file in files}
        for name in sorted(found - wanted):
            yield Finding(source, 1, "stray-file", f"{name} is published: list it there")
        for name in sorted(wanted - found):
            yield Finding(source, 1, "missing-file", f"{name} is not published")


def functions_files(repository: Path) -> list[Path]:
    """Return what `func azure functionapp publish` and `azd deploy` pack.

    `.funcignore` has the grammar of .gitignore (Microsoft Learn, "Azure Functions Core Tools").
    """
    ignored = pathspec.GitIgnoreSpec.from_lines(
        (repository / ".funcignore").read_text().splitlines()
    )
    return list(_kept(repository, ignored.match_file))


def worker_files(repository: Path) -> list[Path]:
    """Return what the image's last stage copies out of the build's context."""
    ignored = _docker_ignored(repository / ".dockerignore")
    dockerfile = (repository / "container_worker/Dockerfile").read_text()
    last_stage = dockerfile[dockerfile.rindex("\nFROM ") :]
    sources = _COPY.findall(last_stage)
    return [
        path
        for path in _kept(repository, lambda path: bool(ignored.fullmatch(path.rstrip("/"))))
        if path.parts[0] in sources
    ]


def pack_functions(repository: Path, archive: Path) -> None:
    """Write the functions' package."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in functions_files(repository):
            packed.write(repository / file, file)


def _kept(root: Path, ignores: Callable[[str], bool]) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        below = Path(folder).relative_to(root)
        folders[:] = sorted(one for one in folders if not ignores(f"{(below / one).as_posix()}/"))
        for file in sorted(files):
            if not ignores((below / file).as_posix()):
                yield below / file


def _docker_ignored(path: Path) -> re.Pattern[str]:
    """Return what .dockerignore keeps out: its lines are anchored at the root (Docker's manual).

    Exceptions (`!`) are not known here.
    """
    lines = [line.strip() for line in path.read_text().splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    return re.compile("|".join(f"(?:{_regex(pattern)})" for pattern in patterns))


def _regex(pattern: str) -> str:
    parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return "".join(parts.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*)", pattern))
