"""How often may a client ask, and how is it told?

A client has a fixed number of requests in each window of time, one number for reading and one for
everything else. Windows are fixed: they begin at the same moments on every instance, so that one
number for each client and window is all that the instances must agree on, and it can be exact.
"""

import datetime
import functools
import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import limits
import structlog
from limits.aio import storage, strategies
from starlette import types
from starlette.requests import HTTPConnection

from blendrop import errors, ports
from functions import access, client_address, problems, world

log = structlog.stdlib.get_logger(__name__)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Whoever watches over the app must be able to, whatever else goes on.
_UNLIMITED = frozenset({"/api/health"})
_LET_ALONE = 15.0  # seconds that a storage which was away is not asked again
_REMEMBERED = 1024  # counters, before those of ended windows are dropped


@dataclass(frozen=True)
class _Seen:
    count: int
    ends: datetime.datetime


class CountedWindows(storage.Storage):
    """The state of the library `limits`, in `ports.RateCounters`.

    What was counted last is remembered: it only grows within a window, so that a client who is past
    the limit is refused without asking again.
    """

    STORAGE_SCHEME = None

    def __init__(self, counters: ports.RateCounters, clock: ports.Clock) -> None:
        super().__init__()
        self._counters = counters
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._tidied_at = _REMEMBERED

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong."""
        return errors.UnavailableError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count on in the window of now, which is `expiry` seconds long. Raises UnavailableError.

        Of two answers that overtake each other, the higher count is remembered.
        """
        begun = int(self._clock.now().timestamp()) // expiry * expiry
        ends = datetime.datetime.fromtimestamp(begun + expiry, tz=datetime.UTC)
        count = await self._counters.add(key, amount, ends=ends)
        before = self._current(key)
        if before is None and len(self._seen) >= self._tidied_at:
            self._seen = {name: one for name, one in self._seen.items() if self._current(name)}
            self._tidied_at = max(2 * len(self._seen), _REMEMBERED)
        if before is None or before.ends < ends or before.count < count:
            self._seen[key] = _Seen(count, ends)
        return count

    def _current(self, key: str) -> _Seen | None:
        seen = self._seen.get(key)
        return seen if seen and seen.ends > self._clock.now() else None

    async def get(self, key: str) -> int:
        """Return what was counted last, as far as this process knows."""
        seen = self._current(key)
        return seen.count if seen else 0

    async def get_expiry(self, key: str) -> float:
        """Return when the window ends, in seconds since the epoch."""
        seen = self._current(key)
        return (seen.ends if seen else self._clock.now()).timestamp()

    async def check(self) -> bool:
        """Tell whether it works: only counting shows that."""
        return True

    async def reset(self) -> int | None:
        """Forget nothing: windows end by themselves."""
        return None

    async def clear(self, key: str) -> None:
        """Forget what this process remembers of a counter."""
        self._seen.pop(key, None)


@dataclass(frozen=True)
class Verdict:
    """What a request came to."""

    policy: str
    limit: limits.RateLimitItem
    allowed: bool
    remaining: int
    ends: int  # of the window, in whole seconds since the epoch
    wait: int  # seconds until then; at least one

    def headers(self) -> dict[str, str]:
        """Return what every answer says.

        `RateLimit` and `RateLimit-Policy` are of draft-ietf-httpapi-ratelimit-headers-10; the
        others are older than it and what most clients read.
        """
        amount, seconds = self.limit.amount, self.limit.get_expiry()
        said = {
            "X-RateLimit-Limit": str(amount),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.ends),
            "RateLimit-Policy": f'"{self.policy}";q={amount};w={seconds}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={self.wait}',
        }
        return said if self.allowed else said | {"Retry-After": str(self.wait)}


class RateLimits:
    """The limits of one farm."""

    def __init__(
        self, counters: ports.RateCounters, clock: ports.Clock, limit_of: Mapping[str, str]
    ) -> None:
        self._clock = clock
        self._limit_of = {policy: limits.parse(text) for policy, text in limit_of.items()}
        self._strategy = strategies.FixedWindowRateLimiter(CountedWindows(counters, clock))
        self._asked_again = -math.inf

    async def hit(self, policy: str, client: str) -> Verdict | None:
        """Count one request; None if it cannot be counted, and is let through for that.

        A limit guards the farm from being overrun. Where nobody can count, the storage has other
        troubles, and nobody is to be locked out over them.
        """
        limit = self._limit_of[policy]
        if self._clock.elapsed() < self._asked_again:
            return None
        try:
            # Who is known to be past the limit is not counted any more.
            allowed = await self._strategy.test(limit, policy, client) and await self._strategy.hit(
                limit, policy, client
            )
        except errors.UnavailableError as away:
            self._asked_again = self._clock.elapsed() + _LET_ALONE
            log.warning("rate_limits_unavailable", reason=str(away), unlimited_seconds=_LET_ALONE)
            return None
        ends, remaining = await self._strategy.get_window_stats(limit, policy, client)
        wait = max(math.ceil(ends - self._clock.now().timestamp()), 1)
        return Verdict(policy, limit, allowed, remaining, int(ends), wait)


@functools.cache
def _rate_limits() -> RateLimits:
    chosen = world.settings()
    by_policy = {access.READ: chosen.rate_read, access.SUBMIT: chosen.rate_submit}
    return RateLimits(world.rate_counters(), world.clock(), by_policy)


async def client_of(connection: HTTPConnection) -> str:
    """Return who a request counts for: whoever has proved who they are, else an address."""
    try:
        caller = await access.identified(connection)
    except (errors.UnauthenticatedError, errors.UnavailableError):
        caller = None  # the endpoint says so; asking again and again is limited all the same
    if caller is not None and caller.name != access.ANONYMOUS:
        return f"caller {caller.identity}"
    proxies = world.settings().trusted_proxies
    return f"address {client_address.of(connection, trusted_proxies=proxies)}"


class RateLimitMiddleware:
    """Answers 429 in place of the app, or adds to the app's answer how much is left."""

    def __init__(self, app: types.ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Attend to one request."""
        if scope["type"] != "http" or scope["path"] in _UNLIMITED:
            await self._app(scope, receive, send)
            return
        policy = access.READ if scope["method"] in _READING else access.SUBMIT
        verdict = await _rate_limits().hit(policy, await client_of(HTTPConnection(scope)))
        if verdict is None:
            await self._app(scope, receive, send)
        elif verdict.allowed:
            await self._app(scope, receive, _adding(verdict.headers(), send))
        else:
            await _refusal(verdict)(scope, receive, send)


def _refusal(verdict: Verdict) -> types.ASGIApp:
    detail = f"the limit is {verdict.limit}; come back in {verdict.wait} s"
    return problems.answer(429, detail, headers=verdict.headers())


def _adding(headers: Mapping[str, str], send: types.Send) -> types.Send:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *raw]
        await send(message)

    return sending
