"""Is this an access token of Entra ID, still good, and meant for this farm?

The claims are Microsoft's ("Access token claims reference"); the checks are theirs ("Claims
validation") and those of RFC 8725. What is answered to a token that does not hold says which check
failed, and nothing of what would have passed.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jwt

from blendrop import errors
from functions import entra_keys

_LEEWAY = 60  # seconds that two clocks may differ
_LONGEST = 16 * 1024  # characters; the host itself takes no longer header
_ALGORITHM = "RS256"
_REALM = 'Bearer realm="blendrop"'
# Tokens of version 1.0, which an application gets that does not ask for 2.0, are issued by this.
_OLD_ISSUER = "https://sts.windows.net"
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAMES = ("preferred_username", "upn", "unique_name", "azp", "appid")
_LONGEST_NAME = 100
_FAULTS: tuple[tuple[type[jwt.InvalidTokenError], str], ...] = (
    (jwt.ExpiredSignatureError, "the access token has expired"),
    (jwt.ImmatureSignatureError, "the access token is not valid yet"),
    (jwt.InvalidAudienceError, "the access token is meant for another application"),
    (jwt.InvalidIssuerError, "the access token was issued by somebody else"),
    (jwt.InvalidSignatureError, "the access token's signature does not hold"),
    (jwt.MissingRequiredClaimError, "the access token lacks a claim that every one has"),
)


@dataclass(frozen=True)
class Token:
    """What a token that holds says of who asks."""

    object_id: str  # of the person or program in the tenant: it never changes
    name: str  # for people to read: it may change, and proves nothing
    roles: frozenset[str]  # of the application, like Blendrop.Submit


class Tokens:
    """Access tokens of one tenant, for one application."""

    def __init__(
        self,
        keys: entra_keys.PublishedKeys,
        *,
        tenant: str,
        audiences: Collection[str],
        authority: str,
    ) -> None:
        self._keys = keys
        self._tenant = tenant.lower()
        self._audiences = list(audiences)
        self._issuers = [f"{authority}/{self._tenant}/v2.0", f"{_OLD_ISSUER}/{self._tenant}/"]

    async def read(self, authorization: str) -> Token:
        """Return what the token in an `Authorization` header says.

        Raises:
            UnauthenticatedError: there is none, or it does not hold.
            UnavailableError: it cannot be known, since Entra ID's keys could not be fetched.
        """
        scheme, _, token = authorization.strip().partition(" ")
        if not authorization.strip():
            raise errors.UnauthenticatedError(
                "an access token of Entra ID is needed, as `Authorization: Bearer …`",
                challenge=_REALM,
            )
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST:
            raise _refused("the Authorization header holds no access token")
        return _token(await self._claims(token.strip()))

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, RecursionError) as unreadable:  # it may be nested endlessly
            raise _refused("the access token cannot be read") from unreadable
        # Only what the token says of itself so far: it chooses among our keys, never how to check.
        name = header.get("kid")
        if header.get("alg") != _ALGORITHM or not isinstance(name, str):
            raise _refused(f"the access token is not signed by {_ALGORITHM} with a named key")
        key = await self._keys.find(name)
        if key is None:
            raise _refused("the access token is signed with a key that Entra ID does not publish")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=self._audiences,
                issuer=self._issuers,
                leeway=_LEEWAY,
                options={"require": ["exp", "nbf", "iss", "aud", "tid", "oid"]},
            )
        except jwt.InvalidTokenError as invalid:
            known = (said for fault, said in _FAULTS if isinstance(invalid, fault))
            raise _refused(next(known, "the access token does not hold")) from invalid
        if str(claims["tid"]).lower() != self._tenant:
            raise _refused("the access token is of another tenant")
        return claims


def _token(claims: dict[str, Any]) -> Token:
    object_id = claims["oid"]
    if not isinstance(object_id, str) or not _OBJECT_ID.fullmatch(object_id):
        raise _refused("the access token does not say who asks")
    names = (claims.get(claim) for claim in _NAMES)
    name = next((name for name in names if isinstance(name, str) and name), "")
    roles = claims.get("roles", [])
    return Token(
        object_id=object_id.lower(),
        name=re.sub(r"[^\w.@+\- ]", "", name)[:_LONGEST_NAME],
        roles=frozenset(one for one in roles if isinstance(one, str))
        if isinstance(roles, list)
        else frozenset(),
    )


def _refused(reason: str) -> errors.UnauthenticatedError:
    """Return the refusal of a token that was given (RFC 6750, 3)."""
    challenge = f'{_REALM}, error="invalid_token", error_description="{reason}"'
    return errors.UnauthenticatedError(reason, challenge=challenge)
