"""Is a scene fetched once, is it the right version, and does the cache keep to its size?"""

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.adapters.memory_storage import MemorySceneStore
from blendrop.domain import jobs
from container_worker.scene_cache import SceneCache


class CountingStore(MemorySceneStore):
    """A store that counts its downloads."""

    def __init__(self) -> None:
        super().__init__()
        self.downloads = 0

    def scene(self, name: str, content: bytes) -> jobs.SceneRef:
        """Upload a scene."""
        return jobs.SceneRef(name=name, etag=self.put(name, content, {}), size=len(content))

    async def download(self, scene: jobs.SceneRef, to: Path) -> None:
        """Count, and download."""
        self.downloads += 1
        await super().download(scene, to)


@pytest.fixture
def store() -> CountingStore:
    """Return an empty store."""
    return CountingStore()


async def test_a_scene_is_downloaded_once(store: CountingStore, tmp_path: Path) -> None:
    """Batch after batch of the same job finds it on the disk."""
    cache = SceneCache(store, tmp_path, largest=1000)
    scene = store.scene("shots/ä b.blend", b"one")

    first = await cache.path_of(scene)
    assert await cache.path_of(scene) == first
    assert (first.read_bytes(), store.downloads) == (b"one", 1)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("shots/Küche 1.blend", "Küche 1.blend"),
        (f"{'ä' * 500}.blend", f"{'ä' * 100}.blend"),
        (".blend", ".blend.blend"),
    ],
)
async def test_a_scene_is_called_as_it_was_uploaded(
    store: CountingStore, tmp_path: Path, name: str, file: str
) -> None:
    """A .blend may name its frames after its own file."""
    cache = SceneCache(store, tmp_path, largest=1000)
    assert (await cache.path_of(store.scene(name, b"one"))).name == file


async def test_another_version_is_another_file(store: CountingStore, tmp_path: Path) -> None:
    """A job renders the bytes that it was made for, or nothing."""
    cache = SceneCache(store, tmp_path, largest=1000)
    old = store.scene("shot.blend", b"old")
    await cache.path_of(old)
    new = store.scene("shot.blend", b"new")

    assert (await cache.path_of(new)).read_bytes() == b"new"
    assert (await cache.path_of(old)).read_bytes() == b"old"
    with pytest.raises(errors.ConflictError):
        await SceneCache(store, tmp_path / "empty", largest=1000).path_of(old)


async def test_a_download_that_was_cut_off_is_fetched_again(
    store: CountingStore, tmp_path: Path
) -> None:
    """A file of the wrong size is nobody's scene."""
    cache = SceneCache(store, tmp_path, largest=1000)
    scene = store.scene("shot.blend", b"whole")
    path = await cache.path_of(scene)
    path.write_bytes(b"wh")

    assert (await cache.path_of(scene)).read_bytes() == b"whole"


async def test_the_least_recently_used_make_room(store: CountingStore, tmp_path: Path) -> None:
    """The disk is bounded; what is in use stays."""
    cache = SceneCache(store, tmp_path, largest=8)
    first, second, third = (store.scene(f"{name}.blend", b"1234") for name in "abc")
    paths = [await cache.path_of(scene) for scene in (first, second)]
    os.utime(paths[0], (1, 1))
    os.utime(paths[1], (2, 2))
    await cache.path_of(first)  # used just now

    await cache.path_of(third)
    assert paths[0].exists()
    assert not paths[1].exists()


async def test_the_scene_that_may_be_open_stays_while_the_next_is_fetched(
    store: CountingStore, tmp_path: Path
) -> None:
    """A Blender that has to be started anew for its last frame opens it again."""
    cache = SceneCache(store, tmp_path, largest=4)
    first, second, third = (store.scene(f"{name}.blend", b"1234") for name in "abc")
    rendered = await cache.path_of(first)
    fetched = await cache.path_of(second)
    assert rendered.exists()
    await cache.path_of(third)
    assert (rendered.exists(), fetched.exists()) == (False, True)


async def test_a_scene_that_is_asked_for_twice_at_once_is_downloaded_once(
    store: CountingStore, tmp_path: Path
) -> None:
    """It is fetched ahead, and its turn comes before that is done."""
    cache = SceneCache(store, tmp_path, largest=1000)
    scene = store.scene("a.blend", b"one")
    paths = await asyncio.gather(cache.path_of(scene), cache.path_of(scene))
    assert (paths[0], store.downloads) == (paths[1], 1)


async def test_a_full_disk_is_said_with_its_remedy(
    store: CountingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker waits and says why; it does not fail the job."""

    async def full(scene: jobs.SceneRef, to: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "download", full)
    with pytest.raises(errors.UnavailableError, match="BLENDROP_SCENE_CACHE_BYTES"):
        await SceneCache(store, tmp_path, largest=8).path_of(store.scene("a.blend", b"1"))


async def test_the_digest_is_of_the_bytes_alone(store: CountingStore, tmp_path: Path) -> None:
    """Uploaded again under any name, a scene is the same."""
    cache = SceneCache(store, tmp_path, largest=1000)
    first, again = store.scene("a.blend", b"one"), store.scene("b.blend", b"one")

    digest = await cache.digest_of(first)
    assert digest == hashlib.sha256(b"one").hexdigest() == await cache.digest_of(again)
    assert await cache.digest_of(store.scene("a.blend", b"two")) != digest
