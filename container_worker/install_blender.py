"""How do the Blenders get into a worker's image?

Each version comes as the `bpy` module from PyPI, in a virtual environment of its own and pinned by
hash (`blenders/bpy-<version>.txt`), or as an official archive that must have the given SHA-256:

    python install_blender.py --to /opt/blender --wheels "4.5.15 5.0.1"
    python install_blender.py --to /opt/blender --archive 5.0.1 https://… 0123…
    python install_blender.py --check "5.0=/opt/blender/5.0/bin/python"

It ends with the line that tells a worker of them (BLENDROP_BLENDERS). Needs the standard library
alone, so that it runs in an image with nothing installed, and anywhere else.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

_LOCKS = Path(__file__).resolve().parent / "blenders"
_PIECE = 2**20  # bytes read at a time
_SECONDS = 300  # that a Blender may take to say its version
_SAY_VERSION = "import bpy; print('Blender', bpy.app.version_string)"


class InstallError(Exception):
    """A Blender cannot be installed; the message says which, why and what to do."""


def short(version: str) -> str:
    """Return the version as workers call it: 5.0 for 5.0.1."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise InstallError(f"{version!r} is no Blender version; give one like 5.0.1")
    return version.rpartition(".")[0]


def install_wheel(version: str, to: Path) -> Path:
    """Install `bpy` into an environment below `to`; return its Python.

    Raises:
        InstallError: there is no lock for that version.
        subprocess.CalledProcessError: pip refused; it has said why.
    """
    lock = _LOCKS / f"bpy-{version}.txt"
    if not lock.is_file():
        raise InstallError(f"there is no {lock}; make it with {_LOCKS}/lock.sh {version}")
    environment = to / short(version)
    program = environment / "bin" / "python"
    _python("-m", "venv", "--without-pip", str(environment))
    quiet = ("--disable-pip-version-check", "--no-cache-dir", "--no-compile")
    pinned = ("--require-hashes", "--only-binary", ":all:", "--requirement", str(lock))
    _python("-m", "pip", "--python", str(program), "install", *quiet, *pinned)
    return program


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True)  # noqa: S603 our own interpreter


def install_archive(version: str, source: str, sha256: str, to: Path) -> Path:
    """Unpack an official archive (an https address or a file) below `to`; return its `blender`.

    Raises:
        InstallError: the archive is not the one that was meant, or holds no Blender.
    """
    with tempfile.TemporaryDirectory(dir=to) as scratch:
        archive = Path(scratch) / "archive"
        found = _copy(source, archive)
        if found != sha256.lower():
            raise InstallError(f"{source} has SHA-256 {found}, not {sha256}: nothing installed")
        unpacked = Path(scratch) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        programs = sorted(unpacked.glob("*/blender"))
        if len(programs) != 1:
            raise InstallError(f"{source} holds no folder with one program `blender`")
        programs[0].parent.rename(to / short(version))
    return to / short(version) / "blender"


def _copy(source: str, to: Path) -> str:
    """Fetch a file and return its SHA-256."""
    scheme = urllib.parse.urlsplit(source).scheme
    if scheme not in ("", "https"):
        raise InstallError(f"{source} is neither a file nor an https address")
    digest = hashlib.sha256()
    address = source if scheme else Path(source).absolute().as_uri()
    with urllib.request.urlopen(address, timeout=60) as coming, to.open("wb") as going:  # noqa: S310 one of two schemes
        while piece := coming.read(_PIECE):
            digest.update(piece)
            going.write(piece)
    return digest.hexdigest()


def check(blenders: str) -> None:
    """Start every program of a BLENDROP_BLENDERS value and hold its version against its name.

    Raises:
        InstallError: one does not start, or is another version.
    """
    for entry in filter(str.strip, blenders.split(";")):
        version, _, program = (part.strip() for part in entry.partition("="))
        arguments = ["--version"] if Path(program).name == "blender" else ["-c", _SAY_VERSION]
        try:
            said = subprocess.run(  # noqa: S603 whoever builds the image names it
                [program, *arguments],
                check=True,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            ).stdout
        except (OSError, subprocess.SubprocessError) as failed:
            detail = getattr(failed, "stderr", None) or ""
            raise InstallError(f"{program} does not start: {failed}\n{detail}") from failed
        if not re.search(rf"^Blender {re.escape(version)}\.", said, re.MULTILINE):
            raise InstallError(f"{program} is not Blender {version}; it says {said.strip()!r}")


def main(arguments: list[str]) -> None:
    """Install and check what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path, default=Path("/opt/blender"))
    parser.add_argument("--wheels", default="", metavar="VERSIONS")
    parser.add_argument(
        "--archive", nargs=3, action="append", default=[], metavar=("VERSION", "SOURCE", "SHA256")
    )
    parser.add_argument("--check", default="", metavar="BLENDROP_BLENDERS")
    wanted = parser.parse_args(arguments)
    wanted.to.mkdir(parents=True, exist_ok=True)
    installed = {short(one): install_wheel(one, wanted.to) for one in wanted.wheels.split()}
    for version, source, sha256 in wanted.archive:
        installed[short(version)] = install_archive(version, source, sha256, wanted.to)
    blenders = ";".join(f"{version}={program}" for version, program in installed.items())
    check(wanted.check or blenders)
    sys.stdout.write(f"BLENDROP_BLENDERS={wanted.check or blenders}\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except InstallError as reason:
        sys.exit(str(reason))
