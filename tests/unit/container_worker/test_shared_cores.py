"""Does a worker keep off the cores that others need, and only off those?"""

import asyncio
import os
import time
from pathlib import Path

import pytest
import structlog

from container_worker import shared_cores
from container_worker.shared_cores import SharedCores
from tests.doubles.waiting import until


def worker(folder: Path, name: str, *, cores: int = 2, used: float | None = None) -> SharedCores:
    """Return a worker's eye on its machine, and let the others know of it."""
    mine = SharedCores(folder, name, cores=cores, used=lambda: used)
    mine.takes()
    mine.rests()
    return mine


def aged(folder: Path, name: str, seconds: float) -> None:
    """Let a worker have told of itself so long ago."""
    then = time.time() - seconds
    os.utime(folder / f"{name}.json", (then, then))


def test_a_worker_alone_on_its_machine_never_stands_by(tmp_path: Path) -> None:
    """As in a container, whose scratch folder is its own."""
    alone = worker(tmp_path / "one", "a")
    worker(tmp_path / "another", "b").takes()
    assert alone.why_stand_by() == ""
    alone.takes()
    alone.rests()
    assert alone.why_stand_by() == ""


@pytest.mark.parametrize(
    ("cores", "used", "stands_by"),
    [
        pytest.param(2, None, True, id="not measured yet"),
        pytest.param(2, 1.7, True, id="Cycles on two cores"),
        pytest.param(2, 1.26, True, id="three quarters of a core must be free"),
        pytest.param(2, 1.25, False, id="they are"),
        pytest.param(2, 0.9, False, id="what does its work on one core"),
        pytest.param(16, 12.1, True, id="a quarter of all must be free"),
        pytest.param(16, 12.0, False, id="it is"),
        pytest.param(1, 0.5, True, id="a machine of one core"),
    ],
)
def test_it_stands_by_where_too_few_cores_are_free(
    tmp_path: Path, cores: int, used: float | None, stands_by: bool
) -> None:
    """And says whom it leaves them to."""
    mine = worker(tmp_path, "mine", cores=cores)
    worker(tmp_path, "other", cores=cores, used=used).takes()

    assert mine.why_stand_by() == (
        f"other needs the cores of this machine ({cores}), and another Blender would slow that down"
        if stands_by
        else ""
    )


def test_it_does_not_stand_by_for_itself(tmp_path: Path) -> None:
    """The note may be of the worker of its name that was killed while it rendered."""
    worker(tmp_path, "mine").takes()
    assert SharedCores(tmp_path, "mine", cores=2, used=lambda: None).why_stand_by() == ""


def test_what_several_take_is_added_up(tmp_path: Path) -> None:
    """Workers come to a large machine until its cores are in use."""
    mine = worker(tmp_path, "mine", cores=4)
    worker(tmp_path, "b", cores=4, used=1.5).takes()
    assert mine.why_stand_by() == ""
    worker(tmp_path, "c", cores=4, used=1.6).takes()
    assert mine.why_stand_by().startswith("b, c need the cores of this machine (4)")


def test_of_those_without_a_message_the_one_that_rendered_last_looks_for_one(
    tmp_path: Path,
) -> None:
    """Its scene is open; and a scene is not opened by one after the other."""
    one, other = worker(tmp_path, "a"), worker(tmp_path, "b")
    assert (one.why_stand_by(), other.why_stand_by()) == (
        "b shares this machine, and takes what comes first",
        "",
    )
    one.takes()
    one.rests()
    assert one.why_stand_by() == ""
    assert other.why_stand_by() == "a shares this machine, and takes what comes first"


def test_whoever_rendered_in_vain_lets_the_others_try(tmp_path: Path) -> None:
    """It may be its own Blender that is broken."""
    other, one = worker(tmp_path, "b"), worker(tmp_path, "a")
    assert other.why_stand_by()
    one.takes()
    one.rests(in_vain=True)
    assert other.why_stand_by() == ""
    assert one.why_stand_by()


def test_to_rest_on_does_not_push_to_the_front(tmp_path: Path) -> None:
    """A worker says at every look that it rests."""
    one, other = worker(tmp_path, "a"), worker(tmp_path, "b")
    one.rests()
    assert (bool(one.why_stand_by()), other.why_stand_by()) == (True, "")


def test_whoever_is_silent_for_five_seconds_is_not_counted(tmp_path: Path) -> None:
    """It was killed, or hangs; nobody waits for it."""
    mine = worker(tmp_path, "mine")
    worker(tmp_path, "other").takes()
    aged(tmp_path, "other", 4)
    assert mine.why_stand_by()
    aged(tmp_path, "other", 6)
    assert mine.why_stand_by() == ""


async def test_the_others_are_told_again_and_again_and_that_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what its Blender is seen to use by now."""
    monkeypatch.setattr(shared_cores, "_RENEWED_EVERY", 0.01)
    used: list[float] = []
    mine = worker(tmp_path, "mine")
    other = SharedCores(tmp_path, "other", cores=2, used=lambda: used[0] if used else None)
    async with other.told():
        other.takes()
        aged(tmp_path, "other", 60)
        await until(mine.why_stand_by)
        assert mine.why_stand_by().startswith("other needs")
        used.append(0.8)
        await until(lambda: not mine.why_stand_by())
        used[0] = 1.9
        await until(mine.why_stand_by)
    assert mine.why_stand_by() == ""
    await asyncio.sleep(0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


def test_a_note_that_cannot_be_read_is_reported_and_holds_up_nobody(tmp_path: Path) -> None:
    """A worker of another version may write it otherwise."""
    mine = worker(tmp_path, "mine")
    (tmp_path / "other.json").write_text("{")
    with structlog.testing.capture_logs() as logs:
        assert mine.why_stand_by() == ""
    assert [(line["event"], line["note"], line["log_level"]) for line in logs] == [
        ("neighbour_not_understood", "other.json", "warning")
    ]


def test_a_disk_that_takes_no_note_is_reported_and_the_worker_goes_on(tmp_path: Path) -> None:
    """The others go on as if it were not there."""
    (tmp_path / "file").touch()
    with structlog.testing.capture_logs() as logs:
        mine = worker(tmp_path / "file", "mine")
    assert mine.why_stand_by() == ""
    assert {line["event"] for line in logs} == {"neighbours_not_told"}


@pytest.mark.parametrize("name", ["a/b", "..", "ü" * 80])
def test_any_name_of_a_worker_is_a_name_of_a_note(tmp_path: Path, name: str) -> None:
    """People name workers."""
    mine = worker(tmp_path / "machine", "mine")
    worker(tmp_path / "machine", name).takes()
    assert mine.why_stand_by().startswith(f"{name} needs")
