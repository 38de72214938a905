"""How does a test get Debian's Prometheus, and run it?

The package is downloaded and unpacked into the farm's own folder, which needs no rights on the
machine, and changes nothing outside of it.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from local import child_process

_FOLDER = Path(__file__).parents[2] / ".farm" / "prometheus"
_PROGRAMS = Path("usr/bin")
_GRACE = 5.0  # seconds
_START_SECONDS = 60.0


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`: the machine's, or the downloaded one.

    Raises:
        CalledProcessError: there is none, and none can be downloaded.
    """
    own = shutil.which(name)
    if own is not None:
        return own
    if not _FOLDER.is_dir():
        _download(_FOLDER)
    return str(_FOLDER / _PROGRAMS / name)


def _download(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if not _fetched(scratch, ()):
            # The machine has no list of packages: have one of our own.
            (Path(scratch) / "lists").mkdir()
            own = (f"Dir::State::lists={scratch}/lists", f"Dir::Cache={scratch}")
            _apt(scratch, own, "update", check=True)
            _apt(scratch, own, "download", "prometheus", check=True)
        (package,) = Path(scratch).glob("prometheus_*.deb")
        unpacked = Path(scratch) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", package, unpacked], check=True, timeout=120)
        with contextlib.suppress(FileExistsError):  # another run was quicker
            unpacked.rename(target)


def _fetched(scratch: str, options: Sequence[str]) -> bool:
    return _apt(scratch, options, "download", "prometheus").returncode == 0


def _apt(
    folder: str, options: Sequence[str], *command: str, check: bool = False
) -> subprocess.CompletedProcess[bytes]:
    given = ("APT::Sandbox::User=root", "quiet=2", *options)
    return subprocess.run(
        ["apt-get", *(f"-o{one}" for one in given), *command],
        cwd=folder,
        check=check,
        timeout=240,
    )


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    address: str

    async def firing(self, alert: str) -> list[dict[str, str]]:
        """Return the labels of each alert of a name that fires."""
        listed = (await self._asked("alerts"))["alerts"]
        return [
            one["labels"]
            for one in listed
            if one["labels"]["alertname"] == alert and one["state"] == "firing"
        ]

    async def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return what an expression comes to now."""
        found = (await self._asked("query", query=expression))["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    async def _asked(self, what: str, **parameters: str) -> dict[str, Any]:
        address = f"{self.address}/api/v1/{what}"
        async with aiohttp.ClientSession() as http, http.get(address, params=parameters) as answer:
            found: dict[str, Any] = (await answer.json())["data"]
            return found


@contextlib.asynccontextmanager
async def running(folder: Path, config: Mapping[str, Any]) -> AsyncIterator[Prometheus]:
    """Run Prometheus by a configuration until the block is left; it lies in `folder`."""
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(dict(config)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listening = f"127.0.0.1:{probe.getsockname()[1]}"
    started = await child_process.start(
        "Prometheus",
        [
            program("prometheus"),
            f"--config.file={folder}/prometheus.yaml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={listening}",
        ],
        environment={},
        folder=folder,
        log=folder / "prometheus.log",
    )
    address = f"http://{listening}"
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await _ready(address):  # noqa: ASYNC110 another process sets no event
                await asyncio.sleep(0.1)
        yield Prometheus(address)
    finally:
        await started.stop(grace=_GRACE)


async def _ready(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{address}/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
