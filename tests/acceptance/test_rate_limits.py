"""Do the limits hold exactly, over two instances of the function app and one storage account?"""

import asyncio
import collections
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio

from local import child_process, farm_storage

_ROOT = Path(__file__).parents[2]
LIMIT = 100
REQUESTS = 1000
_TIMEOUT = aiohttp.ClientTimeout(total=60)


@pytest_asyncio.fixture
async def instances(storage_account: str, tmp_path: Path) -> AsyncIterator[list[str]]:
    """Return the addresses of two instances, each a process of the local function host."""
    await farm_storage.create(storage_account)
    started: list[child_process.ChildProcess] = []
    addresses: list[str] = []
    try:
        for name in ("one", "two"):
            port = _free_port()
            command = [sys.executable, "-m", "local.function_host", "--port", str(port)]
            environment = {
                "PYTHONPATH": str(_ROOT),
                "AzureWebJobsStorage": storage_account,
                "BLENDROP_STORAGE": storage_account,
                "BLENDROP_FRAME_SHARE": str(tmp_path),
                "BLENDROP_NEWEST_BLENDER": "5.0",
                "BLENDROP_AUTH": "function-key",
                # A window that does not end while the test runs.
                "BLENDROP_RATE_READ": f"{LIMIT}/365day",
            }
            started.append(
                await child_process.start(
                    name,
                    command,
                    environment=environment,
                    folder=_ROOT,
                    log=tmp_path / f"{name}.log",
                )
            )
            addresses.append(f"http://127.0.0.1:{port}")
        await asyncio.gather(
            *(_healthy(at, one) for at, one in zip(addresses, started, strict=True))
        )
        yield addresses
    finally:
        await asyncio.gather(*(one.stop(grace=5) for one in started))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _healthy(address: str, instance: child_process.ChildProcess) -> None:
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as http, asyncio.timeout(60):
        while instance.process.returncode is None:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get(f"{address}/api/health") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise AssertionError(instance.last_lines())


async def test_a_thousand_requests_at_once_pass_no_more_than_the_limit(
    instances: list[str],
) -> None:
    """Of two clients on both instances: of each exactly the limit, on whichever instance."""
    began = time.monotonic()
    # Fewer connections than files that a process may have open by default.
    connections = aiohttp.TCPConnector(limit=400)
    async with aiohttp.ClientSession(connector=connections, timeout=_TIMEOUT) as http:

        async def ask(number: int) -> tuple[str, str, int, dict[str, str]]:
            client, instance = f"key-of-{number % 2}", instances[number // 2 % 2]
            async with http.get(
                f"{instance}/api/jobs/none-000000000000", headers={"x-functions-key": client}
            ) as answer:
                return client, instance, answer.status, dict(answer.headers)

        # Each client once on each instance: what one counts the other sees.
        before = [await ask(number) for number in range(4)]
        answers = await asyncio.gather(*(ask(number) for number in range(REQUESTS)))
    took = time.monotonic() - began
    print(f"{REQUESTS} requests in {took:.1f} s")

    left = [int(headers["X-RateLimit-Remaining"]) for *_, headers in before]
    assert left == [LIMIT - 1, LIMIT - 1, LIMIT - 2, LIMIT - 2]
    by_client = collections.Counter((client, status) for client, _, status, _ in answers)
    # 404: let through, and there is no such job.
    through = LIMIT - 2
    assert by_client == {
        ("key-of-0", 404): through,
        ("key-of-0", 429): REQUESTS // 2 - through,
        ("key-of-1", 404): through,
        ("key-of-1", 429): REQUESTS // 2 - through,
    }
    for _, _, status, headers in answers:
        assert headers["X-RateLimit-Limit"] == str(LIMIT)
        assert ("Retry-After" in headers) == (status == 429)
