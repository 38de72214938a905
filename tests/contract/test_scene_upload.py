"""Does the command line's upload by REST alone do on a real blob service what it promises?"""

import asyncio
import datetime
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from azure.storage import blob
from azure.storage.blob import aio

from tests.doubles import contract_farm, contract_faults
from tests.doubles.command_line import CommandLine
from tests.doubles.contract_farm import ContractFarm
from tests.doubles.waiting import until

ROOT = Path(__file__).parents[2]
BLOCKS = 120
NO_SCENE = contract_faults.refused(
    "1 problem",
    {"pointer": "/scene", "value": "a", "reason": "there is none", "remedy": "Upload it"},
)


@pytest_asyncio.fixture
async def service(storage_account: str, container: str) -> AsyncIterator[aio.ContainerClient]:
    """Return the container that scenes are sent to."""
    async with aio.ContainerClient.from_connection_string(storage_account, container) as client:
        yield client


@pytest_asyncio.fixture
async def farm(service: aio.ContainerClient) -> AsyncIterator[ContractFarm]:
    """Return a farm that signs URLs which may create and write one blob, and nothing else."""
    until_then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)

    def signed(scene: str) -> str:
        signature = blob.generate_blob_sas(
            str(service.account_name),
            service.container_name,
            scene,
            account_key=service.credential.account_key,
            permission=blob.BlobSasPermissions(create=True, write=True),
            expiry=until_then,
        )
        return f"{service.get_blob_client(scene).url}?{signature}"

    async with contract_farm.running() as started:
        started.elsewhere = signed
        started.block_size = 256 * 1024
        yield started


@pytest.fixture
def blendrop(farm: ContractFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return the command line of a user whose folders are empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return CommandLine(farm)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Return a file of many blocks, the last of them a short one."""
    path = tmp_path / "Küche 100% #1.blend"
    path.write_bytes(os.urandom(BLOCKS * 256 * 1024 - 1000))
    return path


async def only_blob(service: aio.ContainerClient) -> blob.BlobProperties:
    """Return the one blob there is."""
    (found,) = [one async for one in service.list_blobs(include=["metadata"])]
    return found


async def test_a_scene_arrives_whole_and_says_that_it_starts_no_job(
    blendrop: CommandLine, service: aio.ContainerClient, scene: Path
) -> None:
    """Whatever its name is, byte for byte, with the metadata that the functions look for."""
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    sent = await only_blob(service)
    assert re.fullmatch(r"api/[0-9a-f]{16}/Küche 100% #1\.blend", str(sent.name))
    assert sent.metadata == {"submission": "api"}
    content = await (await service.download_blob(str(sent.name))).readall()
    assert content == scene.read_bytes()


async def test_a_scene_that_stands_is_never_written_again(
    blendrop: CommandLine, service: aio.ContainerClient, scene: Path, tmp_path: Path
) -> None:
    """From another machine, which knows of no upload: a job may be rendering it."""
    await blendrop.run("submit", str(scene))
    before = await only_blob(service)
    said = await blendrop.run("submit", str(scene), XDG_CONFIG_HOME=str(tmp_path / "another"))

    assert said.code == 0, said.err
    assert (await only_blob(service)).etag == before.etag


async def test_an_upload_that_was_killed_goes_on_where_it_stopped(
    blendrop: CommandLine, farm: ContractFarm, service: aio.ContainerClient, scene: Path
) -> None:
    """SIGKILL in mid-upload: what arrived is not sent again, and the scene is whole."""
    records = scene.parent / "config/blendrop/uploads"

    def lines() -> list[str]:
        return [line for path in records.glob("*.txt") for line in path.read_text().splitlines()]

    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "blendrop.cli", "submit", str(scene)),
        env={
            "PYTHONPATH": str(ROOT),
            "HOME": str(scene.parent),
            "XDG_CONFIG_HOME": str(scene.parent / "config"),
            "BLENDROP_URL": farm.url,
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until(lambda: len(lines()) >= 3)
    running.send_signal(signal.SIGKILL)
    assert await running.wait() == -signal.SIGKILL
    killed_after = lines()
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    assert len(killed_after) < BLOCKS
    # Each block was noted as sent once, those of the first command not again.
    assert lines()[: len(killed_after)] == killed_after
    assert len(lines()) == len(set(lines())) == BLOCKS + 1
    content = await (await service.download_blob(str((await only_blob(service)).name))).readall()
    assert content == scene.read_bytes()


async def test_a_scene_that_was_removed_since_is_sent_again(
    blendrop: CommandLine, farm: ContractFarm, service: aio.ContainerClient, scene: Path
) -> None:
    """The record says that it stands, the farm that it does not: all blocks are sent again."""
    await blendrop.run("submit", str(scene))
    await service.delete_blob(str((await only_blob(service)).name))
    farm.fault("POST /api/jobs", NO_SCENE)
    said = await blendrop.run("submit", str(scene), "--again")

    assert said.code == 0, said.err
    content = await (await service.download_blob(str((await only_blob(service)).name))).readall()
    assert content == scene.read_bytes()


async def test_a_scene_that_is_refused_is_left_as_it_is(
    blendrop: CommandLine, farm: ContractFarm, service: aio.ContainerClient, scene: Path
) -> None:
    """It stands, so that nothing is sent, whatever the farm has against it."""
    await blendrop.run("submit", str(scene))
    before = await only_blob(service)
    (record,) = (scene.parent / "config/blendrop/uploads").glob("*.txt")
    noted = record.read_text().count("\n")
    farm.fault("POST /api/jobs", NO_SCENE, NO_SCENE)
    said = await blendrop.run("submit", str(scene), "--again")

    assert said.code == 4
    assert (await only_blob(service)).etag == before.etag
    assert record.read_text().count("\n") == noted + 1  # that it stands, and no block
