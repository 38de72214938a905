"""Does the command line do, on a real farm, what its page says?"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop.domain import jobs
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm of two workers."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(folder, installed_blenders, batch_size="2") as started:
        yield started


@dataclass(frozen=True)
class Shell:
    """A user's shell, in an empty folder."""

    farm: WatchedFarm
    folder: Path

    async def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Run a command; return its exit code, its answer, and what it said about the way."""
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "blendrop.cli", *arguments),
            cwd=self.folder,
            env={
                "PYTHONPATH": str(_ROOT),
                "HOME": str(self.folder),
                "BLENDROP_URL": self.farm.running.client.http,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        answer, said = await running.communicate()
        assert "Traceback" not in said.decode(), said
        return running.returncode or 0, answer.decode(), said.decode()


@pytest.fixture
def blendrop(farm: WatchedFarm, tmp_path: Path) -> Shell:
    """Return a shell whose commands ask the farm."""
    return Shell(farm, tmp_path)


async def test_a_scene_is_submitted_watched_shown_and_fetched(
    farm: WatchedFarm, blendrop: Shell, scene: Callable[[str], Path]
) -> None:
    """From a file to its frames, which are the farm's byte for byte; and again, to the same job."""
    code, answer, said = await blendrop("submit", scene("tiny"), "--frames", "1-4", "--watch")
    assert code == 0, said
    job_id, *lines = answer.splitlines()
    assert lines[-1].startswith("completed: ")
    again, shown, fetched = await asyncio.gather(
        blendrop("submit", scene("tiny"), "--frames", "4,3,2,1"),
        blendrop("show", job_id, "--json"),
        blendrop("fetch", job_id, "--to", "renders"),
    )
    kept = await blendrop("fetch", job_id, "--to", "renders", "--json")

    assert again[:2] == (0, f"{job_id}\n")
    view = json.loads(shown[1])
    assert (view["job"]["state"], view["job"]["frames"], view["frames_done"]) == (
        "completed",
        "1-4",
        4,
    )
    assert farm.times_rendered(job_id) == dict.fromkeys(range(1, 5), 1)
    assert fetched[:2] == (0, "4 frames fetched into renders, 0 were there, 0 missing\n")
    assert json.loads(kept[1])["kept"] == "1-4"
    for path in farm.frame_paths(jobs.Job.model_validate(view["job"])):
        assert (blendrop.folder / "renders" / path.name).read_bytes() == path.read_bytes()

    events, log, retried = await asyncio.gather(
        blendrop("logs", job_id),
        blendrop("logs", job_id, "--frame", "1"),
        blendrop("retry", job_id),
    )
    kinds = [line.split()[1] for line in events[1].splitlines()]
    assert kinds[0] == "submitted"
    assert kinds[-1].startswith("completed")
    assert (log[0], bool(log[1].strip())) == (0, True)
    assert (retried[0], "completed" in retried[2]) == (4, True)
    assert (await blendrop("delete", job_id, "--yes"))[0] == 0
    assert (await blendrop("fetch", job_id))[0] == 3


async def test_a_job_that_fails_says_so_to_people_and_scripts(
    blendrop: Shell, scene: Callable[[str], Path]
) -> None:
    """Each missing frame with its reason, and what to do."""
    code, answer, said = await blendrop("submit", scene("missing_image"), "--watch")
    job_id = answer.splitlines()[0]
    fetched = await blendrop("fetch", job_id)

    assert code == 1, said
    assert "//textures/gone.png" in answer
    assert fetched[0] == 1
    assert "gone.png" in fetched[2]


async def test_a_job_is_cancelled_while_it_is_watched(
    farm: WatchedFarm, blendrop: Shell, scene: Callable[[str], Path]
) -> None:
    """Who watches it is told, by an exit code of its own; and it can be retried."""
    _, answer, _ = await blendrop("submit", scene("endless"), "--frames", "1-2")
    job_id = answer.strip()
    await farm.until(job_id, lambda view: view.job.state is jobs.JobState.RENDERING)
    watching = asyncio.create_task(blendrop("watch", job_id))
    paused = await blendrop("pause", job_id)
    cancelled = await blendrop("cancel", job_id)
    watched = await watching
    listed, fetched = await asyncio.gather(
        blendrop("jobs", "--state", "cancelled", "--json"), blendrop("fetch", job_id)
    )

    assert (paused[0], cancelled[0]) == (0, 0), paused[2] + cancelled[2]
    assert watched[0] == 6, watched[2]
    assert [job["id"] for job in json.loads(listed[1])["jobs"]] == [job_id]
    assert fetched[0] == 6


async def test_a_request_that_is_wrong_lists_every_problem(blendrop: Shell) -> None:
    """What only the farm can know, of scene and settings at once."""
    (blendrop.folder / "broken.blend").write_bytes(b"this is no .blend" * 1000)
    code, answer, said = await blendrop(
        "submit", "broken.blend", "--webhook", "ftp://somewhere", "--json"
    )

    assert code == 4, said
    problems = json.loads(answer)["error"]["problems"]
    assert {one["pointer"] for one in problems} == {"/scene", "/settings/webhook"}
    assert all(one["reason"] and one["remedy"] for one in problems)
