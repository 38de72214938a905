"""Which Blenders does this machine have, and how does it get one?

Found are those of BLENDROP_BLENDERS, if it is set, and nothing else; otherwise the `bpy` modules
below `.blender`, each in a virtual environment of its own, and the `blender` on the PATH.
`python -m local.blenders` prints them, after it has made sure that there is a recent one.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from blendrop import errors, settings

FOLDER = Path(__file__).resolve().parents[1] / ".blender"
_LOCK = Path(__file__).with_name("blender.lock")
# The oldest that opens the demo's scene: its shader and denoiser settings came with 4.2.
_RECENT = (4, 2)
# Written last, with the digest of the lock: without it an install was cut off, or is out of date.
_MARKER = "installed-from"
_SECONDS = 60  # that a Blender may take to say its version


def find(environment: Mapping[str, str], folder: Path = FOLDER) -> dict[str, str]:
    """Return the program of each Blender by its version, like 5.0, oldest first.

    A program is an executable of Blender, or the Python interpreter that holds `bpy`.

    Raises:
        InvalidRequestError: BLENDROP_BLENDERS is set and wrong.
        UnavailableError: the `blender` on the PATH does not say its version.
    """
    if given := environment.get("BLENDROP_BLENDERS", "").strip():
        return _read(given)
    found = {**_on_path(environment), **_modules(folder)}
    return dict(sorted(found.items(), key=lambda pair: _key(pair[0])))


def _read(given: str) -> dict[str, str]:
    named = {"BLENDROP_BLENDERS": given, settings.STORAGE_CONNECTION: "-"}
    named["BLENDROP_FRAME_SHARE"] = "-"  # the settings are read as a whole
    return settings.read(settings.WorkerSettings, named).commands()


def _modules(folder: Path) -> dict[str, str]:
    return {
        place.name.removeprefix("bpy-").rpartition(".")[0]: str(place / "bin" / "python")
        for place in sorted(folder.glob("bpy-*.*.*"), key=lambda one: _key(one.name[4:]))
        if (place / _MARKER).is_file()
    }


def _on_path(environment: Mapping[str, str]) -> dict[str, str]:
    program = shutil.which("blender", path=environment.get("PATH"))
    if program is None:
        return {}
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as failed:
        raise errors.UnavailableError(
            f"{program} does not say its version ({failed}); mend it, or name the Blenders to use "
            "in BLENDROP_BLENDERS, like 5.0=/opt/blender-5.0/blender"
        ) from failed
    version = re.search(r"Blender (\d+\.\d+)", said)
    return {version[1]: program} if version else {}


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def ensure(environment: Mapping[str, str], folder: Path = FOLDER) -> dict[str, str]:
    """Return what `find` does, after installing a Blender if there is no recent one.

    Raises:
        InvalidRequestError: as `find`; or BLENDROP_BLENDERS names no recent Blender.
        UnavailableError: as `find`; or the install failed.
    """
    found = find(environment, folder)
    if any(_key(version) >= _RECENT for version in found):
        return found
    if environment.get("BLENDROP_BLENDERS", "").strip():
        raise errors.InvalidRequestError(
            errors.Problem(
                pointer="BLENDROP_BLENDERS",
                value=environment["BLENDROP_BLENDERS"],
                reason="it names no Blender of 4.2 or later",
                remedy="Name one, or leave it unset to have one installed",
            )
        )
    install(folder)
    return find(environment, folder)


def install(folder: Path = FOLDER) -> None:
    """Install the `bpy` that is pinned in `local/blender.lock`; does nothing if it is there whole.

    Raises:
        UnavailableError: uv is missing, or it failed.
    """
    lock = _LOCK.read_text(encoding="utf-8")
    pinned = re.search(r"^bpy==(\S+)", lock, re.MULTILINE)
    if pinned is None:
        raise ValueError(f"{_LOCK} pins no bpy")
    place = folder / f"bpy-{pinned[1]}"
    digest = hashlib.sha256(lock.encode()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two installs at once would mend each other to pieces
        marker = place / _MARKER
        if marker.is_file() and marker.read_text() == digest:
            return
        print(f"installing Blender {pinned[1]} into {place} (about 400 MB to download)", flush=True)
        uv = _uv()
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        python = str(place / "bin" / "python")
        _run(uv, "pip", "sync", "--require-hashes", "--python", python, str(_LOCK))
        marker.write_text(digest)


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise errors.UnavailableError("uv is not installed; run `make setup` first")
    return found


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as failed:
        raise errors.UnavailableError(
            f"Blender could not be installed ({failed}); see what uv said above, and run it again"
        ) from failed


def newest(installed: Mapping[str, str]) -> tuple[str, str]:
    """Return the version and the program of the last one, of some that stand oldest first."""
    *_, last = installed.items()
    return last


def is_interpreter(program: str) -> bool:
    """Tell whether a program is a Python interpreter that holds `bpy`, no Blender executable."""
    return Path(program).name.startswith("python")


def script_command(program: str, script: Path, *arguments: str) -> list[str]:
    """Return the command that runs a script inside Blender, with these as its last arguments."""
    if is_interpreter(program):
        return [program, str(script), *arguments]
    blender = [program, "--background", "--factory-startup", "--python-exit-code", "1"]
    return [*blender, "--python", str(script), "--", *arguments]


def written(blenders: Mapping[str, str]) -> str:
    """Return the Blenders as BLENDROP_BLENDERS names them."""
    return ";".join(f"{version}={program}" for version, program in blenders.items())


if __name__ == "__main__":
    print(written(ensure(os.environ)))
