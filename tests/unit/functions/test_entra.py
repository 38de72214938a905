"""Are only those tokens believed that Entra ID made, for us, and that still hold?"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization

from blendrop import errors
from tests.doubles import entra, guarded_app
from tests.doubles.clock import ManualClock
from tests.doubles.entra import ANN, AUDIENCE, TENANT, Tenant

OTHER = "00000000-0000-0000-0000-000000000000"


@pytest_asyncio.fixture
async def tenant() -> AsyncIterator[Tenant]:
    """Return a tenant whose keys can be fetched."""
    async with entra.running() as running:
        yield running


@pytest.fixture
def clock(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Return the clock of an app that trusts the tenant."""
    clock = ManualClock()
    guarded_app.given(
        monkeypatch,
        clock=clock,
        auth="entra",
        entra_tenant=TENANT,
        entra_audience=f"{AUDIENCE}, api://{AUDIENCE}",
        entra_authority=tenant.authority,
        rate_read="100000/day",
        rate_submit="100000/day",
    )
    return clock


async def asked(token: str, method: str = "GET", path: str = "/api/jobs/1") -> httpx.Response:
    """Ask with a token."""
    async with guarded_app.client({"authorization": f"Bearer {token}"}) as http:
        return await http.request(method, path)


def _just_expired() -> int:
    """By the clock of whoever made the token: one that differs by seconds is put up with."""
    return int(time.time()) - 20


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({}, f"ann@studio.example <{ANN}>", id="person"),
        pytest.param({"aud": f"api://{AUDIENCE}"}, f"ann@studio.example <{ANN}>", id="uri"),
        pytest.param(
            {
                "iss": f"https://sts.windows.net/{TENANT}/",
                "preferred_username": None,
                "upn": "ann@studio.example",
                "appid": "app",
            },
            f"ann@studio.example <{ANN}>",
            id="version-1",
        ),
        pytest.param({"preferred_username": None, "azp": "robot"}, f"robot <{ANN}>", id="program"),
        pytest.param({"preferred_username": None}, f"<{ANN}>", id="nameless"),
        pytest.param(
            {"preferred_username": f"eve <{OTHER}>\r\n"}, f"eve {OTHER} <{ANN}>", id="forged-name"
        ),
        pytest.param({"exp": _just_expired}, f"ann@studio.example <{ANN}>", id="clocks-differ"),
    ],
)
async def test_a_good_token_says_who_asks(
    tenant: Tenant, clock: ManualClock, changes: dict[str, object], name: str
) -> None:
    """Of both versions, for people and programs."""
    claims = {claim: made() if callable(made) else made for claim, made in changes.items()}
    answer = await asked(tenant.token(**claims))
    assert (answer.status_code, answer.json()) == (200, name)


def _tampered(tenant: Tenant) -> str:
    head, _, signature = tenant.token().split(".")
    claims = json.dumps(tenant.claims(roles=["Blendrop.Administer"])).encode()
    return f"{head}.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.{signature}"


def _hmac_with_public_key(tenant: Tenant) -> str:
    public = tenant.keys["one"].public_key()
    secret = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bare = entra.unsigned({"alg": "HS256", "typ": "JWT", "kid": "one"}, tenant.claims())
    signed = bare.rpartition(".")[0]
    signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _own_key_in_the_header(tenant: Tenant) -> str:
    tenant.keys["mine"] = entra.new_key()
    token = tenant.signed("mine", "one")
    del tenant.keys["mine"]
    return token


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda one: one.token(exp=int(time.time()) - 90), "has expired", id="expired"),
        pytest.param(
            lambda one: one.token(nbf=int(time.time()) + 300), "not valid yet", id="early"
        ),
        pytest.param(lambda one: one.token(aud=OTHER), "another application", id="audience"),
        pytest.param(lambda one: one.token(aud=None), "lacks a claim", id="no-audience"),
        pytest.param(
            lambda one: one.token(iss="https://evil.example/v2.0"), "somebody else", id="issuer"
        ),
        pytest.param(
            lambda one: one.token(iss=f"{one.authority}/{OTHER}/v2.0", tid=OTHER),
            "somebody else",
            id="issuer-of-another-tenant",
        ),
        pytest.param(lambda one: one.token(tid=OTHER), "another tenant", id="tenant"),
        pytest.param(lambda one: one.token(oid=None), "lacks a claim", id="no-one"),
        pytest.param(lambda one: one.token(oid="ann"), "does not say who", id="odd-one"),
        pytest.param(lambda one: one.token(exp=None), "lacks a claim", id="endless"),
        pytest.param(
            lambda one: entra.unsigned({"alg": "none", "kid": "one"}, one.claims()),
            "not signed by RS256",
            id="alg-none",
        ),
        pytest.param(_hmac_with_public_key, "not signed by RS256", id="hs256-with-public-key"),
        pytest.param(_tampered, "signature does not hold", id="tampered"),
        pytest.param(_own_key_in_the_header, "signature does not hold", id="own-key"),
        pytest.param(lambda one: one.signed("one", "two"), "does not publish", id="unknown-key"),
        pytest.param(
            lambda one: entra.unsigned({"alg": "RS256"}, one.claims()), "named key", id="no-kid"
        ),
        pytest.param(lambda _: "a.b.c", "cannot be read", id="garbage"),
        pytest.param(lambda _: "x" * 20_000, "holds no access token", id="long"),
        pytest.param(
            lambda _: base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.e30",
            "cannot be read",
            id="nested",
        ),
        pytest.param(lambda _: "é.ü.ß".encode().decode("latin-1"), "cannot be read", id="latin"),
        pytest.param(lambda _: "", "holds no access token", id="empty"),
    ],
)
async def test_any_other_token_is_refused_with_the_reason(
    tenant: Tenant, clock: ManualClock, make: Callable[[Tenant], str], reason: str
) -> None:
    """Which leaks nothing of the token, nor of what would have passed."""
    token = make(tenant)
    async with guarded_app.client() as http:
        answer = await http.get(
            "/api/jobs/1", headers={b"authorization": f"Bearer {token}".encode()}
        )

    assert answer.status_code == 401
    assert reason in answer.json()["detail"]
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    said = answer.text + str(answer.headers)
    for secret in (TENANT, AUDIENCE, ANN, tenant.authority, *filter(None, token.split("."))):
        assert secret not in said or len(secret) < 8


