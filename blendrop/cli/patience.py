"""How long does the CLI wait for a service that is away or too busy, and what does it say then?"""

import asyncio
import datetime
import email.utils
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from blendrop import errors

# Answers that another attempt may change.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_NOBODY = (httpx.ConnectError, httpx.ConnectTimeout)
_FIRST_DELAY = 0.5  # seconds; doubled from attempt to attempt
_LONGEST_DELAY = 30.0


@dataclass
class Patience:
    """Asks again until there is an answer, and says what it waits for."""

    seconds: float
    tell: Callable[[str], None]
    reached: bool = False  # whether anything has answered so far
    # Each reason that was said, and until when it holds.
    _told: dict[str, float] = field(default_factory=dict, init=False)

    async def answer(
        self, send: Callable[[], Awaitable[httpx.Response]], *, of: str
    ) -> httpx.Response:
        """Return the first answer that will not change by itself; `of` names who is asked.

        A service that nobody has reached yet is not waited for: its address is wrong, or it does
        not run.

        Raises:
            UnavailableError: there was none in time, with the last reason.
        """
        gives_up = time.monotonic() + self.seconds
        for attempt in itertools.count():
            wanted: float | None = None
            try:
                response = await send()
            except httpx.TransportError as lost:
                reason = _said(lost)
                if not self.reached and isinstance(lost, _NOBODY):
                    raise errors.UnavailableError(
                        f"nobody answers at {of} ({reason}); check --url, and that the farm runs"
                    ) from lost
            else:
                self.reached = True
                if response.status_code not in _PASSING:
                    return response
                wanted = asked_delay(response)
                reason = f"{response.status_code} {detail(response)}"
            delay = _growing(attempt) if wanted is None else wanted
            if time.monotonic() + delay > gives_up:
                after = f"in {self.seconds:g} s (--patience)"
                raise errors.UnavailableError(f"{of} did not do it {after}: {reason}")
            self._tell(f"{of}: {reason}", delay)
            await asyncio.sleep(delay)
        raise AssertionError("an endless count has ended")

    def _tell(self, reason: str, delay: float) -> None:
        """Say what is waited for, once for all that wait for it at the same time."""
        now = time.monotonic()
        if self._told.get(reason, now) <= now:
            self._told[reason] = now + delay
            self.tell(f"{reason}; trying again in {delay:.1f} s")


def _growing(attempt: int) -> float:
    """Return a delay that grows, and differs between clients that were cut off together."""
    return min(_FIRST_DELAY * 2.0**attempt, _LONGEST_DELAY) * random.uniform(0.7, 1)  # noqa: S311 no secret


def asked_delay(response: httpx.Response) -> float | None:
    """Return the seconds that `Retry-After` asks for: a number, or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=datetime.UTC)
    return max(0.0, until.timestamp() - time.time())


def detail(response: httpx.Response) -> str:
    """Return what an answer says went wrong: problem details, Azure's error code, or the status."""
    try:
        said = response.json()
    except (ValueError, httpx.ResponseNotRead):
        said = None
    if isinstance(said, dict) and (text := said.get("detail") or said.get("title")):
        return str(text)
    return str(response.headers.get("x-ms-error-code") or response.reason_phrase or "without words")


def _said(lost: httpx.TransportError) -> str:
    if isinstance(lost, httpx.TimeoutException):
        return "no answer in time"
    return f"the connection was lost: {str(lost) or type(lost).__name__}"
