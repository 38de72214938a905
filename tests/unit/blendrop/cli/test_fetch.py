"""Do frames arrive whole, once, and are the missing ones named with their reasons?"""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from blendrop.cli import fetch_record, image_file
from tests.doubles import contract_farm, contract_faults, png_image
from tests.doubles.command_line import CommandLine
from tests.doubles.contract_farm import FAILURE, JOB, ContractFarm
from tests.doubles.waiting import until

IMAGE = "GET /api/jobs/[^/]+/frames/"


@pytest.fixture(autouse=True)
def completed(farm: ContractFarm) -> None:
    """Let the farm have a job whose six frames are done."""
    farm.views[JOB] = [contract_farm.view("completed", done=6)]
    farm.frames = {number: png_image.made(number) for number in range(1, 7)}


def images(folder: Path) -> dict[str, bytes]:
    """Return every file that has a frame's name, and everything that has no business there."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != fetch_record.FILE_NAME
    }


def expected(farm: ContractFarm, *numbers: int) -> dict[str, bytes]:
    """Return what must be there."""
    return {f"frame_{number:04d}.png": farm.frames[number] for number in numbers}


async def test_every_frame_arrives_and_none_is_fetched_twice(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """The second time, the farm is asked whether it has another version, and has not."""
    first = await blendrop.run("fetch", JOB)
    second = await blendrop.run("fetch", JOB, "--json")

    assert first.code == 0, first.err
    assert first.out == f"6 frames fetched into {JOB}, 0 were there, 0 missing\n"
    assert images(tmp_path / JOB) == expected(farm, *range(1, 7))
    (document,) = second.documents
    assert (document["fetched"], document["kept"], document["missing"]) == ("", "1-6", [])
    asked = farm.matching(IMAGE)
    assert len(asked) == 12
    assert all("If-None-Match" in headers for headers in asked[6:])


async def test_a_frame_that_was_cut_off_goes_on_where_it_stopped(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """By a range of the very same version, and it is whole in the end."""
    farm.fault(f"{IMAGE}2", contract_faults.half_sent, contract_faults.half_sent)
    said = await blendrop.run("fetch", JOB, "--frames", "2", "--to", "out")

    assert said.code == 0, said.err
    assert images(tmp_path / "out") == expected(farm, 2)
    starts = [headers.get("Range") for headers in farm.matching(IMAGE)]
    half = len(farm.frames[2]) // 2
    assert starts[:2] == [None, f"bytes={half}-"]
    assert len(starts) == 3


async def test_another_command_goes_on_with_half_a_frame(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """What one command left unfinished is no frame, and no loss."""
    farm.fault(f"{IMAGE}2", contract_faults.half_sent, *[contract_faults.busy(503, after="60")] * 9)
    cut = await blendrop.run("fetch", JOB, "--frames", "2", "--to", "out", "--patience", "1")
    left = list(images(tmp_path / "out"))
    del farm.faults[:]
    resumed = await blendrop.run("fetch", JOB, "--frames", "2", "--to", "out")

    assert (cut.code, resumed.code) == (5, 0)
    assert [name.endswith(".part") for name in left] == [True]
    assert farm.matching(IMAGE)[-1]["Range"] == f"bytes={len(farm.frames[2]) // 2}-"
    assert images(tmp_path / "out") == expected(farm, 2)


async def test_half_of_another_version_is_thrown_away(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """The frame changed in between: no byte of the old one stays."""
    farm.fault(f"{IMAGE}2", contract_faults.half_sent, *[contract_faults.busy(503, after="60")] * 9)
    await blendrop.run("fetch", JOB, "--frames", "2", "--to", "out", "--patience", "1")
    del farm.faults[:]
    farm.frames[2] = png_image.made(99)
    said = await blendrop.run("fetch", JOB, "--frames", "2", "--to", "out")

    assert said.code == 0, said.err
    assert images(tmp_path / "out") == {"frame_0002.png": png_image.made(99)}


async def test_a_frame_that_changed_in_the_farm_is_fetched_again(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """Its size is the same, its ETag is not."""
    await blendrop.run("fetch", JOB, "--to", "out")
    farm.frames[2] = png_image.made(99)
    assert len(farm.frames[2]) == len(png_image.made(2))
    said = await blendrop.run("fetch", JOB, "--to", "out", "--json")

    assert said.documents[0]["fetched"] == "2"
    assert images(tmp_path / "out") == expected(farm, *range(1, 7))


async def test_a_file_that_changed_or_went_here_is_fetched_again(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """What is not the file that was verified is not taken for it."""
    await blendrop.run("fetch", JOB, "--to", "out")
    (tmp_path / "out/frame_0001.png").write_bytes(b"x" * len(farm.frames[1]))
    (tmp_path / "out/frame_0003.png").unlink()
    with (tmp_path / "out" / fetch_record.FILE_NAME).open("a") as record:
        record.write('{"name": "frame_0004.png", "et')  # cut off by a crash
    said = await blendrop.run("fetch", JOB, "--to", "out", "--json")

    assert said.documents[0]["fetched"] == "1,3"
    assert images(tmp_path / "out") == expected(farm, *range(1, 7))


async def test_a_damaged_frame_is_fetched_again_and_never_given_its_name(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """One that comes damaged each time is missing, with the reason."""
    farm.fault(f"{IMAGE}2", contract_faults.damaged)
    farm.fault(f"{IMAGE}5", *[contract_faults.damaged] * 3)
    said = await blendrop.run("fetch", JOB, "--to", "out")

    assert said.code == 1
    assert "frame 5: it came damaged 3 times: a checksum in it is wrong" in said.err
    assert images(tmp_path / "out") == expected(farm, 1, 2, 3, 4, 6)


@pytest.mark.parametrize(
    ("state", "frame_state", "code", "said"),
    [
        pytest.param("rendering", "waiting", 7, "it waits for a worker", id="waiting"),
        pytest.param("rendering", "failed", 7, "Blender crashed. Look at the log", id="so far"),
        pytest.param("failed", "failed", 1, "Blender crashed. Look at the log", id="job failed"),
        pytest.param("cancelled", "waiting", 6, "the job is cancelled", id="cancelled"),
    ],
)
async def test_frames_that_are_missing_are_named_with_their_reasons(
    blendrop: CommandLine, state: str, frame_state: str, code: int, said: str
) -> None:
    """And the exit code says what kind of missing it is."""
    farm = blendrop.farm
    farm.views[JOB] = [contract_farm.view(state, done=5)]
    del farm.frames[3]
    failure = FAILURE if frame_state == "failed" else None
    farm.frame_states[3] = {"state": frame_state, "failure": failure}
    done = await blendrop.run("fetch", JOB, "--json")

    assert done.code == code
    (missing,) = done.documents[0]["missing"]
    assert (missing["frame"], missing["state"]) == (3, frame_state)
    assert said in f"{missing['reason']}. {missing['remedy']}"


async def test_a_frame_that_vanished_is_missing(blendrop: CommandLine, farm: ContractFarm) -> None:
    """It was listed, and is gone when it is asked for."""
    farm.fault(f"{IMAGE}4", contract_faults.busy(404, detail="frame 4 was deleted"))
    said = await blendrop.run("fetch", JOB)

    assert said.code == 1
    assert "frame 4: frame 4 was deleted" in said.err


async def test_frames_are_fetched_as_they_are_done(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """With --follow it ends with the job, and each file is named when it is there."""
    every = dict(farm.frames)
    farm.frames.clear()
    farm.views[JOB] = [contract_farm.view("rendering", done=0)]
    following = asyncio.create_task(
        blendrop.run("fetch", JOB, "--to", "out", "--follow", "--every", "0.1")
    )
    for count in (2, 4, 6):
        farm.frames |= {number: every[number] for number in range(1, count + 1)}
        farm.views[JOB] = [
            contract_farm.view("completed" if count == 6 else "rendering", done=count)
        ]
        await until(lambda: len(list((tmp_path / "out").glob("*.png"))) == count)  # noqa: B023 at once
    said = await following

    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert sorted(lines[:6]) == [f"out/frame_000{number}.png" for number in range(1, 7)]
    assert farm.count(IMAGE) == 6


async def test_two_commands_at_once_do_each_other_no_harm(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path
) -> None:
    """Both fetch the same frame into the same folder, and one was cut off."""
    farm.fault(f"{IMAGE}2", contract_faults.half_sent, contract_faults.half_sent)
    arguments = ("-m", "blendrop.cli", "fetch", JOB, "--to", str(tmp_path / "out"))
    root = Path(__file__).parents[4]
    environment = {"BLENDROP_URL": farm.url, "PYTHONPATH": str(root), "HOME": str(tmp_path)}
    both = [
        await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment)
        for _ in range(2)
    ]

    assert [await one.wait() for one in both] == [0, 0]
    assert images(tmp_path / "out") == expected(farm, *range(1, 7))


@pytest.mark.parametrize("older", [None, b"an older version"], ids=["nothing", "an-older-version"])
async def test_a_frame_that_another_command_dropped_is_fetched_again(
    blendrop: CommandLine,
    farm: ContractFarm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    older: bytes | None,
) -> None:
    """It found the bytes of both there, and took them for no part of the frame."""
    out = tmp_path / "out"
    out.mkdir()
    if older is not None:
        (out / "frame_0001.png").write_bytes(older)
    dropped: list[Path] = []
    looked_at = image_file.damage

    def drop(path: Path, *, name: str) -> str:
        damage = looked_at(path, name=name)
        if not dropped:
            dropped.append(path)
            path.unlink()
        return damage

    monkeypatch.setattr(image_file, "damage", drop)
    said = await blendrop.run("fetch", JOB, "--to", str(out), "--frames", "1")

    assert said.code == 0, said.err
    assert images(out) == expected(farm, 1)
    assert len(farm.matching(f"{IMAGE}1")) == 2


@pytest.mark.parametrize("name", ["../escaped.png", "/tmp/escaped.png", "a\\b.png", ".x.png", ""])
async def test_a_name_that_leads_elsewhere_is_refused(
    blendrop: CommandLine, farm: ContractFarm, tmp_path: Path, name: str
) -> None:
    """A farm can write into the folder that was given, and nowhere else."""
    farm.frame_names[1] = name
    said = await blendrop.run("fetch", JOB, "--to", "out")

    assert said.code == 5
    assert "which is no name of a file" in said.err
    assert not (tmp_path / "escaped.png").exists()


async def test_frames_that_the_job_has_not_are_refused(blendrop: CommandLine) -> None:
    """With the frames that it has."""
    said = await blendrop.run("fetch", JOB, "--frames", "5-8")

    assert said.code == 4
    assert "--frames '7-8': job" in said.err
    assert "Its frames are 1-6" in said.err


async def test_a_folder_that_cannot_be_written_is_named(
    blendrop: CommandLine, tmp_path: Path
) -> None:
    """It is this machine's fault, and said so."""
    (tmp_path / "taken").write_text("x")
    said = await blendrop.run("fetch", JOB, "--to", "taken/frames", "--json")

    assert said.code == 8
    assert said.documents[0]["error"]["exit_code"] == 8
    assert "taken" in said.err


def test_the_record_keeps_what_was_written_last(tmp_path: Path) -> None:
    """A later line about a name replaces an earlier one."""
    (tmp_path / "a.png").write_bytes(b"1")
    record = fetch_record.FetchRecord(tmp_path)
    record.add("a.png", '"one"')
    record.add("a.png", '"two"')
    again = fetch_record.FetchRecord(tmp_path)
    again.load()

    assert again.etag_of("a.png") == '"two"'
    assert len((tmp_path / fetch_record.FILE_NAME).read_text().splitlines()) == 2
    assert json.loads((tmp_path / fetch_record.FILE_NAME).read_text().splitlines()[0])
