"""Do the scenes of the storage account and those in memory keep the same contract?"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.blob.aio import BlobServiceClient

from blendrop import errors, ports
from blendrop.adapters.azure_clients import Clients
from blendrop.adapters.azure_scenes import AzureSceneStore
from blendrop.adapters.memory_storage import MemorySceneStore

Put = Callable[[str, bytes, dict[str, str]], Awaitable[None]]
NAMES = ["shot.blend", "a b/Küche 100% #1 +?.blend", "a..b/..up.blend", "日本/ショット.blend"]


@dataclass
class Contender:
    """A store, and how its scenes come into it."""

    store: ports.SceneStore
    put: Put


@pytest.fixture(params=["memory", "azure"])
def scenes(
    request: pytest.FixtureRequest, clients: Clients, container: str, storage_account: str
) -> Contender:
    """Return each store in turn."""
    if request.param == "memory":
        memory = MemorySceneStore()

        async def put(name: str, content: bytes, metadata: dict[str, str]) -> None:
            memory.put(name, content, metadata)

        return Contender(memory, put)

    async def upload(name: str, content: bytes, metadata: dict[str, str]) -> None:
        async with BlobServiceClient.from_connection_string(storage_account) as service:
            blob = service.get_blob_client(container, name)
            await blob.upload_blob(content, metadata=metadata, overwrite=True)

    return Contender(AzureSceneStore(clients, container=container), upload)


@pytest.mark.parametrize("name", NAMES)
async def test_a_scene_is_found_read_and_downloaded(
    scenes: Contender, tmp_path: Path, name: str
) -> None:
    """Under any name."""
    await scenes.put(name, b"0123456789", {"frames": "1-2"})
    found = await scenes.store.find(name)

    assert (found.scene.name, found.scene.size) == (name, 10)
    assert found.metadata == {"frames": "1-2"}
    assert await scenes.store.read(found.scene, 2, 3) == b"234"
    assert await scenes.store.read(found.scene, 8, 100) == b"89"
    await scenes.store.download(found.scene, tmp_path / "scene.blend")
    assert (tmp_path / "scene.blend").read_bytes() == b"0123456789"
    assert [path.name for path in tmp_path.iterdir()] == ["scene.blend"]


async def test_only_the_version_that_was_found_is_read(scenes: Contender, tmp_path: Path) -> None:
    """A scene replaced in mid-job must not give frames of two versions."""
    await scenes.put("shot.blend", b"old", {})
    old = (await scenes.store.find("shot.blend")).scene
    await scenes.put("shot.blend", b"new", {})

    with pytest.raises(errors.ConflictError):
        await scenes.store.read(old, 0, 3)
    with pytest.raises(errors.ConflictError):
        await scenes.store.download(old, tmp_path / "scene.blend")
    assert list(tmp_path.iterdir()) == []
    assert (await scenes.store.find("shot.blend")).scene.etag != old.etag


async def test_a_scene_that_is_not_there_is_not_found(scenes: Contender) -> None:
    """It may have been deleted before it could be read."""
    with pytest.raises(errors.NotFoundError):
        await scenes.store.find("gone.blend")


async def test_a_storage_that_is_away_is_unavailable_within_seconds() -> None:
    """Whoever waits for it says so, and tries again."""
    clients = Clients(
        connection_string="DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        "AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;"
    )
    try:
        with pytest.raises(errors.UnavailableError, match="no answer"):
            await AzureSceneStore(clients, container="scenes").find("shot.blend")
    finally:
        await clients.close()