@pytest.mark.parametrize("authorization", [None, "", "Basic YTpi", "Bearer", "key"])
async def test_without_a_token_the_way_in_is_named(
    tenant: Tenant, clock: ManualClock, authorization: str | None
) -> None:
    """A function key is none; and nothing is fetched for it."""
    headers = {"x-functions-key": "abc"}
    if authorization is not None:
        headers["authorization"] = authorization
    async with guarded_app.client(headers) as http:
        answer = await http.get("/api/jobs/1")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="blendrop"')
    assert ("invalid_token" in answer.headers["www-authenticate"]) == bool(authorization)
    assert tenant.fetches == 0


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        pytest.param(["Blendrop.Administer"], (200, 200, 200), id="administer"),
        pytest.param(["Blendrop.Submit"], (200, 200, 403), id="submit"),
        pytest.param(["Blendrop.Read"], (200, 403, 403), id="read"),
        pytest.param(["Blendrop.Read", "Blendrop.Submit"], (200, 200, 403), id="both"),
        pytest.param(["blendrop.administer", "read"], (403, 403, 403), id="others"),
        pytest.param([], (403, 403, 403), id="empty"),
        pytest.param(None, (403, 403, 403), id="missing"),
        pytest.param("Blendrop.Administer", (403, 403, 403), id="text"),
        pytest.param([["Blendrop.Administer"], {}, 1], (403, 403, 403), id="odd"),
    ],
)
async def test_roles_say_what_is_allowed(
    tenant: Tenant, clock: ManualClock, roles: object, allowed: tuple[int, int, int]
) -> None:
    """A token of the tenant alone opens nothing."""
    token = tenant.token(roles=roles)
    answers = [
        await asked(token),
        await asked(token, "POST", "/api/jobs"),
        await asked(token, "POST", "/api/administer"),
    ]

    assert tuple(answer.status_code for answer in answers) == allowed
    for answer in answers:
        if answer.status_code == 403:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "ask whoever looks after the farm" in answer.json()["detail"]


async def test_made_up_keys_do_not_hammer_entra(tenant: Tenant, clock: ManualClock) -> None:
    """One fetch a minute, however many tokens; good tokens are taken meanwhile."""
    assert (await asked(tenant.token())).status_code == 200
    for number in range(30):
        assert (await asked(tenant.signed("one", f"made-up-{number}"))).status_code == 401
        assert (await asked(tenant.token())).status_code == 200
    assert tenant.fetches == 1

    await clock.advance(61)
    for number in range(30):
        assert (await asked(tenant.signed("one", f"made-up-{number}"))).status_code == 401
    assert tenant.fetches == 2


async def test_a_new_key_is_found_and_an_old_one_forgotten(
    tenant: Tenant, clock: ManualClock
) -> None:
    """Entra ID changes its keys when it likes."""
    old = tenant.token()
    assert (await asked(old)).status_code == 200
    tenant.keys = {"two": entra.new_key()}
    await clock.advance(61)
    assert (await asked(tenant.signed("two", "two"))).status_code == 200
    assert (await asked(old)).status_code == 401
    assert tenant.fetches == 2


async def test_while_entra_is_away_its_keys_count_for_a_day(
    tenant: Tenant, clock: ManualClock
) -> None:
    """Then nobody can know, which is no fault of the token's."""
    assert (await asked(tenant.token())).status_code == 200
    tenant.away = True
    await clock.advance(23 * 3600)
    assert (await asked(tenant.token())).status_code == 200
    await clock.advance(2 * 3600)
    with pytest.raises(errors.UnavailableError, match="keys of Entra ID could not be fetched"):
        await asked(tenant.token())
    tenant.away = False
    await clock.advance(61)
    assert (await asked(tenant.token())).status_code == 200


@pytest.mark.parametrize(
    "said",
    [b"", b"<html>", b"[]", b'{"keys": {}}', b'{"keys": [1, {}, {"kty": "RSA"}]}', b" " * 300_000],
    ids=["empty", "html", "list", "object", "odd", "large"],
)
async def test_what_is_no_key_set_is_not_believed(
    tenant: Tenant, clock: ManualClock, said: bytes
) -> None:
    """It is looked at again soon, since no token can be checked before."""
    tenant.said = said
    for _ in range(3):
        with pytest.raises(errors.UnavailableError, match="keys of Entra ID could not be fetched"):
            await asked(tenant.token())
    assert tenant.fetches == 1
    tenant.said = None
    await clock.advance(6)
    assert (await asked(tenant.token())).status_code == 200


async def test_short_keys_count_for_nothing(tenant: Tenant, clock: ManualClock) -> None:
    """A key that can be broken proves nothing."""
    tenant.keys["short"] = entra.new_key(1024)
    with pytest.warns(Warning, match="1024"):
        token = tenant.signed("short", "short")
    assert (await asked(token)).status_code == 401
