"""How often may each client ask, and what is it told?"""

import datetime

import httpx
import pytest
import structlog

from blendrop import errors
from blendrop.adapters.memory_rate_counters import MemoryRateCounters
from tests.doubles import guarded_app
from tests.doubles.clock import START, ManualClock

# The clock begins 5 s after a full minute.
LEFT = 55
ENDS = int(START.timestamp()) + LEFT


class BrokenCounters(MemoryRateCounters):
    """Counters of a storage that can be away; it counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = 0

    async def add(self, counter: str, amount: int, *, ends: datetime.datetime) -> int:
        """Count on, or say that it cannot be done."""
        self.asked += 1
        if self.away:
            raise errors.UnavailableError("the storage gave no answer")
        return await super().add(counter, amount, ends=ends)


def key(name: str) -> dict[str, str]:
    """Return what a client proves itself with."""
    return {"x-functions-key": name}


async def test_every_answer_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """In both ways, also where the endpoint makes the answer itself, or there is none."""
    guarded_app.given(monkeypatch, rate_read="5/minute")
    async with guarded_app.client(key("ann")) as http:
        answers = [
            await http.get("/api/jobs/1"),
            await http.get("/api/bare"),
            await http.get("/api/nowhere"),
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 404]
    for left, answer in zip((4, 3, 2), answers, strict=True):
        assert said(answer) == {
            "x-ratelimit-limit": "5",
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": str(ENDS),
            "ratelimit-policy": '"read";q=5;w=60',
            "ratelimit": f'"read";r={left};t={LEFT}',
        }


def said(answer: httpx.Response) -> dict[str, str]:
    """Return the headers that tell of limits."""
    return {
        name: value
        for name, value in answer.headers.items()
        if "ratelimit" in name or name == "retry-after"
    }


async def test_past_the_limit_a_client_learns_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And may, when it does; nobody counts what is refused."""
    clock, counters = ManualClock(), BrokenCounters()
    guarded_app.given(monkeypatch, clock=clock, counters=counters, rate_read="2/minute")
    async with guarded_app.client(key("ann")) as http:
        for _ in range(2):
            assert (await http.get("/api/jobs/1")).status_code == 200
        refused = [await http.get("/api/jobs/1") for _ in range(5)]
        assert counters.asked == 2
        await clock.advance(LEFT)
        again = await http.get("/api/jobs/1")

    for answer in refused:
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == f"the limit is 2 per 1 minute; come back in {LEFT} s"
        assert said(answer)["retry-after"] == str(LEFT)
        assert said(answer)["x-ratelimit-remaining"] == "0"
    assert again.status_code == 200
    assert "retry-after" not in again.headers


async def test_clients_and_kinds_of_requests_count_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One who reads all day can still submit, and keeps nobody else from it."""
    guarded_app.given(monkeypatch, rate_read="1/minute", rate_submit="1/minute")
    async with guarded_app.client() as http:
        codes = [
            (await http.request(method, path, headers=key(name))).status_code
            for name in ("ann", "bob")
            for method, path in (("GET", "/api/jobs/1"), ("POST", "/api/jobs"))
            for _ in range(2)
        ]

    assert codes == [200, 429] * 4


async def test_health_is_never_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it need the storage."""
    counters = BrokenCounters()
    guarded_app.given(monkeypatch, counters=counters, rate_read="1/minute")
    async with guarded_app.client() as http:
        for _ in range(3):
            answer = await http.get("/api/health")
            assert (answer.status_code, said(answer)) == (200, {})
    assert counters.asked == 0


async def test_who_proves_nothing_is_limited_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As our own proxy saw it, whatever the client claims."""
    guarded_app.given(monkeypatch, trusted_proxies="1", rate_read="2/minute")
    async with guarded_app.client() as http:
        codes = [
            (
                await http.get(
                    "/api/jobs/1", headers={"x-forwarded-for": f"203.0.113.{guess}, 198.51.100.7"}
                )
            ).status_code
            for guess in range(4)
        ]
        other = await http.get("/api/jobs/1", headers={"x-forwarded-for": "198.51.100.8"})

    assert codes == [401, 401, 429, 429]
    assert other.status_code == 401


async def test_on_a_laptop_addresses_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everyone has the same name."""
    guarded_app.given(monkeypatch, auth="anonymous", trusted_proxies="1", rate_read="1/minute")
    async with guarded_app.client() as http:
        codes = [
            (
                await http.get("/api/jobs/1", headers={"x-forwarded-for": f"198.51.100.{client}"})
            ).status_code
            for client in (1, 1, 2)
        ]

    assert codes == [200, 429, 200]


async def test_while_nobody_can_count_nobody_is_locked_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is logged, and requests do not wait for the storage one after the other."""
    clock, counters = ManualClock(), BrokenCounters()
    counters.away = True
    guarded_app.given(monkeypatch, clock=clock, counters=counters, rate_read="1/minute")
    async with guarded_app.client(key("ann")) as http:
        with structlog.testing.capture_logs() as logs:
            for _ in range(10):
                answer = await http.get("/api/jobs/1")
                assert (answer.status_code, said(answer)) == (200, {})
        assert counters.asked == 1
        counters.away = False
        await clock.advance(16)
        assert (await http.get("/api/jobs/1")).status_code == 200
        assert (await http.get("/api/jobs/1")).status_code == 429

    (line,) = logs
    assert (line["event"], line["log_level"]) == ("rate_limits_unavailable", "warning")
    assert line["reason"] == "the storage gave no answer"
