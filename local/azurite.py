"""How does Azure's storage run on this machine? As Azurite, Microsoft's emulator, a Node program.

`python -m local.azurite` installs it from its lock file.
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from blendrop import errors
from local import child_process, foreground, node

_PACKAGE = Path(__file__).resolve().parent / "azurite_package"
_PROGRAM = _PACKAGE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_SERVICES = ("Blob", "Queue", "Table")
_START_SECONDS = 60.0
_GRACE = 5.0
# Every Azurite has this account (Microsoft Learn, "Use the Azurite emulator"): it guards nothing.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
STANDARD_PORTS = (10000, 10001, 10002)  # of blobs, queues and tables; what everybody's tools expect


@dataclass(frozen=True)
class Azurite:
    """A running storage account."""

    process: child_process.ChildProcess
    connection_string: str


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, log: Path, ports: tuple[int, int, int] = (0, 0, 0), keep: bool = False
) -> AsyncIterator[Azurite]:
    """Run Azurite; with `keep` what is stored stays in `folder`, otherwise in memory alone.

    A port of 0 is any free one.

    Raises:
        UnavailableError: it is not installed, or did not start.
    """
    if not _PROGRAM.is_file():
        raise errors.UnavailableError("Azurite is not installed; run `make setup` first")
    folder.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)  # its addresses are read from it
    where = ["--location", str(folder)] if keep else ["--inMemoryPersistence"]
    addresses = [
        word
        for service, port in zip(_SERVICES, ports, strict=True)
        for word in (f"--{service.lower()}Port", str(port))
    ]
    options = [*where, *addresses]
    process = await child_process.start(
        "Azurite",
        # The SDKs' newest API versions are ahead of every Azurite.
        [
            node.program(),
            str(_PROGRAM),
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--silent",
            *options,
        ],
        environment={"PATH": os.environ.get("PATH", ""), "HOME": str(folder)},
        folder=folder,
        log=log,
    )
    try:
        yield Azurite(process, await _connection_string(process))
    finally:
        await process.stop(grace=_GRACE)


async def _connection_string(azurite: child_process.ChildProcess) -> str:
    """Wait until all services listen; return how to reach them."""
    watching = asyncio.create_task(azurite.watch())
    try:
        async with asyncio.timeout(_START_SECONDS):
            while True:
                said = azurite.log.read_text(encoding="utf-8", errors="replace")
                found = dict(
                    re.findall(r"Azurite (\w+) service is successfully .* (http\S+)", said)
                )
                if len(found) == len(_SERVICES):
                    break
                await asyncio.wait({watching}, timeout=0.05)
                if watching.done():
                    watching.result()
    except TimeoutError:
        raise errors.UnavailableError(
            f"Azurite did not start in {_START_SECONDS:g} s. The end of {azurite.log}:\n"
            f"{azurite.last_lines()}"
        ) from None
    finally:
        watching.cancel()
    endpoints = "".join(f"{name}Endpoint={url}/{_ACCOUNT};" for name, url in found.items())
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};{endpoints}"


async def _install() -> int:
    node.install(_PACKAGE)
    return 0


if __name__ == "__main__":
    sys.exit(foreground.run(_install()))
