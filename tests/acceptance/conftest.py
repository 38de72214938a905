"""What does a test of the whole way need? A farm of real processes, and scenes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

_SCENES = Path(__file__).parents[1] / "doubles" / "scene_files.py"


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
