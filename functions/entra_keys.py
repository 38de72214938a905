"""Which keys does Entra ID sign with?

They are fetched when the first token asks for them, kept, and fetched anew once in a while, or when
a token names one that is not among them: at most once a minute, so that made-up tokens make no
traffic.
"""

import asyncio
import json

import aiohttp
import jwt
import structlog

from blendrop import errors, ports

log = structlog.stdlib.get_logger(__name__)

_FRESH = 6 * 3600.0  # seconds after which they are fetched anew
_STALE = 24 * 3600.0  # seconds after which they count no more, though Entra ID be away
_AGAIN = 60.0  # seconds between two fetches
_AGAIN_WITHOUT = 5.0  # the same, as long as there are none at all
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_LARGEST = 256 * 1024  # bytes of their document
_MOST = 100
_SHORTEST = 2048  # bits of a key (RFC 7518, 3.3)


class PublishedKeys:
    """The keys of one tenant, by their id."""

    def __init__(self, address: str, *, clock: ports.Clock) -> None:
        self._address = address
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = -_STALE
        self._tried = -_STALE
        self._fetching = asyncio.Lock()

    async def find(self, name: str) -> jwt.PyJWK | None:
        """Return the key of that id; None if Entra ID publishes none such.

        Raises:
            UnavailableError: the keys could not be fetched, so that nobody knows.
        """
        if self._wanted(name):
            async with self._fetching:
                if self._wanted(name) and self._may_fetch():
                    await self._fetch()
        if self._age() > _STALE or not self._keys:
            raise errors.UnavailableError(
                "the keys of Entra ID could not be fetched, so that no token can be checked"
            )
        return self._keys.get(name)

    def _wanted(self, name: str) -> bool:
        return name not in self._keys or self._age() > _FRESH

    def _may_fetch(self) -> bool:
        pause = _AGAIN if self._keys else _AGAIN_WITHOUT
        return self._clock.elapsed() - self._tried >= pause

    def _age(self) -> float:
        return self._clock.elapsed() - self._fetched

    async def _fetch(self) -> None:
        self._tried = self._clock.elapsed()
        try:
            keys = _read(await self._document())
        except (aiohttp.ClientError, TimeoutError, ValueError) as failed:
            log.warning(
                "entra_keys_unavailable",
                address=self._address,
                reason=f"{type(failed).__name__}: {failed}",
                keys_held=len(self._keys),
            )
            return
        self._keys, self._fetched = keys, self._tried

    async def _document(self) -> bytes:
        # One fetch in hours: a session of its own is nothing to look after.
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as http,
            http.get(self._address, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"it answered {answer.status}")
            document = bytearray()
            async for part in answer.content.iter_any():
                document += part
                if len(document) > _LARGEST:
                    raise ValueError(f"it is larger than {_LARGEST} bytes")
            return bytes(document)


def _read(document: bytes) -> dict[str, jwt.PyJWK]:
    """Return the keys of a JSON Web Key Set (RFC 7517) that RS256 signatures can be of.

    Raises:
        ValueError: it is none, or holds no such key.
    """
    held = json.loads(document)
    listed = held.get("keys") if isinstance(held, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no key set")  # noqa: TRY004 whatever is wrong with it, it is no use
    found = {}
    for one in listed[:_MOST]:
        if not isinstance(one, dict) or one.get("kty") != "RSA" or one.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(one, algorithm="RS256")
        except jwt.PyJWTError:
            continue  # a key that cannot be read verifies nothing
        if key.key_id and key.key.key_size >= _SHORTEST:
            found[str(key.key_id)] = key
    if not found:
        raise ValueError("it holds no RSA key")
    return found
