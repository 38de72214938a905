"""Does a dropped .blend become verified frames, each once, whatever happens on the way?"""

import asyncio
import base64
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from blendrop import settings
from blendrop.domain import batches, jobs, messages
from local import pixel_compare
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Slow enough to be killed in mid-batch: about half a second for each frame.
SLOW = {"engine": "CYCLES", "samples": "800", "resolution_percent": "300"}
_PLAIN = Path(__file__).parents[2] / "local" / "plain_blender.py"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm of two workers."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(
        folder, installed_blenders, lease_seconds="6", batch_size="3"
    ) as started:
        yield started


async def test_a_dropped_scene_becomes_the_frames_that_plain_blender_makes(
    farm: WatchedFarm, scene: Callable[[str], Path], blender_python: Path, tmp_path: Path
) -> None:
    """Upload, trigger, job, messages, workers, Blender, frames: all of it real."""
    path = scene("tiny")
    view = await farm.until(await farm.upload("shots/Küche 100% #1.blend", path.read_bytes()))

    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert (view.frames_done, view.job.frames, view.frames_failed) == (6, "1-6", "")
    await _plain_blender(blender_python, path, tmp_path)
    ours, theirs = farm.frame_paths(view.job), sorted(tmp_path.glob("*.png"))
    assert len(theirs) == 6
    for our, their in zip(ours, theirs, strict=True):
        assert pixel_compare.max_difference(our, their) == 0.0
    for one, next_one in itertools.pairwise(ours):
        assert pixel_compare.max_difference(one, next_one) > 0.01
    assert set(farm.times_rendered(view.job.id).values()) == {1}
    await farm.until_empty(settings.BATCHES_QUEUE)


async def test_the_same_scene_again_renders_nothing(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """Another name, and a version of its own in the storage; only the frame that is new is."""
    content = scene("tiny").read_bytes()
    asked = {"samples": "7", "force": "false"}
    first = await farm.until(await farm.upload("take1.blend", content, frames="1-4", **asked))
    again = await farm.until(await farm.upload("take2.blend", content, frames="2-5", **asked))

    assert again.job.state is jobs.JobState.COMPLETED, again.job.reason
    assert (again.frames_taken_over, again.job.taken_from) == (3, first.job.id)
    assert list(farm.times_rendered(again.job.id)) == [5]
    ours, theirs = farm.frame_paths(first.job), farm.frame_paths(again.job)
    assert [one.read_bytes() for one in ours[1:]] == [one.read_bytes() for one in theirs[:3]]


async def _plain_blender(python: Path, scene: Path, folder: Path) -> None:
    blender = await asyncio.create_subprocess_exec(
        python, _PLAIN, scene, folder, stdout=asyncio.subprocess.DEVNULL
    )
    assert await blender.wait() == 0


async def test_metadata_is_laid_over_the_scene(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """What is given with the upload wins over what the .blend says."""
    job_id = await farm.upload(
        "shot.blend", scene("tiny").read_bytes(), frames="2,-1", format="JPEG", batch_size="1"
    )
    view = await farm.until(job_id)

    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert [path.name for path in farm.frame_paths(view.job)] == ["tiny_-0001.jpg", "tiny_0002.jpg"]
    assert all(path.stat().st_size for path in farm.frame_paths(view.job))
    assert len(view.batches) == 2


async def test_a_message_that_comes_twice_renders_nothing_twice(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """Storage queues deliver at least once; so may whoever puts a message back."""
    job_id = await farm.upload("twice.blend", scene("tiny").read_bytes())
    await farm.until(job_id, lambda view: view.job.state is not jobs.JobState.SUBMITTED)
    for number, chosen in enumerate(("1-3", "4-6", "1-3")):
        message = messages.BatchMessage(job=job_id, batch=number % 2, frames=chosen)
        await farm.send(settings.BATCHES_QUEUE, message.model_dump_json())
    view = await farm.until(job_id)
    await farm.until_empty(settings.BATCHES_QUEUE)

    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert farm.times_rendered(job_id) == dict.fromkeys(range(1, 7), 1)
    assert await farm.depth(settings.POISON_QUEUE) == 0


async def test_a_killed_workers_batch_is_finished_by_another_and_nothing_done_again(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """SIGKILL in mid-batch loses the frame in hand at most."""
    job_id = await farm.upload(
        "killed.blend", scene("tiny").read_bytes(), frames="1-8", batch_size="8", **SLOW
    )
    under_way = await farm.until(job_id, lambda view: view.frames_done >= 3)
    victim = under_way.batches[0].worker
    assert under_way.batches[0].state is batches.BatchState.RENDERING
    os.kill(farm.running.workers[victim].process.pid, signal.SIGKILL)
    standing = {path: path.stat().st_mtime_ns for path in farm.frame_paths(under_way.job)[:3]}

    view = await farm.until(job_id)

    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert view.batches[0].attempt == 2
    rendered = farm.times_rendered(job_id)
    assert sorted(rendered) == list(range(1, 9))
    assert sum(rendered.values()) <= 9  # one might have been published, but not yet logged
    assert {path: path.stat().st_mtime_ns for path in standing} == standing


async def test_a_worker_that_is_asked_to_stop_gives_its_batch_back(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """SIGTERM: the frame in hand is finished, the rest is another worker's at once."""
    job_id = await farm.upload(
        "stopped.blend", scene("tiny").read_bytes(), frames="1-8", batch_size="8", **SLOW
    )
    under_way = await farm.until(job_id, lambda view: view.frames_done >= 2)
    stopped = farm.running.workers[under_way.batches[0].worker]
    stopped.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(stopped.process.wait(), 20) == 0

    view = await farm.until(job_id)

    assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
    assert farm.times_rendered(job_id) == dict.fromkeys(range(1, 9), 1)
    assert not view.batches[0].failures


async def test_an_event_that_comes_twice_leaves_one_job(
    tmp_path: Path, installed_blenders: Mapping[str, str], scene: Callable[[str], Path]
) -> None:
    """The other door: Event Grid's events on a queue, in both encodings seen in the wild."""
    async with watched_farm.running(
        tmp_path, installed_blenders, workers=1, uploads_door="event-grid"
    ) as farm:
        name = "folder/Ä b%.blend"
        job_id = await farm.upload(name, scene("tiny").read_bytes(), frames="1-2")
        event = json.dumps(
            {
                "specversion": "1.0",
                "type": "Microsoft.Storage.BlobCreated",
                "subject": f"/blobServices/default/containers/scenes/blobs/{name}",
                "data": {
                    "url": "https://farm.blob.core.windows.net/scenes/folder/%C3%84%20b%25.blend"
                },
            }
        )
        for text in (event, base64.b64encode(event.encode()).decode(), event):
            await farm.send(settings.UPLOADS_QUEUE, text)
        view = await farm.until(job_id)
        for queue in (settings.UPLOADS_QUEUE, settings.BATCHES_QUEUE):
            await farm.until_empty(queue)  # a message is deleted last, after its job has ended

        assert view.job.state is jobs.JobState.COMPLETED, view.job.reason
        assert farm.times_rendered(job_id) == {1: 1, 2: 1}
        assert [folder.name for folder in farm.share.iterdir()] == [job_id]
