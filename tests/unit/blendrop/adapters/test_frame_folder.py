"""Does a frame get its final name whole, once, or not at all?"""

import asyncio
import errno
import os
import shutil
from pathlib import Path

import pytest

from blendrop import errors
from blendrop.adapters import frame_folder
from blendrop.adapters.frame_folder import FrameFolder
from tests.doubles.storage_calls import CountedCalls

JOB = "shot-0123456789ab"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the share's folder."""
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


@pytest.fixture
def share(root: Path) -> FrameFolder:
    """Return an empty share."""
    return FrameFolder(root)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return a file on the worker's own disk."""
    path = tmp_path / "rendered.png"
    path.write_bytes(b"whole" * 1000)
    return path


async def test_a_published_file_is_a_frame_that_is_done(
    share: FrameFolder, root: Path, image: Path
) -> None:
    """Its name is the one truth; nothing else is left there."""
    assert await share.frames_done(JOB, ["a.png"]) == set()
    assert await share.publish(JOB, image, "a.png")
    assert await share.frames_done(JOB, ["a.png", "b.png"]) == {"a.png"}
    assert [path.name for path in (root / JOB).iterdir()] == ["a.png"]
    assert (root / JOB / "a.png").read_bytes() == image.read_bytes()


async def test_the_first_to_publish_stands(share: FrameFolder, root: Path, image: Path) -> None:
    """Whoever comes later changes nothing."""
    await share.publish(JOB, image, "a.png")
    before = (root / JOB / "a.png").stat()
    image.write_bytes(b"another")
    assert not await share.publish(JOB, image, "a.png")
    assert (root / JOB / "a.png").stat().st_ino == before.st_ino


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
async def test_of_many_at_once_one_whole_file_stands(
    share: FrameFolder,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    links: bool,
) -> None:
    """Two workers may render one frame when a lease ran out; SMB knows no hard links."""
    if not links:
        monkeypatch.setattr(os, "link", _fail(errno.ENOTSUP))
    files = [tmp_path / f"{number}.png" for number in range(16)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 200_000)

    first = await asyncio.gather(*(share.publish(JOB, file, "a.png") for file in files))

    assert sum(first) == 1 if links else sum(first) >= 1
    assert [path.name for path in (root / JOB).iterdir()] == ["a.png"]
    assert (root / JOB / "a.png").read_bytes() in {file.read_bytes() for file in files}


async def test_a_name_never_stands_for_half_a_file(
    share: FrameFolder, root: Path, tmp_path: Path
) -> None:
    """While the file is still being copied, nobody finds it under its name."""
    slow = tmp_path / "slow.png"
    os.mkfifo(slow)
    publishing = asyncio.create_task(share.publish(JOB, slow, "a.png"))
    with await asyncio.to_thread(slow.open, "wb", buffering=0) as half:
        half.write(b"half")
        await asyncio.sleep(0.1)
        assert not (root / JOB / "a.png").exists()
        half.write(b" and half")

    assert await publishing
    assert (root / JOB / "a.png").read_bytes() == b"half and half"


@pytest.mark.parametrize(
    "fault",
    [(errno.ENOSPC, "quota"), (errno.EROFS, "Mount it for writing"), (errno.EIO, "mounted")],
)
async def test_a_share_that_fails_says_why_and_keeps_nothing_half(
    share: FrameFolder,
    root: Path,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: tuple[int, str],
) -> None:
    """The worker waits with this reason, and has the frame still."""
    code, remedy = fault
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", _fail(code))
        with pytest.raises(errors.UnavailableError, match=remedy) as away:
            await share.publish(JOB, image, "a.png")
    assert str(root) in str(away.value)
    assert list((root / JOB).iterdir()) == []
    assert await share.publish(JOB, image, "a.png")


