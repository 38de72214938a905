"""Is an address told, and is nothing private ever reached by one?"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from blendrop import errors
from blendrop.adapters.webhook_client import HttpWebhooks
from blendrop.domain import webhook_addresses


@dataclass
class Server:
    """A real server on this machine: everything private."""

    port: int = 0
    status: int = 204
    heard: list[tuple[bytes, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """Write down what came."""
        self.heard.append((await request.read(), request.headers.get("webhook-id", "")))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    """Return a running server."""
    started = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", started.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    started.port = runner.addresses[0][1]
    yield started
    await runner.cleanup()


async def post(address: str, *own_hosts: str) -> None:
    """Tell an address something."""
    client = HttpWebhooks(own_hosts=own_hosts)
    await client.post(address, body=b"over", headers={"webhook-id": "7"})


async def test_a_host_that_is_allowed_is_told(server: Server) -> None:
    """By plain http and a private address, since the farm's engineer says so."""
    await post(f"http://localhost:{server.port}/done", "localhost")
    assert server.heard == [(b"over", "7")]


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_what_is_not_taken_is_an_error(server: Server, status: int) -> None:
    """A redirect is not followed."""
    server.status = status
    with pytest.raises(errors.UnavailableError, match=f"answered {status}"):
        await post(f"http://localhost:{server.port}/", "localhost")
    assert len(server.heard) == 1


async def test_nobody_there_is_an_error() -> None:
    """To be tried again."""
    with pytest.raises(errors.UnavailableError, match="cannot be reached"):
        await post("http://127.0.0.1:9/", "127.0.0.1")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "0.0.0.0"]
)
async def test_no_way_leads_to_this_machine(server: Server, host: str) -> None:
    """Neither by a name that resolves to it nor by any way to write its address."""
    with pytest.raises(errors.BlendropError, match=r"private or local|cannot be reached"):
        await post(f"https://{host}:{server.port}/")
    assert server.heard == []


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_what_is_private_is_known(address: str) -> None:
    """In IPv4, IPv6, and IPv4 wrapped in IPv6."""
    assert not webhook_addresses.is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_what_is_public_is_known(address: str) -> None:
    """It may be told."""
    assert webhook_addresses.is_public(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://studio.example/", "not https"),
        ("ftp://studio.example/", "no https address"),
        ("https://anna@studio.example/", "user name"),
        ("https://studio.example:port/", "no address"),
        ("https:///path", "no https address"),
        ("https://10.1.2.3/", "private or local"),
        ("https://[fd00::1]/", "private or local"),
    ],
)
def test_what_is_refused_says_why(address: str, reason: str) -> None:
    """Before anything is looked up."""
    assert reason in webhook_addresses.refusal(address, own_hosts=())
