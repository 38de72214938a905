"""Who is let in, and to what, where keys or nothing prove it?"""

import pytest

from blendrop import errors
from functions import access, api
from functions.access import Caller
from tests.doubles import guarded_app

EVERYTHING = frozenset({access.READ, access.SUBMIT, access.ADMINISTER})


async def test_a_function_key_makes_a_caller_whose_name_hides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same by header and by query; another key is somebody else."""
    guarded_app.given(monkeypatch)
    key = "c2VjcmV0LWtleS1vZi10aGUtc3R1ZGlv"
    async with guarded_app.client() as http:
        by_header = await http.get("/api/jobs/1", headers={"x-functions-key": key})
        by_query = await http.get("/api/jobs/1", params={"code": key})
        both = await http.get(
            "/api/jobs/1", headers={"x-functions-key": key}, params={"code": "made-up"}
        )
        other = await http.get("/api/jobs/1", headers={"x-functions-key": key + "x"})
        steers = await http.post("/api/administer", headers={"x-functions-key": key})

    assert by_header.json() == by_query.json() == both.json() == steers.json()
    assert by_header.json() != other.json()
    assert by_header.json().startswith("key-")
    assert key[:8] not in by_header.text


async def test_a_client_cannot_give_itself_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the host has not looked at: it checks the first of several keys."""
    guarded_app.given(monkeypatch)
    async with guarded_app.client() as http:
        answers = [
            await http.get("/api/jobs/1", headers={"x-functions-key": "good"}),
            await http.get("/api/jobs/1", headers={"x-functions-key": "good,junk"}),
            await http.get(
                "/api/jobs/1", headers=[("x-functions-key", "good"), ("x-functions-key", "junk")]
            ),
            await http.get("/api/jobs/1?code=good&code=junk"),
            await http.get("/api/jobs/1?CODE=good&code=junk"),
            await http.get("/api/jobs/1?code=junk", headers={"x-functions-key": "good"}),
        ]

    assert len({answer.json() for answer in answers}) == 1


async def test_without_a_key_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whyever the host let the request pass; health is open all the same."""
    guarded_app.given(monkeypatch)
    async with guarded_app.client() as http:
        refused = await http.get("/api/jobs/1")
        healthy = await http.get("/api/health")

    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["www-authenticate"] == 'FunctionKey realm="blendrop"'
    assert refused.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "a function key is needed, in the header x-functions-key",
    }
    assert healthy.status_code == 200


async def test_on_a_laptop_everybody_may_do_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one name for all."""
    guarded_app.given(monkeypatch, auth="anonymous")
    async with guarded_app.client() as http:
        answers = [
            await http.get("/api/jobs/1"),
            await http.post("/api/jobs"),
            await http.post("/api/administer"),
        ]

    assert [answer.json() for answer in answers] == ["anonymous"] * 3


@pytest.mark.parametrize(
    ("caller", "owner", "may"),
    [
        pytest.param(Caller("ann <1>", frozenset({"read", "submit"})), "ann <1>", True, id="own"),
        pytest.param(Caller("ann <1>", frozenset({"read", "submit"})), "a.b <1>", True, id="wed"),
        pytest.param(Caller("ann <1>", frozenset({"read", "submit"})), "ann <2>", False, id="twin"),
        pytest.param(Caller("ann <1>", frozenset({"read"})), "ann <1>", False, id="reader"),
        pytest.param(Caller("ann <1>", EVERYTHING), "bob <2>", True, id="administrator"),
        pytest.param(Caller("ann <1>", EVERYTHING), "", True, id="administrator-of-an-upload"),
        pytest.param(Caller("", frozenset({"read", "submit"})), "", False, id="nobody"),
        pytest.param(Caller("ann", frozenset({"read", "submit"})), "", False, id="of-an-upload"),
        pytest.param(Caller("key-1", frozenset({"submit"})), "key-1", True, id="key"),
        pytest.param(Caller("key-1", frozenset({"submit"})), "key-12", False, id="other-key"),
    ],
)
def test_who_may_steer_a_job(caller: Caller, owner: str, may: bool) -> None:
    """Its owner, told by what never changes, and administrators."""
    assert access.may_steer(caller, owner) is may


def test_who_may_not_steer_a_job_is_told_whose_it_is() -> None:
    """A job that does not exist is no secret: what happens to it then is not for access to say."""
    ann = Caller("ann <1>", frozenset({"read", "submit"}))
    access.check_steering(ann, "ann <1>")
    access.check_steering(ann, None)
    for owner, said in (("bob <2>", "bob <2> submitted it"), ("", "an upload submitted it")):
        with pytest.raises(errors.ForbiddenError, match=said):
            access.check_steering(ann, owner)


async def test_every_endpoint_but_health_asks_who_calls() -> None:
    """Of the real app: none is forgotten, and the document says so."""
    operations = {
        f"{method} {path}": operation
        for path, methods in api.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    open_to_all = {name for name, one in operations.items() if "security" not in one}

    assert len(operations) > 10
    assert open_to_all == {"get /api/health"}
    for name in operations.keys() - open_to_all:
        assert {"401", "403", "429"} <= operations[name]["responses"].keys(), name


async def test_the_openapi_document_says_how_to_prove_who_one_is() -> None:
    """By either of two ways."""
    document = guarded_app.app().openapi()

    assert set(document["components"]["securitySchemes"]) == {"functionKey", "entra"}
    assert document["paths"]["/api/jobs"]["post"]["security"] == [
        {"functionKey": []},
        {"entra": []},
    ]
    assert "security" not in document["paths"]["/api/health"]["get"]
