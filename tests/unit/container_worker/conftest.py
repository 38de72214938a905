"""What do tests of the worker need? Real Blenders."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from container_worker.blender import Bounds
from container_worker.blender_renderer import BlenderRenderer

_PLENTY = Bounds(load_seconds=60, frame_seconds=60, stall_seconds=60)


@pytest.fixture
async def renderer(
    installed_blenders: Mapping[str, str], tmp_path: Path
) -> AsyncIterator[BlenderRenderer]:
    """Return a renderer with every Blender of this machine."""
    made = BlenderRenderer(installed_blenders, scratch=tmp_path / "blender", bounds=_PLENTY)
    yield made
    await made.close()
