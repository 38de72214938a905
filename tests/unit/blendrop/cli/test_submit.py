"""Does a file become one job, whatever breaks on the way?"""

import asyncio
import base64
import functools
import json
import re
import signal
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.doubles import contract_faults
from tests.doubles.command_line import CommandLine
from tests.doubles.contract_farm import JOB, ContractFarm
from tests.doubles.waiting import until

PUT_BLOCK = "PUT .*comp=block&"
COMMIT = "PUT .*comp=blocklist"
SUBMIT = "POST /api/jobs"
BLOCKS = 6  # that the scene has


async def test_a_scene_is_sent_in_blocks_and_becomes_a_job(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The job's id is the answer, and the blob says that it starts no job of its own."""
    said = await blendrop.run(
        "submit",
        str(scene),
        "--frames",
        "1,2,3",
        "--engine",
        "cycles",
        "--max-cost",
        "12.5",
        "--webhook",
        "https://a.b/c",
    )

    assert (said.code, said.out) == (0, f"{JOB}\n"), said.err
    ((name, content),) = farm.storage.blobs.items()
    assert content == scene.read_bytes()
    assert re.fullmatch(r"api/[0-9a-f]{16}/shot\.blend", name)
    assert farm.storage.metadata[name] == {"submission": "api"}
    assert farm.count(PUT_BLOCK) == BLOCKS
    ((body, _),) = farm.jobs_by_key.values()
    assert json.loads(body) == {
        "scene": name,
        "settings": {
            "frames": "1-3",
            "engine": "CYCLES",
            "priority": "normal",
            "allow_missing_files": False,
            "max_cost": 12.5,
            "webhook": "https://a.b/c",
        },
    }


async def test_the_same_submission_is_the_same_job(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """Submitted again, nothing is sent again; other settings, and --again, make other jobs."""
    first = await blendrop.run("submit", str(scene))
    second = await blendrop.run("submit", str(scene))
    other = await blendrop.run("submit", str(scene), "--frames", "1")
    anew = await blendrop.run("submit", str(scene), "--again")

    assert first.out == second.out == f"{JOB}\n"
    assert len({first.out, other.out, anew.out}) == 3
    assert farm.count(PUT_BLOCK) == BLOCKS


async def test_an_answer_that_was_lost_makes_no_second_job(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The job was made, its answer lost: asking again by the same key finds it."""
    farm.fault(SUBMIT, contract_faults.lost_answer)
    said = await blendrop.run("submit", str(scene))

    assert (said.code, said.out) == (0, f"{JOB}\n")
    assert len(farm.jobs_by_key) == 1
    assert farm.count(SUBMIT) == 2
    assert "the connection was lost" in said.err


async def test_blocks_are_sent_again_until_they_are_there(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """A connection that breaks in mid-block, a busy storage, an answer that is lost."""
    busy = contract_faults.busy(503, after="0", detail="ServerBusy")
    farm.fault(PUT_BLOCK, contract_faults.cut_in_request, busy, contract_faults.lost_answer)
    farm.fault(COMMIT, contract_faults.busy(500))
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    assert list(farm.storage.blobs.values()) == [scene.read_bytes()]
    assert farm.count(PUT_BLOCK) == BLOCKS + 3
    assert "503 ServerBusy; trying again in 0.0 s" in said.err


async def test_a_commit_whose_answer_was_lost_is_no_second_blob(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The blob stands already, and is left as it is."""
    farm.fault(COMMIT, contract_faults.lost_answer)
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    assert farm.count(COMMIT) == 2
    assert list(farm.storage.blobs.values()) == [scene.read_bytes()]


async def test_an_upload_goes_on_where_it_stopped(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """What the storage took before the command gave up is not sent again."""
    last = base64.b64encode(f"{5 * farm.block_size:015d}".encode()).decode()[:16]

    async def busy_at_last(request: web.Request, _: ContractFarm) -> web.StreamResponse | None:
        await until(lambda: sum(map(len, farm.storage.blocks.values())) == BLOCKS - 1)
        await asyncio.sleep(0.2)  # the answers of the others have arrived
        return await contract_faults.busy(503, after="60")(request, farm)

    farm.fault(f"PUT .*blockid={last}", busy_at_last)
    stopped = await blendrop.run("submit", str(scene), "--patience", "1")
    before = farm.count(PUT_BLOCK)
    del farm.faults[:]
    resumed = await blendrop.run("submit", str(scene))

    assert stopped.code == 5
    assert "503 the backlog is too deep" in stopped.err
    assert resumed.code == 0, resumed.err
    assert farm.count(PUT_BLOCK) == before + 1
    assert list(farm.storage.blobs.values()) == [scene.read_bytes()]


async def test_blocks_that_the_storage_forgot_are_sent_again(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The record of what was sent is not trusted further than the storage bears it out."""
    farm.fault(COMMIT, contract_faults.busy(503, after="60"))
    assert (await blendrop.run("submit", str(scene), "--patience", "1")).code == 5
    farm.storage.blocks.clear()
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    assert farm.count(PUT_BLOCK) == 2 * BLOCKS
    assert list(farm.storage.blobs.values()) == [scene.read_bytes()]


async def test_a_scene_that_was_removed_since_is_sent_again(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The record says that it is there, the farm that it is not: the farm is right."""
    await blendrop.run("submit", str(scene))
    farm.storage.blobs.clear()
    said = await blendrop.run("submit", str(scene), "--again")

    assert said.code == 0, said.err
    assert list(farm.storage.blobs.values()) == [scene.read_bytes()]


async def test_a_scene_that_is_refused_is_not_sent_again(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The farm has it, and cannot render it: sending it once more would mend nothing."""
    await blendrop.run("submit", str(scene))
    wrong = {"pointer": "/scene", "value": "a", "reason": "saved by Blender 9.9", "remedy": "b"}
    farm.fault(SUBMIT, *[contract_faults.refused("1 problem", wrong)] * 2)
    said = await blendrop.run("submit", str(scene), "--again")

    assert said.code == 4
    assert "saved by Blender 9.9" in said.err
    assert farm.count(PUT_BLOCK) == BLOCKS


async def test_a_signature_that_has_run_out_is_renewed(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The farm is asked for another one, once for all blocks under way."""
    farm.given = "expired"
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    assert farm.count("POST /api/uploads") == 2


async def test_a_storage_that_forbids_is_refused_without_end_of_trying(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """Whatever is signed is refused: said with the storage's reason, and no signature shown."""
    farm.storage.signature = "another"

    async def wrong(request: web.Request, _: ContractFarm) -> web.StreamResponse:
        farm.given = "wrong"
        return await farm.handle(request)

    farm.fault("POST /api/uploads", *[wrong] * 40)
    said = await blendrop.run("submit", str(scene))

    assert said.code == 4
    assert "403 AuthenticationFailed" in said.err
    assert "sig=" not in said.err + said.out


async def test_every_problem_is_listed(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """Pointer, value, reason and remedy of each, for a person and for a program."""
    problems = [
        {"pointer": "/settings/camera", "value": "Cam", "reason": "no such camera", "remedy": "A"},
        {"pointer": "/settings/frames", "value": "1-9", "reason": "too many", "remedy": "B"},
    ]
    farm.fault(SUBMIT, contract_faults.refused("2 problems", *problems))
    said = await blendrop.run("submit", str(scene), "--json")

    assert said.code == 4
    for line in ("  /settings/camera 'Cam': no such camera", "      A", "      B"):
        assert line in said.err.splitlines()
    assert said.documents == [
        {"error": {"exit_code": 4, "detail": "2 problems", "problems": problems}}
    ]


async def test_one_problem_is_said_once(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """The farm repeats it in the detail, which is not shown then."""
    wrong = {"pointer": "/settings/camera", "value": "Cam", "reason": "no camera", "remedy": "A"}
    farm.fault(SUBMIT, contract_faults.refused("/settings/camera: no camera. A.", wrong))
    said = await blendrop.run("submit", str(scene))

    assert said.err.splitlines()[-3:] == [
        "blendrop: this cannot be done as asked",
        "  /settings/camera 'Cam': no camera",
        "      A",
    ]


async def test_a_farm_that_is_too_busy_is_waited_for(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """As long as it asks, with its reason shown."""
    farm.fault(SUBMIT, contract_faults.busy(503, after="1"), contract_faults.busy(429, after="0"))
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0
    assert "503 the backlog is too deep; trying again in 1.0 s" in said.err
    assert "429" in said.err


async def test_a_dry_run_makes_no_job(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """It says what would be rendered."""
    person = await blendrop.run("submit", str(scene), "--dry-run")
    program = await blendrop.run("submit", str(scene), "--dry-run", "--json")

    assert person.code == program.code == 0
    assert re.search(r"frame count +6", person.out)
    assert program.documents == [{"frames": "1-6", "frame_count": 6, "cost": {"low": 0.1}}]
    assert not farm.jobs_by_key


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(["--frames", "1-"], 4, "'1-' is not a frame", id="frames"),
        pytest.param(["--samples", "0"], 2, "--samples", id="samples"),
        pytest.param(["--engine", "luxcore"], 2, "--engine", id="engine"),
        pytest.param(["--again", "--idempotency-key", "k"], 2, "--again", id="two keys"),
        pytest.param(["--url", "ftp://farm"], 4, "--url 'ftp://farm'", id="url"),
        pytest.param(["--url", "http://127.0.0.1:1"], 5, "nobody answers at", id="no farm"),
        pytest.param(["--key", "schlüssel"], 4, "holds characters that no key has", id="key"),
    ],
)
async def test_a_slip_is_said_before_anything_is_sent(
    blendrop: CommandLine, scene: Path, options: list[str], code: int, said: str
) -> None:
    """No large file goes out for a job that cannot be."""
    done = await blendrop.run("submit", str(scene), *options)

    assert done.code == code
    assert said in done.err
    assert not blendrop.farm.storage.blocks


async def test_a_file_that_is_no_blend_or_not_there_is_named(
    blendrop: CommandLine, tmp_path: Path
) -> None:
    """Before the farm is asked anything."""
    (tmp_path / "notes.txt").write_text("x")
    other = await blendrop.run("submit", "notes.txt")
    nothing = await blendrop.run("submit", "nowhere.blend")

    assert (other.code, nothing.code) == (4, 2)
    assert "notes.txt" in other.err
    assert "nowhere.blend" in nothing.err


async def test_a_file_that_is_saved_while_it_is_sent_is_refused(
    blendrop: CommandLine, farm: ContractFarm, scene: Path
) -> None:
    """Half of one version and half of another is nobody's scene."""

    async def save(request: web.Request, _: ContractFarm) -> web.StreamResponse:
        scene.write_bytes(b"BLENDER saved anew")
        return await farm.handle(request)

    farm.fault(PUT_BLOCK, save)
    said = await blendrop.run("submit", str(scene))

    assert said.code == 4
    assert "was changed while it was sent" in said.err
    assert not farm.storage.blobs


async def test_a_record_that_cannot_be_written_stops_nothing(
    blendrop: CommandLine, farm: ContractFarm, scene: Path, tmp_path: Path
) -> None:
    """The upload is just not resumable then, which is said."""
    (tmp_path / "config").write_text("no folder")
    said = await blendrop.run("submit", str(scene))

    assert said.code == 0, said.err
    assert "cannot be resumed" in said.err


async def test_ctrl_c_says_what_stays(farm: ContractFarm, scene: Path, tmp_path: Path) -> None:
    """Exit code 130, one line, no traceback; the job goes on."""
    root = Path(__file__).parents[4]
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "blendrop.cli", "submit", str(scene), "--watch"),
        cwd=root,
        env={"BLENDROP_URL": farm.url, "HOME": str(tmp_path), "PYTHONPATH": str(root)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # As at a terminal, also where the tests themselves run in the background.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    await until(lambda: farm.count(f"GET /api/jobs/{JOB}"))
    running.send_signal(signal.SIGINT)
    _, said = await running.communicate()

    assert running.returncode == 130, said
    assert said.decode().splitlines()[-1] == (
        f"blendrop: stopped; the job goes on: blendrop watch {JOB}"
    )
    assert "Traceback" not in said.decode()