async def test_an_image_that_is_gone_from_the_workers_disk_is_not_waited_for(
    share: FrameFolder, root: Path, image: Path
) -> None:
    """The share is not at fault, and will never have it."""
    image.unlink()

    with pytest.raises(
        errors.FrameError, match="cannot be read from the worker's own disk"
    ) as gone:
        await share.publish(JOB, image, "shot_0001.png")

    assert gone.value.failure_class is errors.FailureClass.WORKER_DISK
    assert [one for one in root.rglob("*") if one.is_file()] == []


@pytest.mark.parametrize("written_before", [False, True])
async def test_a_share_that_is_away_is_not_an_empty_one(
    share: FrameFolder, root: Path, image: Path, written_before: bool
) -> None:
    """A mount that is gone must neither look as if no frame were done nor be made anew."""
    if written_before:
        await share.publish(JOB, image, "a.png")
        await share.keep_log(JOB, "logs/a.log", "")
    shutil.rmtree(root)
    for call in (
        share.frames_done(JOB, ["a.png"]),
        share.publish(JOB, image, "a.png"),
        share.keep_log(JOB, "logs/a.log", ""),
        share.clear_unfinished(JOB),
    ):
        with pytest.raises(errors.UnavailableError):
            await call
    assert not root.exists()


async def test_links_lead_nowhere(
    share: FrameFolder, root: Path, image: Path, tmp_path: Path
) -> None:
    """Whoever may write to the share must not send frames elsewhere, nor fake them."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / JOB).mkdir()
    (root / JOB / "a.png").symlink_to(image)
    (root / JOB / "logs").symlink_to(outside)
    (root / JOB / "a.log").symlink_to(image)
    (root / "other-0123456789ab").symlink_to(outside)

    assert await share.frames_done(JOB, ["a.png"]) == set()
    for call in (
        share.publish(JOB, image, "a.png"),
        share.keep_log(JOB, "logs/a.log", "text"),
        share.keep_log(JOB, "a.log", "text"),
        share.publish("other-0123456789ab", image, "b.png"),
    ):
        with pytest.raises(errors.UnavailableError, match="symbolic link"):
            await call
    assert list(outside.iterdir()) == []
    assert image.read_bytes().startswith(b"whole")


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "a\0b", "../a.png", "", "a/../../b"])
async def test_names_that_are_none_are_refused(share: FrameFolder, image: Path, name: str) -> None:
    """They come from settings and scenes of people unknown."""
    with pytest.raises(ValueError, match="plain file name"):
        await share.keep(JOB, image, name)


@pytest.mark.parametrize("job", ["..", "A", "a/b", "", "-a"])
async def test_only_a_job_id_is_a_folder(share: FrameFolder, image: Path, job: str) -> None:
    """Ids are made by us; a message may say anything."""
    with pytest.raises(ValueError, match="no job id"):
        await share.publish(job, image, "a.png")


async def test_what_a_vanished_worker_left_is_cleared(
    share: FrameFolder, root: Path, image: Path
) -> None:
    """Frames, logs and extra files stay."""
    await share.publish(JOB, image, "a.png")
    await share.keep(JOB, image, "extra/depth/a.exr")
    await share.keep_log(JOB, "logs/a.png.log", "x\ud800")
    (root / JOB / ".part-0").write_bytes(b"half")
    (root / JOB / "extra" / ".part-1").write_bytes(b"half")

    await share.clear_unfinished(JOB)
    await share.clear_unfinished(JOB)

    left = sorted(str(path.relative_to(root / JOB)) for path in root.rglob("*") if path.is_file())
    assert left == ["a.png", "extra/depth/a.exr", "logs/a.png.log"]


def _fail(code: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def told(create: int, close: int, **others: int) -> dict[tuple[str, str, int], int]:
    """Return the counts of some operations of SMB as they are told."""
    counts = {"Create": create, "Close": close, **others}
    return {("file", operation, 200): count for operation, count in counts.items()}


async def test_what_a_frame_costs_in_operations_is_told(
    root: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Azure Files, which knows no hard links, bills them: each megabyte and each name."""
    monkeypatch.setattr(os, "link", _fail(errno.ENOTSUP))
    calls = CountedCalls()
    share = FrameFolder(root, calls)
    image.write_bytes(bytes(2 * 2**20 + 1))
    cost: dict[str, object] = {}

    for frame in ("0001", "0002"):
        await share.publish(JOB, image, f"shot_{frame}.png")
        cost[f"published {frame}"] = calls.taken()
        await share.keep(JOB, image, f"previews/shot_{frame}.png.jpg")
        cost[f"shown {frame}"] = calls.taken()
        await share.keep_log(JOB, f"logs/shot_{frame}.png.log", "x")
        cost[f"logged {frame}"] = calls.taken()
    assert not await share.publish(JOB, image, "shot_0001.png")
    cost["stands already"] = calls.taken()
    await share.frames_done(JOB, ["shot_0001.png"])
    cost["looked for"] = calls.taken()
    await share.file(JOB, "logs/shot_0001.png.log")
    cost["read"] = calls.taken()

    look = {"QueryInfo": 1}
    assert cost == {
        # The job's folder and those below are made and looked at, and a link is tried, once.
        "published 0001": told(6, 6, QueryInfo=2, Write=3, Flush=1, SetInfo=2),
        "shown 0001": told(6, 6, QueryInfo=2, Write=3, Flush=1, SetInfo=1),
        "logged 0001": told(5, 5, QueryInfo=2, Write=1),
        "published 0002": told(3, 3, **look, Write=3, Flush=1, SetInfo=1),
        "shown 0002": told(2, 2, Write=3, Flush=1, SetInfo=1),
        "logged 0002": told(1, 1, Write=1),
        "stands already": told(3, 3, **look, Write=3, Flush=1, SetInfo=1),
        "looked for": told(2, 2, **look, QueryDirectory=2),
        "read": told(5, 5, QueryInfo=5),
    }


