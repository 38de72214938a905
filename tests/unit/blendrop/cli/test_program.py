"""Is the command line what its help and its page say, and does it install without Azure?"""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blendrop.cli import outcome
from tests.doubles import contract_farm, png_image
from tests.doubles.command_line import CommandLine
from tests.doubles.contract_farm import JOB, ContractFarm

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
LOOKING = ("submit", "jobs", "show", "watch", "logs", "fetch")
STEERING = ("cancel", "pause", "resume", "retry", "priority", "delete")
COMMANDS = [*LOOKING, *STEERING, "workers", "farm"]


def blocks() -> Iterator[str]:
    """Yield every example of the page."""
    yield from re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


LINES = [line for block in blocks() for line in block.splitlines() if line.startswith("blendrop ")]


@pytest.fixture(autouse=True)
def rendered(farm: ContractFarm, scene: Path) -> None:
    """Let the farm have the job of the examples, and the folder their scene."""
    assert scene.name == "shot.blend"
    farm.frames = {number: png_image.made(number) for number in range(1, 7)}
    farm.views[JOB] = [contract_farm.view("completed", done=6)]


def examples_of(said: str) -> list[str]:
    """Return the example that a command's help ends with."""
    return re.findall(r"Example: (blendrop .*?)\s*$", said)


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_help_ends_with_an_example_that_works(
    blendrop: CommandLine, farm: ContractFarm, command: str
) -> None:
    """The example is run as it stands."""
    shown = await blendrop.run(command, "--help", COLUMNS="200", TERMINAL_WIDTH="200")
    (example,) = examples_of(shown.out)
    if command not in {"submit", "watch", "fetch"}:
        farm.views[JOB] = [contract_farm.view("failed", done=6)]
    said = await blendrop.run(*shlex.split(example)[1:])

    assert shown.code == 0
    assert shlex.split(example)[1] == command
    assert said.code == 0, said.err


async def test_the_help_names_every_command_and_exit_code(blendrop: CommandLine) -> None:
    """And so does the page."""
    shown = await blendrop.run("--help", COLUMNS="200", TERMINAL_WIDTH="200")
    listed = re.findall(r"│ ([a-z]+) ", shown.out)
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE))

    assert listed == COMMANDS
    assert rows == {str(int(code)): meaning for code, meaning in outcome.MEANINGS.items()}
    for code, meaning in outcome.MEANINGS.items():
        assert f"{int(code)}: {meaning}" in shown.out
    assert set(outcome.MEANINGS) == set(outcome.ExitCode)


@pytest.mark.parametrize("line", LINES)
async def test_the_pages_examples_work(
    blendrop: CommandLine, farm: ContractFarm, line: str
) -> None:
    """Each line is run as it stands."""
    if line.split()[1] not in {"submit", "watch", "fetch"}:
        farm.views[JOB] = [contract_farm.view("failed", done=6)]
    said = await blendrop.run(*shlex.split(line, comments=True)[1:])

    assert said.code == 0, said.err


def test_the_page_shows_every_command() -> None:
    """None is left to be found by chance."""
    assert {line.split()[1] for line in LINES} == set(COMMANDS)


async def test_the_pages_script_works(farm: ContractFarm, tmp_path: Path) -> None:
    """A shell runs it: submit, watch, fetch, by their exit codes."""
    (script,) = [block for block in blocks() if "\nif " in block]
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "blendrop").write_text(f'#!/bin/sh\nexec {sys.executable} -m blendrop.cli "$@"\n')
    (folder / "blendrop").chmod(0o755)
    bash = await asyncio.create_subprocess_exec(
        *("bash", "-euc", script),
        cwd=tmp_path,
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "BLENDROP_URL": farm.url,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await bash.communicate()

    assert bash.returncode == 0, said
    assert "completed: it is completed" in (tmp_path / "render.log").read_text()
    assert len(list((tmp_path / "renders").glob("frame_*.png"))) == 6


def test_a_shell_completes_commands_and_options() -> None:
    """As bash asks for it."""
    asked = {"_BLENDROP_COMPLETE": "complete_bash", "COMP_WORDS": "blendrop re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "blendrop.cli"],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **asked},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert sorted(done.stdout.split()) == ["resume", "retry"]


def test_it_installs_without_anything_of_azures(tmp_path: Path) -> None:
    """What a studio gets: the wheel, what the extra `cli` names, and a command that runs."""
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "blendrop", source / "blendrop", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    uv = Path(sys.executable).parent / "uv"
    environment = tmp_path / "environment"
    python = environment / "bin/python"
    pinned = ["--constraint", str(ROOT / "requirements.lock")]
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, str(environment)],
        ["pip", "install", "--quiet", "--python", str(python), *pinned, f"{source}[cli]"],
    ):
        subprocess.run([uv, *arguments], check=True, timeout=240, cwd=tmp_path)
    asked = subprocess.run(
        [environment / "bin/blendrop", "jobs", "--url", "http://127.0.0.1:1"],
        env={"HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert asked.returncode == outcome.ExitCode.FARM_AWAY, asked.stderr
    assert "nobody answers at http://127.0.0.1:1" in asked.stderr
    installed = {path.name.lower() for path in (environment / "lib").rglob("*.dist-info")}
    assert any(name.startswith("httpx-") for name in installed)
    assert not [name for name in installed if name.startswith(("azure", "aiohttp", "fastapi"))]
