"""How is the command line run against a farm that breaks where it is told to?"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.doubles import contract_farm
from tests.doubles.command_line import CommandLine
from tests.doubles.contract_farm import ContractFarm


@pytest_asyncio.fixture
async def farm() -> AsyncIterator[ContractFarm]:
    """Return a farm that speaks the contract."""
    async with contract_farm.running() as started:
        yield started


@pytest.fixture
def blendrop(farm: ContractFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return the command line of a user whose folders are empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return CommandLine(farm)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Return a file of a few blocks."""
    path = tmp_path / "shot.blend"
    path.write_bytes(b"BLENDER" + bytes(range(256)) * 21)
    return path
