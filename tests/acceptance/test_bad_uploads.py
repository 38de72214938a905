"""Does what cannot be rendered fail within seconds, with a reason to act on, and cost nothing?"""

import io
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from azure.storage.blob import BlobBlock
from azure.storage.blob import aio as blobs

from blendrop import settings
from blendrop.domain import jobs
from tests.doubles import watched_farm
from tests.doubles.watched_farm import WatchedFarm

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SECONDS = 5.0
_MIB = 2**20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(
    tmp_path_factory: pytest.TempPathFactory, installed_blenders: Mapping[str, str]
) -> AsyncIterator[WatchedFarm]:
    """Return a farm without workers: what is put on the queue stays there to be seen."""
    folder = tmp_path_factory.mktemp("farm")
    async with watched_farm.running(folder, installed_blenders, workers=0) as started:
        yield started


def head(version: bytes = b"402", start: int = 1, end: int = 10) -> bytes:
    """Return the beginning of a .blend whose scene has this frame range."""
    body = struct.pack("<ii", start, end) + b"Scene".ljust(64, b"\0")
    block = struct.pack("<4si8sii", b"REND", len(body), bytes(8), 0, 1) + body
    return b"BLENDER-v" + version + block + struct.pack("<4si8sii", b"GLOB", 0, bytes(8), 0, 1)


@pytest.mark.parametrize(
    ("content", "metadata", "words"),
    [
        pytest.param(b"Dear artist\n" * 99, {}, "the .blend that Blender saved", id="a text file"),
        pytest.param(head()[:40], {}, "cut off", id="truncated"),
        pytest.param(b"", {}, "empty", id="empty"),
        pytest.param(head(b"909"), {}, "newest Blender here is 5.0", id="a newer Blender's"),
        pytest.param(head(start=9, end=3), {}, "holds no frame", id="a range with no frames"),
        pytest.param(head(), {"frames": "ten"}, "frames 'ten'", id="frames that are none"),
        pytest.param(
            head(), {"engine": "LUX", "samples": "-1"}, "CYCLES, EEVEE, WORKBENCH", id="bad values"
        ),
    ],
)
async def test_a_bad_upload_is_a_failed_job_that_says_what_to_do(
    farm: WatchedFarm, content: bytes, metadata: dict[str, str], words: str
) -> None:
    """No worker starts for it: its queue stays empty."""
    began = time.monotonic()
    view = await farm.until(await farm.upload("bad.blend", content, **metadata))

    assert time.monotonic() - began < _SECONDS
    assert view.job.state is jobs.JobState.FAILED
    assert words in view.job.reason
    assert "Traceback" not in view.job.reason
    assert all(key in view.job.reason for key in metadata)
    assert await farm.depth() == 0


async def test_a_damaged_real_scene_is_told_apart_from_a_whole_one(
    farm: WatchedFarm, scene: Callable[[str], Path]
) -> None:
    """Cut off inside its compressed head."""
    job_id = await farm.upload("cut.blend", scene("tiny").read_bytes()[:200])
    view = await farm.until(job_id)
    assert view.job.state is jobs.JobState.FAILED
    assert "Upload it again" in view.job.reason


async def test_what_is_no_blend_is_left_alone(farm: WatchedFarm) -> None:
    """A folder of textures uploaded beside the scene makes no job; a log line says so."""
    await farm.upload("textures/wood.png", b"\x89PNG")
    view = await farm.until(await farm.upload("after.blend", b""))

    assert view.job.state is jobs.JobState.FAILED
    ignored = [line for line in farm.log_lines("functions.log") if "upload_ignored" in str(line)]
    assert [line["scene"] for line in ignored] == ["textures/wood.png"]


async def test_a_file_of_two_gigabytes_costs_a_bounded_read(farm: WatchedFarm) -> None:
    """Neither memory nor time grow with the size of a scene."""
    small = await farm.upload("small.blend", head())
    await farm.until(small, lambda view: view.job.state is jobs.JobState.QUEUED)
    before = _peak_memory(farm)
    async with blobs.BlobClient.from_connection_string(
        farm.connection_string, settings.SCENES_CONTAINER, "huge.blend"
    ) as blob:
        await blob.stage_block("head", head())
        await blob.stage_block("rest", io.BytesIO(bytes(64 * _MIB)))
        # One block may stand in a blob many times, so that nobody has to send 2 GiB.
        names = ["head", *["rest"] * 32]
        await blob.commit_block_list([BlobBlock(block_id=name) for name in names])
        properties = await blob.get_blob_properties()
    began = time.monotonic()
    view = await farm.until(
        jobs.id_of_upload("huge.blend", properties.etag),
        lambda view: view.job.state is jobs.JobState.QUEUED,
    )

    assert properties.size > 2**31
    assert (view.job.state, view.job.frames) == (jobs.JobState.QUEUED, "1-10"), view.job.reason
    assert time.monotonic() - began < _SECONDS
    assert _peak_memory(farm) - before < 16 * _MIB


def _peak_memory(farm: WatchedFarm) -> int:
    """Return the most bytes that the function app has had resident."""
    status = Path(f"/proc/{farm.running.functions_pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024