async def test_with_hard_links_a_frame_needs_no_look(root: Path, image: Path) -> None:
    """On a laptop, and over NFS: the link itself is refused where a file stands."""
    calls = CountedCalls()
    share = FrameFolder(root, calls)
    await share.publish(JOB, image, "a.png")
    calls.taken()

    await share.publish(JOB, image, "b.png")
    assert calls.taken() == told(3, 3, Write=1, Flush=1, SetInfo=2)


async def test_a_folder_that_is_gone_is_made_anew(
    share: FrameFolder, root: Path, image: Path
) -> None:
    """A person deleted the job, or the folder, a moment after a frame was written to it."""
    await share.publish(JOB, image, "a.png")
    await share.keep_log(JOB, "logs/a.png.log", "x")
    shutil.rmtree(root / JOB)

    await share.keep_log(JOB, "logs/b.png.log", "x")
    assert await share.publish(JOB, image, "b.png")
    assert await share.frames_done(JOB, ["a.png", "b.png"]) == {"b.png"}
    assert (root / JOB / "logs" / "b.png.log").exists()


async def test_a_folder_that_has_become_a_link_is_not_written_to_for_long(
    share: FrameFolder, root: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at once more after a minute."""
    await share.publish(JOB, image, "a.png")
    (root / JOB).rename(tmp_path / "elsewhere")
    (root / JOB).symlink_to(tmp_path / "elsewhere")

    monkeypatch.setattr(frame_folder, "_RELIED_ON", 0)
    with pytest.raises(errors.UnavailableError, match="symbolic link"):
        await share.publish(JOB, image, "b.png")
    assert not (tmp_path / "elsewhere" / "b.png").exists()


async def test_what_failed_is_not_told(root: Path, image: Path) -> None:
    """Nobody knows how far it came."""
    calls = CountedCalls()
    shutil.rmtree(root)

    with pytest.raises(errors.UnavailableError):
        await FrameFolder(root, calls).publish(JOB, image, "shot_0001.png")

    assert calls.taken() == {}
