"""What is published holds what it needs, and nothing of the other's."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.checks import packages
from local import azurite, blenders, farm_storage

UV = Path(sys.executable).parent / "uv"
SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
    "BLENDROP_FRAME_SHARE": "/mnt/frames",
    "BLENDROP_NEWEST_BLENDER": "5.0",
}
# Says where each module came from and what the host would be told of.
INDEX = """
import json, sys, function_app, functions, blendrop
app = function_app.app
print(json.dumps({
    "functions": sorted(one.get_function_name() for one in app.get_functions()),
    "from": [module.__file__ for module in (function_app, functions, blendrop)],
    "worker": "container_worker" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def unpacked(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The functions' package, built as it is published and unpacked where nothing else is."""
    folder = tmp_path_factory.mktemp("published")
    packages.pack_functions(repository, folder / "package.zip")
    with zipfile.ZipFile(folder / "package.zip") as packed:
        packed.extractall(folder / "wwwroot")
    return folder


def _environment(folder: Path, requirements: Path) -> Path:
    """Make an environment with just these requirements, each by its hash; return its Python."""
    python = folder / "environment/bin/python"
    install = ["pip", "sync", "--quiet", "--require-hashes", "--python", str(python)]
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder / "environment")],
        [*install, str(requirements)],
    ):
        subprocess.run([str(UV), *command], check=True, timeout=240)
    return python


def test_no_stray_file_is_published(repository: Path) -> None:
    """Both packages hold their own folders, and no test, template or other's code."""
    assert list(packages.broken(repository)) == []


def test_a_new_folder_is_found_until_both_lists_know_it(copied_whole: Path) -> None:
    """A folder that nobody thought of does not slip into a package."""
    (copied_whole / "scratchpad").mkdir()
    (copied_whole / "scratchpad/notes.txt").write_text("x")

    found = [str(finding) for finding in packages.broken(copied_whole)]

    assert len(found) == 1
    assert found[0].endswith("scratchpad is published: list it there")


@pytest.mark.parametrize(
    "name",
    [
        "blendrop/__pycache__/errors.cpython-311.pyc",
        "local.settings.json",
        ".env",
        "frames/job/frame_0001.png",
        "infra/kubernetes/base/farm.env",
        "tests/test_one.py",
    ],
)
def test_what_lies_about_is_not_published(copied_whole: Path, name: str) -> None:
    """Caches, settings with secrets, frames and tests stay behind."""
    path = copied_whole / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")

    published = packages.functions_files(copied_whole) + packages.worker_files(copied_whole)

    assert Path(name) not in published


def test_the_functions_package_is_small(unpacked: Path) -> None:
    """It is far below the 100 MB that it may have."""
    assert (unpacked / "package.zip").stat().st_size < packages.MOST_BYTES / 50


def test_the_functions_package_indexes_by_its_requirements_alone(unpacked: Path) -> None:
    """Unpacked elsewhere, it imports and names its functions with requirements.txt installed."""
    root = unpacked / "wwwroot"
    python = _environment(unpacked, root / "requirements.txt")

    indexed = subprocess.run(
        [python, "-c", INDEX],
        cwd=root,
        env={"PATH": os.environ["PATH"], "BLENDROP_UPLOADS_DOOR": "event-grid", **SETTINGS},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert '"worker": false' in indexed.stdout
    assert indexed.stdout.count(str(root)) == 3
    assert "http_app_func" in indexed.stdout
    installed = [path.name for path in (unpacked / "environment/lib").rglob("*.dist-info")]
    assert not [name for name in installed if name.lower().startswith(("openimageio", "pytest"))]


@pytest.mark.asyncio
async def test_the_worker_starts_by_its_requirements_alone(
    repository: Path, tmp_path: Path, installed_blenders: Mapping[str, str]
) -> None:
    """With the image's files and libraries it starts Blender, looks for work, and leaves idle."""
    root = tmp_path / "app"
    for file in packages.worker_files(repository):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes((repository / file).read_bytes())
    python = _environment(tmp_path, root / "container_worker/requirements.txt")

    async with azurite.running(tmp_path / "azurite", log=tmp_path / "azurite.log") as account:
        await farm_storage.create(account.connection_string)
        started = await asyncio.create_subprocess_exec(
            *(python, "-m", "container_worker"),
            cwd=root,
            env={
                "PATH": os.environ["PATH"],
                "BLENDROP_BLENDERS": blenders.written(installed_blenders),
                "BLENDROP_FRAME_SHARE": str(tmp_path),
                "BLENDROP_IDLE_SECONDS": "1",
                "BLENDROP_SCRATCH": str(tmp_path / "scratch"),
                "BLENDROP_STORAGE": account.connection_string,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(started.communicate(), 120)

    events = [json.loads(line)["event"] for line in said.decode().splitlines()]
    assert started.returncode == 0
    assert events == ["worker_ready", "worker_leaves", "worker_left"]
    assert not (root / "functions").exists()
