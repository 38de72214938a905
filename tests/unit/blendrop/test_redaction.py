"""No secret passes, and what is none does."""

import time

import pytest

from blendrop import redaction

PLANTED = "cGxhbnRlZCBzZWNyZXQgb2YgYSB0ZXN0Cg=="


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param(
            f"GET https://farm.blob.core.windows.net/scenes/a.blend?sv=2025&sig={PLANTED}&se=1 403",
            "GET https://farm.blob.core.windows.net/scenes/a.blend?sv=2025&sig=[redacted]&se=1 403",
            id="a SAS address",
        ),
        pytest.param(
            f"?url=https%3A%2F%2Ffarm%2F%3Fsig%3D{PLANTED}",
            "?url=https%3A%2F%2Ffarm%2F%3Fsig%3D[redacted]",
            id="an address in an address",
        ),
        pytest.param(
            f"AccountName=farm;AccountKey={PLANTED};EndpointSuffix=core.windows.net",
            "AccountName=farm;AccountKey=[redacted];EndpointSuffix=core.windows.net",
            id="a connection string",
        ),
        pytest.param(
            f"SharedAccessSignature=sv=2025&sig={PLANTED}; more",
            "SharedAccessSignature=[redacted]; more",
            id="a connection string with a SAS",
        ),
        pytest.param(
            f"Authorization: Bearer {PLANTED}", "Authorization: Bearer [redacted]", id="a header"
        ),
        pytest.param(
            f"{{'Authorization': 'SharedKey farm:{PLANTED}', 'x': 'y'}}",
            "{'Authorization': 'SharedKey [redacted]', 'x': 'y'}",
            id="Python's headers",
        ),
        pytest.param(
            f'{{"authorization":"Basic {PLANTED}","x":"y"}}',
            '{"authorization":"Basic [redacted]","x":"y"}',
            id="JSON's headers",
        ),
        pytest.param(
            f"(b'x-functions-key', b'{PLANTED}')",
            "(b'x-functions-key', b'[redacted]')",
            id="ASGI's headers",
        ),
        pytest.param(f"asked with bearer {PLANTED}", "asked with bearer [redacted]", id="a token"),
        pytest.param("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2lnbmVk", "[redacted]", id="a web token"),
        pytest.param(f"signed by whsec_{PLANTED}.", "signed by whsec_[redacted].", id="a webhook"),
        pytest.param(
            f"amqp://guest:{PLANTED}@queue/1", "amqp://guest:[redacted]@queue/1", id="a password"
        ),
        pytest.param(
            f"POST /api/jobs?code={PLANTED}", "POST /api/jobs?code=[redacted]", id="a function key"
        ),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, left: str) -> None:
    """And nothing beside it, so that the line still says what happened."""
    assert redaction.Redactor().text(text) == left
    assert redaction.Redactor().text(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "its batches wait for a worker: basic settings, bearer of news",
        "exit code 137; the storage answered 403 AuthorizationFailure",
        "job design-0123456789ab: sign=1, signature unknown, https://127.0.0.1:7071/api/jobs?a=b",
        "frames 1-10,12: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A line that is blotted out helps nobody at night."""
    assert redaction.Redactor().text(text) == text


def test_a_known_secret_is_found_wherever_it_stands() -> None:
    """Though nothing about it looks like one; too short ones would blot out words."""
    redactor = redaction.Redactor(["correct horse", "key"])

    assert redactor.text("say correct horse, key") == "say [redacted], key"


def test_fields_are_looked_through_to_the_bottom() -> None:
    """Mappings, lists, bytes and whatever else shows itself by its own words."""
    redactor = redaction.Redactor()

    class Shown:
        def __repr__(self) -> str:
            return f"<client sig={PLANTED}>"

    given = {
        "event": "tried",
        "headers": {"Authorization": PLANTED, "n": 1},
        "several": (f"sig={PLANTED}", b"sig=" + PLANTED.encode()),
        "client": Shown(),
        "webhook_secret": "anything",
        "nothing": None,
    }

    redacted = redactor.fields(given)

    assert redacted == {
        "event": "tried",
        "headers": {"Authorization": "[redacted]", "n": 1},
        "several": ["sig=[redacted]", "b'sig=[redacted]'"],
        "client": "<client sig=[redacted]>",
        "webhook_secret": "[redacted]",
        "nothing": None,
    }


def test_a_connection_string_gives_its_secrets() -> None:
    """Its key and its signature, whole."""
    given = f"AccountName=farm;AccountKey={PLANTED};SharedAccessSignature=sv=1&sig=a;Blob=http://b"

    assert redaction.of_connection(given) == {PLANTED, "sv=1&sig=a"}


@pytest.mark.parametrize(
    "piece", ["eyJ-", "eyJa.", "sig=", "://a:", "Bearer ", "Authorization: ", "AccountKey", " "]
)
def test_a_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    """Texts come from uploaded scenes, too."""
    redactor = redaction.Redactor()

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.process_time()
        redactor.text(text)
        return time.process_time() - began

    seconds(1_000)
    assert seconds(400_000) < max(seconds(20_000), 0.001) * 20 * 8  # were it squared: 400 times
