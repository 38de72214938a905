"""What do tests share that run against the real thing?"""

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from local import azurite, blenders

_SCENES = Path(__file__).parent / "doubles" / "scene_files.py"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def storage_account(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Return the connection string of a real storage emulator, the same for the whole run.

    Where it is not installed the tests fail: a service that is missing hides nothing.
    """
    folder = tmp_path_factory.mktemp("azurite")
    async with azurite.running(folder, log=folder / "azurite.log") as running:
        yield running.connection_string


@pytest.fixture(scope="session")
def installed_blenders() -> Mapping[str, str]:
    """Return the program of each real Blender of this machine by its version, oldest first."""
    found = blenders.find(os.environ)
    assert found, "there is no Blender; run `make setup`"
    return found


@pytest.fixture(scope="session")
def blender_python(installed_blenders: Mapping[str, str]) -> Path:
    """Return the Python that holds the newest `bpy`."""
    modules = [one for one in installed_blenders.values() if blenders.is_interpreter(one)]
    assert modules, "there is no bpy; run `make setup`"
    return Path(modules[-1])


@pytest.fixture(scope="session")
def scene(blender_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what makes a scene of a kind (see tests/doubles/scene_files.py), once."""
    folder = tmp_path_factory.mktemp("scenes")

    def made(kind: str) -> Path:
        path = folder / f"{kind}.blend"
        if not path.exists():
            subprocess.run([blender_python, _SCENES, kind, path], check=True, capture_output=True)
        return path

    return made
