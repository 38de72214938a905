"""How does the CLI ask the farm something, and what do its answers mean?"""

import asyncio
import urllib.parse
from collections.abc import AsyncIterator, Mapping

import httpx

from blendrop import errors
from blendrop.cli import outcome, patience, views

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# A farm on this machine is never asked by way of a proxy, whatever the environment says.
NO_PROXY: Mapping[str, httpx.AsyncBaseTransport | None] = {
    "all://127.0.0.1": None,
    "all://localhost": None,
    "all://[::1]": None,
}


def client(url: str, *, key: str = "", token: str = "") -> httpx.AsyncClient:
    """Return an HTTP client of a farm.

    Raises:
        InvalidRequestError: the URL is none.
    """
    headers = {
        "Accept": "application/json",
        **({"x-functions-key": key} if key else {}),
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    try:
        root = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL as invalid:
        raise _strange("--url", url, str(invalid)) from invalid
    if root.scheme not in {"http", "https"} or not root.host:
        raise _strange("--url", url, "it is not like https://farm.azurewebsites.net")
    if not (key + token).isascii() or not (key + token).isprintable():
        raise _strange("--key or --token", "", "it holds characters that no key has")
    return httpx.AsyncClient(
        base_url=f"{root}/api", headers=headers, timeout=TIMEOUT, mounts=dict(NO_PROXY)
    )


def _strange(pointer: str, value: str, reason: str) -> errors.InvalidRequestError:
    remedy = "Give the farm's address and key as its engineer told you"
    return errors.InvalidRequestError(
        errors.Problem(pointer=pointer, value=value, reason=reason, remedy=remedy)
    )


def in_clear(url: httpx.URL) -> bool:
    """Tell whether what is sent there can be read on its way."""
    return url.scheme == "http" and url.host not in _LOOPBACK


class FarmApi:
    """The farm's HTTP API, with its answers as they came."""

    def __init__(self, http: httpx.AsyncClient, waiting: patience.Patience) -> None:
        self.http = http
        self.waiting = waiting

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> views.Json:
        """Return what is there."""
        return self._json(await self._ask("GET", path, query=query))

    async def text(self, path: str) -> str:
        """Return the text that is there."""
        return (await self._ask("GET", path)).text

    async def post(
        self,
        path: str,
        body: views.Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> views.Json:
        """Ask for something to be done.

        Sent again when the connection was lost, as everything that the API does may be asked twice.
        """
        return self._json(await self._ask("POST", path, body=body, query=query, headers=headers))

    async def delete(self, path: str) -> None:
        """Remove what is there, if anything is."""
        await self._ask("DELETE", path)

    async def changes(self, job_id: str, *, every: float) -> AsyncIterator[views.Json]:
        """Yield a job as it is, then whenever it has changed, looking `every` so many seconds."""
        etag = ""
        while True:
            asked = {"If-None-Match": etag} if etag else {}
            response = await self._ask("GET", job(job_id), headers=asked)
            if response.status_code != 304:
                etag = response.headers.get("ETag", "")
                yield self._json(response)
            await asyncio.sleep(every)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: views.Json | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            return await self.http.request(method, path, json=body, params=query, headers=headers)

        response = await self.waiting.answer(send, of=self.name)
        self.check(response)
        return response

    @property
    def name(self) -> str:
        """Where the farm is, as its errors say it."""
        return str(self.http.base_url).rstrip("/").removesuffix("/api")

    def check(self, response: httpx.Response) -> None:
        """Raise what an answer means that is no success.

        Raises:
            NotFoundError, ConflictError, InvalidRequestError: as the farm says.
            UnavailableError: no farm answers so.
        """
        status = response.status_code
        if response.is_success or status == 304:
            return
        said = patience.detail(response)
        if status == 404:
            raise errors.NotFoundError(f"{said} ({response.url.path} at {self.name})")
        if status == 409:
            raise errors.ConflictError(said)
        if status in {401, 403}:
            remedy = "Give a key by --key or a token by --token that may do this"
            raise outcome.RefusedError(
                f"{self.name} refuses access ({status})",
                [errors.Problem(pointer="access", value="", reason=said, remedy=remedy)],
            )
        if response.is_client_error:
            raise outcome.RefusedError(said, _problems(response))
        raise errors.UnavailableError(f"{self.name} answered {status}: {said}")

    def _json(self, response: httpx.Response) -> views.Json:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            kind = response.headers.get("Content-Type", "something else")
            raise errors.UnavailableError(
                f"{self.name} is no Blendrop farm: it answers {response.url.path} with {kind}"
            )
        return answer


def _problems(response: httpx.Response) -> list[errors.Problem]:
    try:
        said = response.json()["problems"]
        return [
            errors.Problem(
                pointer=str(one.get("pointer", "")),
                value=str(one.get("value", "")),
                reason=str(one.get("reason", "")),
                remedy=str(one.get("remedy", "")),
            )
            for one in said
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # an answer without them; its detail is told all the same


def job(job_id: str, below: str = "") -> str:
    """Return the path of a job, or of something below it."""
    return f"/jobs/{urllib.parse.quote(job_id, safe='')}{below}"
