"""How does the storage fail the farm? A proxy before it errs, resets and loses answers.

A lost answer is the worst of them: the storage has done what it was asked to, and nobody is told.
Chance is drawn for each kind of request by itself (`PUT render-batches`), so that the tenth of a
kind meets the same fate in every run of a seed, whatever came in between.
"""

import asyncio
import collections
import contextlib
import random
import re
from collections.abc import AsyncIterator

import aiohttp
import yarl
from aiohttp import web

from tests.chaos import plan

_ERRORS = (429, 500, 503)
_HOP = {"connection", "keep-alive", "transfer-encoding", "host"}


class FaultyStorage:
    """A proxy for each service; it is honest until told otherwise."""

    def __init__(self, seed: int) -> None:
        self.shares: dict[str, float] = {}  # of requests, by kind: error, reset, lost_answer
        self.delay = 0.0  # seconds, before each request
        self.injected: collections.Counter[str] = collections.Counter()
        self.connection_string = ""
        self._seed = seed
        self._chances: dict[str, random.Random] = {}

    @contextlib.asynccontextmanager
    async def before(self, connection_string: str) -> AsyncIterator[None]:
        """Stand before the storage of that connection string."""
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    auto_decompress=False,
                    connector=aiohttp.TCPConnector(limit=0),
                    # The signature covers every header: none may be added.
                    skip_auto_headers=["Accept", "Accept-Encoding", "Content-Type", "User-Agent"],
                )
            )
            changed = connection_string
            for origin in set(re.findall(r"http://[0-9.]+:\d+", connection_string)):
                runner = web.AppRunner(
                    self._app(session, origin), access_log=None, shutdown_timeout=1
                )
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                port = runner.addresses[0][1]
                changed = changed.replace(origin, f"http://127.0.0.1:{port}")
            self.connection_string = changed
            yield

    def _app(self, session: aiohttp.ClientSession, origin: str) -> web.Application:
        async def forward(request: web.Request) -> web.StreamResponse:
            return await self._forward(request, session, origin)

        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", forward)
        return app

    async def _forward(
        self, request: web.Request, session: aiohttp.ClientSession, origin: str
    ) -> web.StreamResponse:
        await asyncio.sleep(self.delay)
        fault = self.fate(f"{request.method} {_asked_of(request.path)}")
        if fault.isdigit():
            return web.Response(status=int(fault))
        if fault == "reset":
            return _reset(request)
        try:
            async with session.request(
                request.method,
                yarl.URL(origin + request.raw_path, encoded=True),
                headers={k: v for k, v in request.headers.items() if k.lower() not in _HOP},
                data=await request.read() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=60),
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionResetError):
            return _reset(request)  # the storage itself is down, or whoever asked is gone
        if fault == "lost_answer":
            return _reset(request)
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        if request.method != "HEAD":
            headers.pop("Content-Length", None)
        return web.Response(status=answer.status, headers=headers, body=body or None)

    def fate(self, request: str) -> str:
        """Return what befalls the next request of a kind: a status, a reset, …; empty: nothing."""
        if request not in self._chances:
            self._chances[request] = plan.generator(self._seed, f"storage {request}")
        drawn, status = self._chances[request].random(), self._chances[request].choice(_ERRORS)
        for kind, share in self.shares.items():
            if drawn < share:
                self.injected[f"storage: {kind}"] += 1
                return str(status) if kind == "error" else kind
            drawn -= share
        return ""


def _asked_of(path: str) -> str:
    """Return which queue, container or table; ids of jobs and messages differ in every run."""
    _account, *rest = re.split(r"[/(]", path.strip("/"))
    return rest[0] if rest else ""


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
