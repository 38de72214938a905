"""Who asks over HTTP, and what may they do?

An endpoint names what it takes as a dependency: `reader`, `submitter` or `administrator`. How
callers prove who they are is a setting (docs/access.md).
"""

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import fastapi
from fastapi import security
from starlette.requests import HTTPConnection

from blendrop import errors, settings
from functions import world

if TYPE_CHECKING:
    from functions import entra_tokens

READ = "read"  # look at every job of the farm, and at its frames
SUBMIT = "submit"  # and submit jobs, and steer one's own
ADMINISTER = "administer"  # and steer those of others
_EVERYTHING = frozenset({READ, SUBMIT, ADMINISTER})
ANONYMOUS = "anonymous"

_KEY_HEADER = "x-functions-key"
_KEY_PARAMETER = "code"
_IDENTITY = re.compile(r"<([^<>]+)>$")
_SCOPE = "blendrop.caller"


@dataclass(frozen=True)
class Caller:
    """Someone who asks, as they have proved."""

    name: (
        str  # as a job's owner has it: what they are called, and after it <who they are>, if known
    )
    roles: frozenset[str]

    @property
    def identity(self) -> str:
        """What of the name never changes."""
        return _identity(self.name)


def may_steer(caller: Caller, job_owner: str) -> bool:
    """Tell whether a caller may cancel, pause, retry or delete a job of that owner."""
    if ADMINISTER in caller.roles:
        return True
    return SUBMIT in caller.roles and bool(job_owner) and caller.identity == _identity(job_owner)


def check_steering(caller: Caller, job_owner: str | None) -> None:
    """Let a caller steer a job of that owner, or one that does not exist (None).

    Raises:
        ForbiddenError: it is somebody else's.
    """
    if job_owner is not None and not may_steer(caller, job_owner):
        raise errors.ForbiddenError(
            f"{caller.name} may not steer this job: {job_owner or 'an upload'} submitted it; ask "
            "them, or whoever administers the farm"
        )


def _identity(name: str) -> str:
    found = _IDENTITY.search(name)
    return found[1] if found else name


class _Door(Protocol):
    """One way of proving who asks."""

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Return who asks.

        Raises:
            UnauthenticatedError: nothing proves who it is, or the proof does not hold.
            UnavailableError: it cannot be known just now.
        """
        ...


class _Anonymous:
    """Everyone may do everything; the settings allow it on a laptop alone."""

    async def caller(self, connection: HTTPConnection) -> Caller:  # noqa: ARG002 the protocol's
        return Caller(ANONYMOUS, _EVERYTHING)


class _FunctionKeys:
    """The Functions host has checked the key; who holds one may do everything.

    A key is told apart from others by a fingerprint, from which it cannot be found: keys are long
    and random.
    """

    async def caller(self, connection: HTTPConnection) -> Caller:
        # Exactly what the host has checked: the header before the query, and of several the first.
        # With any other of them a client could give itself a new name for each request.
        query = connection.query_params.multi_items()
        by_query = [value for name, value in query if name.lower() == _KEY_PARAMETER]
        given = (connection.headers.getlist(_KEY_HEADER) or by_query or [""])[0]
        key = given.partition(",")[0].strip()  # the host hands on several headers as one
        if not key:
            # The host has let it in for another reason, as tools of Azure's own are.
            raise errors.UnauthenticatedError(
                f"a function key is needed, in the header {_KEY_HEADER}",
                challenge='FunctionKey realm="blendrop"',
            )
        fingerprint = hashlib.sha256(b"blendrop function key\0" + key.encode()).hexdigest()
        return Caller(f"key-{fingerprint[:16]}", _EVERYTHING)


class _EntraTokens:
    """Access tokens of Entra ID, whose application roles say what is allowed."""

    def __init__(self, tokens: "entra_tokens.Tokens", chosen: settings.FunctionSettings) -> None:
        self._tokens = tokens
        self._roles = {
            chosen.role_read: frozenset({READ}),
            chosen.role_submit: frozenset({READ, SUBMIT}),
            chosen.role_administer: _EVERYTHING,
        }

    async def caller(self, connection: HTTPConnection) -> Caller:
        token = await self._tokens.read(connection.headers.get("authorization", ""))
        held = (self._roles.get(role, frozenset()) for role in token.roles)
        return Caller(f"{token.name} <{token.object_id}>".strip(), frozenset[str]().union(*held))


@functools.cache
def _door() -> _Door:
    chosen = world.settings()
    if chosen.auth == "anonymous":
        return _Anonymous()
    if chosen.auth == "function-key":
        return _FunctionKeys()
    # Cryptography takes long to load, and other proofs do without.
    from functions import entra_keys, entra_tokens  # noqa: PLC0415

    tenant, authority = chosen.entra_tenant, chosen.entra_authority
    tokens = entra_tokens.Tokens(
        entra_keys.PublishedKeys(f"{authority}/{tenant}/discovery/v2.0/keys", clock=world.clock()),
        tenant=tenant,
        audiences=[one.strip() for one in chosen.entra_audience.split(",") if one.strip()],
        authority=authority,
    )
    return _EntraTokens(tokens, chosen)


async def identified(connection: HTTPConnection) -> Caller:
    """Return who sent a request; however often it is asked, the proof is looked at once.

    Raises:
        UnauthenticatedError: nothing proves who it is, or the proof does not hold.
        UnavailableError: it cannot be known just now.
    """
    if _SCOPE not in connection.scope:
        try:
            connection.scope[_SCOPE] = await _door().caller(connection)
        except errors.BlendropError as refused:
            connection.scope[_SCOPE] = refused
    found: Caller | errors.BlendropError = connection.scope[_SCOPE]
    if isinstance(found, errors.BlendropError):
        raise found
    return found


# What the OpenAPI document says of how to prove who one is; `identified` looks at the request.
_KEY = security.APIKeyHeader(
    name=_KEY_HEADER, scheme_name="functionKey", description="A function key.", auto_error=False
)
_TOKEN = security.HTTPBearer(
    scheme_name="entra", description="An access token of Entra ID.", auto_error=False
)


async def _caller(
    request: fastapi.Request,
    _key: Annotated[object, fastapi.Security(_KEY)],
    _token: Annotated[object, fastapi.Security(_TOKEN)],
) -> Caller:
    return await identified(request)


_Identified = Annotated[Caller, fastapi.Depends(_caller)]


async def reader(caller: _Identified) -> Caller:
    """Take whoever may look. Raises UnauthenticatedError, ForbiddenError."""
    return _with(caller, READ)


async def submitter(caller: _Identified) -> Caller:
    """Take whoever may submit. Raises UnauthenticatedError, ForbiddenError."""
    return _with(caller, SUBMIT)


async def administrator(caller: _Identified) -> Caller:
    """Take whoever may administer. Raises UnauthenticatedError, ForbiddenError."""
    return _with(caller, ADMINISTER)


def _with(caller: Caller, role: str) -> Caller:
    if role not in caller.roles:
        raise errors.ForbiddenError(
            f"{caller.name} may not {role}: ask whoever looks after the farm for the role"
        )
    return caller
