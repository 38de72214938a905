"""Blenders get into an image whole, as the versions that were meant, or not at all."""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from container_worker import install_blender

REPOSITORY = Path(__file__).resolve().parents[3]
LOCKS = sorted((REPOSITORY / "container_worker/blenders").glob("bpy-*.txt"))
DOCKERFILE = (REPOSITORY / "container_worker/Dockerfile").read_text()


def _archive(folder: Path, *, program: str = "blender", says: str = "Blender 5.0.1") -> Path:
    """Make an archive as blender.org's are: one folder, with the program in it."""
    path = folder / "blender.tar.xz"
    script = f"#!/bin/sh\necho '{says}'\n".encode()
    entry = tarfile.TarInfo(f"blender-5.0.1-linux-x64/{program}")
    entry.size, entry.mode = len(script), 0o755
    with tarfile.open(path, "w:xz") as tar:
        tar.addfile(entry, io.BytesIO(script))
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_is_unpacked_checked_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line is what a worker must be told."""
    archive = _archive(tmp_path)
    to = tmp_path / "opt/blender"

    install_blender.main(
        ["--to", str(to), "--archive", "5.0.1", str(archive), _sha256(archive).upper()]
    )

    assert capsys.readouterr().out == f"BLENDROP_BLENDERS=5.0={to}/5.0/blender\n"
    assert [path.name for path in to.iterdir()] == ["5.0"]


def test_an_archive_with_another_checksum_is_not_unpacked(tmp_path: Path) -> None:
    """What was tampered with, or is another version, leaves nothing behind."""
    archive = _archive(tmp_path)
    to = tmp_path / "to"
    to.mkdir()

    with pytest.raises(install_blender.InstallError, match="nothing installed"):
        install_blender.install_archive("5.0.1", str(archive), "0" * 64, to)

    assert list(to.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "source", "reason"),
    [
        pytest.param("5.0.1", "http://example.org/a", "neither a file nor an https", id="http"),
        pytest.param("5.0", "ARCHIVE", "no Blender version", id="short-version"),
        pytest.param("../../5", "ARCHIVE", "no Blender version", id="path-for-a-version"),
        pytest.param("5.0.1", "WRONG", "holds no folder", id="archive-without-blender"),
    ],
)
def test_what_cannot_be_installed_says_why(
    tmp_path: Path, version: str, source: str, reason: str
) -> None:
    """The error names the input and the reason."""
    archive = _archive(tmp_path, program="blender" if source != "WRONG" else "gimp")
    source = source if ":" in source else str(archive)

    with pytest.raises(install_blender.InstallError, match=reason):
        install_blender.install_archive(version, source, _sha256(archive), tmp_path)


def test_an_archive_that_would_write_elsewhere_is_refused(tmp_path: Path) -> None:
    """Entries that lead out of the folder are not unpacked."""
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("../../escaped"))
    to = tmp_path / "a/b"
    to.mkdir(parents=True)

    with pytest.raises(tarfile.FilterError):
        install_blender.install_archive("5.0.1", str(archive), _sha256(archive), to)

    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        pytest.param("Blender 4.5.1", "is not Blender 5.0", id="another-version"),
        pytest.param("", "is not Blender 5.0", id="silence"),
    ],
)
def test_a_program_of_another_version_stops_the_build(
    tmp_path: Path, says: str, reason: str
) -> None:
    """A worker that calls a Blender 5.0 which is not would render wrong frames."""
    program = tmp_path / "blender"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)

    with pytest.raises(install_blender.InstallError, match=reason):
        install_blender.check(f"5.0={program}")


def test_a_program_that_is_not_there_stops_the_build(tmp_path: Path) -> None:
    """What BLENDROP_BLENDERS promises must be in the image."""
    with pytest.raises(install_blender.InstallError, match="does not start"):
        install_blender.check(f"5.0={tmp_path}/5.0/bin/python")


def test_a_version_without_a_lock_says_how_to_make_one() -> None:
    """Nothing is installed that is not pinned by hash."""
    done = subprocess.run(
        [sys.executable, install_blender.__file__, "--wheels", "3.6.0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "lock.sh 3.6.0" in done.stderr


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_lock_pins_its_blender_by_hash(lock: Path) -> None:
    """Each requirement has one version and at least one hash, and the file's name is true."""
    requirements = re.findall(
        r"^([\w.-]+)==\S+ \\\n    --hash=sha256:", lock.read_text(), re.MULTILINE
    )
    named = re.findall(r"^\w[\w.-]*", lock.read_text(), re.MULTILINE)

    assert requirements == named
    assert f"\nbpy=={lock.stem.removeprefix('bpy-')} \\\n" in lock.read_text()


def test_the_image_installs_what_it_promises() -> None:
    """The image's default Blenders are locked, and told to workers by their programs."""
    (versions,) = re.findall(r'^ARG BLENDER_VERSIONS="(.*)"$', DOCKERFILE, re.MULTILINE)
    promised = set(re.findall(r'^ARG BLENDROP_BLENDERS="(.*)"$', DOCKERFILE, re.MULTILINE))
    short = [install_blender.short(version) for version in versions.split()]

    assert {f"bpy-{version}" for version in versions.split()} <= {lock.stem for lock in LOCKS}
    assert promised == {";".join(f"{one}=/opt/blender/{one}/bin/python" for one in short)}


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    """Its base has a digest, it needs no BuildKit, and its user is not root."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert [base for base in bases if "@sha256:" in base] == bases[:1]
    assert set(bases[1:]) == {"base"}
    assert "RUN --mount" not in DOCKERFILE
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
