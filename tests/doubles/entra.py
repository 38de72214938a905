"""A tenant of Entra ID: it signs tokens with real keys, and publishes those over real HTTP."""

import base64
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "11111111-2222-3333-4444-555555555555"
AUDIENCE = "99999999-8888-7777-6666-555555555555"
ANN = "aaaaaaaa-0000-0000-0000-000000000001"


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a new key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def _first_key() -> rsa.RSAPrivateKey:
    return new_key()  # once: making one takes longer than most tests


@dataclass
class Tenant:
    """One tenant."""

    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=lambda: {"one": _first_key()})
    fetches: int = 0
    away: bool = False
    said: bytes | None = None  # in place of its keys
    authority: str = ""

    def claims(self, **changes: object) -> dict[str, object]:
        """Return what a good token says; a change to None leaves a claim out."""
        now = int(time.time())
        whole: dict[str, object] = {
            "iss": f"{self.authority}/{TENANT}/v2.0",
            "aud": AUDIENCE,
            "tid": TENANT,
            "oid": ANN,
            "preferred_username": "ann@studio.example",
            "roles": ["Blendrop.Submit"],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            **changes,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, **changes: object) -> str:
        """Return a token that is good but for the changes of what it says."""
        return self.signed("one", "one", **changes)

    def signed(self, key: str, named: str, **changes: object) -> str:
        """Return a token signed by one key, that names perhaps another."""
        return jwt.encode(self.claims(**changes), self.keys[key], "RS256", headers={"kid": named})

    def key_set(self) -> bytes:
        """Return its keys as it publishes them."""
        published: list[dict[str, Any]] = []
        for name, key in self.keys.items():
            one = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            published.append({**one, "kid": name, "use": "sig"})
        return json.dumps({"keys": published}).encode()

    async def publish(self, _: web.Request) -> web.Response:
        """Answer whoever asks for its keys."""
        self.fetches += 1
        if self.away:
            return web.Response(status=503)
        body = self.key_set() if self.said is None else self.said
        return web.Response(body=body, content_type="application/json")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Tenant]:
    """Run a tenant, on a port of this machine."""
    tenant = Tenant()
    served = web.Application()
    served.router.add_get(f"/{TENANT}/discovery/v2.0/keys", tenant.publish)
    runner = web.AppRunner(served)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    tenant.authority = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield tenant
    finally:
        await runner.cleanup()


def unsigned(header: object, claims: object, signature: bytes = b"") -> str:
    """Return three parts as a token has them, whatever they are."""
    parts = [json.dumps(one).encode() for one in (header, claims)]
    coded = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (*parts, signature)]
    return b".".join(coded).decode()
