"""What do the tests share that render scenes with real Blender?"""

import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from container_worker.blender import Bounds
from container_worker.blender_renderer import BlenderRenderer

_SCENES = Path(__file__).parents[2] / "doubles" / "scene_files.py"
PLENTY = Bounds(load_seconds=60, frame_seconds=60, stall_seconds=60)
Scenes = Callable[[str], Path]


@pytest.fixture(scope="session")
def scene(blender_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    """Return what makes a scene of a kind, once."""
    folder = tmp_path_factory.mktemp("scenes")

    def made(kind: str) -> Path:
        path = folder / f"{kind}.blend"
        if not path.exists():
            subprocess.run([blender_python, _SCENES, kind, path], check=True, capture_output=True)
        return path

    return made


@pytest.fixture
async def renderer(
    installed_blenders: Mapping[str, str], tmp_path: Path
) -> AsyncIterator[BlenderRenderer]:
    """Return a renderer with every Blender of this machine."""
    made = BlenderRenderer(installed_blenders, scratch=tmp_path / "blender", bounds=PLENTY)
    yield made
    await made.close()
