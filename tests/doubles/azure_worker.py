"""How does a test talk to Microsoft's Python worker with an app in it?"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

_HOST = Path(__file__).with_name("azure_host.py")
_LOCK = Path(__file__).with_name("azure_worker.lock")
_REPOSITORY = Path(__file__).parents[2]
_UV = Path(sys.executable).with_name("uv")
_SECONDS = 60


class Worker:
    """Microsoft's worker with the app in it, as the host sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def index(self) -> dict[str, dict[str, Any]]:
        """Return the functions that it found, by name."""
        answer = await self.ask(index=True)
        assert answer["result"]["status"] == "success", answer
        return {one["name"]: one for one in answer["functions"]}

    async def ask(self, **asked: Any) -> dict[str, Any]:
        """Ask it for something, and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(_SECONDS):
            line = await self._process.stdout.readline()
        assert line, "the worker ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def invoke(self, function: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Call a function as a trigger does."""
        return await self.ask(invoke=function, id=str(uuid.uuid4()), input=given, **more)

    async def get(self, path: str) -> dict[str, Any]:
        """Return the HTTP answer to a request, as the worker hands it to the host."""
        # The host has checked the key, and passes it on.
        headers = {"host": "farm", "x-functions-key": "a key that the host knows"}
        request = {"method": "GET", "url": f"http://farm{path}", "headers": headers}
        answer = await self.invoke("http_app_func", {"req": {"http": request}})
        assert answer["result"]["status"] == "success", answer
        http: dict[str, Any] = answer["return_value"]["http"]
        return http


def installed(place: Path) -> Path:
    """Make an environment with what Azure installs, and Microsoft's worker; return its Python."""
    python = str(place / "bin/python")
    install = ("--quiet", "--require-hashes", "--python", python)
    # The package asks for 3.13 and runs on 3.11, too: Azure's worker for 3.11, its elder sibling,
    # comes in no package.
    theirs = ("--no-deps", "--python-version", "3.13", "--requirement", _LOCK)
    for command in (
        ("venv", "--quiet", "--python", sys.executable, place),
        ("pip", "sync", *install, _REPOSITORY / "requirements.txt"),
        ("pip", "install", *install, *theirs),
    ):
        subprocess.run([_UV, *command], check=True, timeout=240)
    return Path(python)


@contextlib.asynccontextmanager
async def started(
    python: Path, app: Path, account: str, share: Path, **more: str
) -> AsyncIterator[Worker]:
    """Run a worker until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *(python, "-P", _HOST, app),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
        cwd=share,
        env={
            "PATH": os.environ["PATH"],
            "AzureWebJobsStorage": account,
            "BLENDROP_STORAGE": account,
            "BLENDROP_FRAME_SHARE": str(share),
            "BLENDROP_NEWEST_BLENDER": "5.0",
            "BLENDROP_SETTLING_SECONDS": "0",
            **more,
        },
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        await process.wait()
