"""Is a .blend that means harm contained, with its reason on the job, and the next one fine?"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop.domain import jobs
from blendrop.usecases import show
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

Scenes = Callable[[str], Path]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm of one worker with little patience and little memory."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder,
        installed_blenders,
        workers=1,
        frame_seconds="8",
        blender_memory_mib="1200",
        frame_attempts="2",
        retry_seconds="0",
        failed_jobs="9",
    ) as started:
        yield started


async def rendered(farm: WatchedFarm, scene: Scenes, kind: str, **settings: str) -> show.JobView:
    """Return the ended job of a scene of that kind; the next job on the same worker is fine."""
    worker = farm.running.workers["worker-1"].process.pid
    view = await farm.until(
        await farm.upload(f"{kind}.blend", scene(kind).read_bytes(), frames="1", **settings)
    )
    after = await farm.until(await farm.upload("after.blend", scene("tiny").read_bytes()))
    assert after.job.state is jobs.JobState.COMPLETED, after.job.reason
    assert farm.running.workers["worker-1"].process.pid == worker
    return view


@pytest.mark.parametrize(
    ("kind", "named"), [("script", "driver of Cube"), ("freestyle", "style.py")]
)
async def test_python_never_runs(farm: WatchedFarm, scene: Scenes, kind: str, named: str) -> None:
    """Its texts, drivers, handlers and style modules do nothing, and the job says which."""
    view = await rendered(farm, scene, kind)
    assert view.job.state is jobs.JobState.FAILED
    assert "Python of the .blend, which never runs on a farm" in view.job.reason
    assert named in view.job.reason
    assert "allow_skipped_python" in view.job.reason
    assert not list(farm.share.parent.rglob("script-ran"))
    assert not (Path.home() / "script-ran").exists()


async def test_the_environment_is_not_read(farm: WatchedFarm, scene: Scenes) -> None:
    """Neither by a text nor by a driver, also where the job may be rendered without them."""
    view = await rendered(farm, scene, "spy")
    assert view.job.state is jobs.JobState.FAILED
    assert "driver of Cube scale: len(__import__('os').environ" in view.job.reason

    view = await rendered(farm, scene, "spy", allow_skipped_python="true")
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert not list(farm.share.parent.rglob("script-ran"))
    (key,) = re.findall(r"AccountKey=([^;]+)", farm.connection_string)
    kept = [path for path in (farm.share / view.job.id).rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in kept)
    for path in kept:
        assert key.encode() not in path.read_bytes()
        assert b"spied" not in path.read_bytes()


async def test_a_simulation_writes_nowhere(farm: WatchedFarm, scene: Scenes) -> None:
    """Smoke that would be simulated as it is opened, and cached at an absolute path."""
    view = await rendered(farm, scene, "fluid")
    assert view.job.state is jobs.JobState.FAILED
    assert "simulation, not baked, Smoke of Cube" in view.job.reason
    view = await rendered(farm, scene, "fluid", allow_missing_files="true")
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert not Path("/tmp/blendrop-escaped").exists()


async def test_nothing_is_written_elsewhere(farm: WatchedFarm, scene: Scenes) -> None:
    """What File Output nodes write is kept beside the frames."""
    view = await rendered(farm, scene, "escape")
    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert not Path("/tmp/blendrop-escaped").exists()
    assert list((farm.share / view.job.id / "extra").rglob("*.*"))


async def test_one_that_eats_all_memory_fails_with_its_peak(
    farm: WatchedFarm, scene: Scenes
) -> None:
    """The worker itself is not what is killed."""
    view = await rendered(farm, scene, "eat_memory")
    assert view.job.state is jobs.JobState.FAILED
    assert "ran out of memory" in view.job.reason
    assert "MiB" in view.job.reason
    assert "more memory" in view.job.reason


async def test_one_that_never_ends_is_ended(farm: WatchedFarm, scene: Scenes) -> None:
    """After the time that a frame may take."""
    view = await rendered(farm, scene, "endless")
    assert view.job.state is jobs.JobState.FAILED
    assert "longer than 8 s to render frame 1" in view.job.reason
    assert view.failures[0].attempts == 2
