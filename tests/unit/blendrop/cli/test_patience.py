"""Is a delay that a service asks for understood?"""

import asyncio
import datetime
import email.utils
import functools

import httpx
import pytest

from blendrop import errors
from blendrop.cli import patience


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("", None, id="none"),
        pytest.param("soon", None, id="words"),
        pytest.param("-1", None, id="negative"),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", 0.0, id="past"),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, expected: float | None) -> None:
    """What is neither is no delay."""
    response = httpx.Response(503, headers={"Retry-After": text} if text else {})

    assert patience.asked_delay(response) == expected


def test_a_date_to_come_is_a_delay() -> None:
    """Counted from now."""
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    response = httpx.Response(503, headers={"Retry-After": email.utils.format_datetime(then)})
    delay = patience.asked_delay(response)

    assert delay is not None
    assert 57 < delay <= 60


async def test_delays_grow_until_the_patience_ends() -> None:
    """Each wait is longer than half of the one before it, and the last reason is told."""
    told: list[str] = []

    async def busy() -> httpx.Response:
        return httpx.Response(503, json={"detail": "the table is throttled"})

    waiting = patience.Patience(seconds=2.0, tell=told.append)
    with pytest.raises(errors.UnavailableError, match=r"in 2 s .*the table is throttled"):
        await waiting.answer(busy, of="the farm")

    delays = [float(line.split()[-2]) for line in told]
    assert delays[0] < 0.6
    assert 2 <= len(delays) <= 3
    assert delays == sorted(delays)


async def test_a_connection_that_was_lost_is_waited_for_only_after_a_first_answer() -> None:
    """Before it, the address is wrong, and waiting would mend nothing."""
    answers: list[httpx.Response | Exception] = [
        httpx.ConnectError("refused"),
        httpx.Response(200),
        httpx.ConnectError("refused"),
        httpx.Response(204),
    ]

    async def next_answer() -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    waiting = patience.Patience(seconds=5, tell=lambda _: None)
    with pytest.raises(errors.UnavailableError, match="check --url"):
        await waiting.answer(next_answer, of="http://farm")
    assert (await waiting.answer(next_answer, of="http://farm")).status_code == 200
    assert (await waiting.answer(next_answer, of="http://farm")).status_code == 204


async def test_what_many_wait_for_is_said_once() -> None:
    """Twenty requests that the farm puts off together are one line."""
    told: list[str] = []
    answered: list[int] = []

    async def busy_once(number: int) -> httpx.Response:
        if number in answered:
            return httpx.Response(200)
        answered.append(number)
        return httpx.Response(429, headers={"Retry-After": "1"}, json={"detail": "too many"})

    waiting = patience.Patience(seconds=5, tell=told.append)
    await asyncio.gather(
        *(
            waiting.answer(functools.partial(busy_once, number), of="the farm")
            for number in range(20)
        )
    )

    assert told == ["the farm: 429 too many; trying again in 1.0 s"]
