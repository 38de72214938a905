"""Messages: what every release wrote can be read, and what nobody wrote is told apart."""

from pathlib import Path

import pytest

from blendrop import errors
from blendrop.domain import messages

RELEASED = sorted((Path(__file__).parents[3] / "messages").glob("v*.json"))
MESSAGE = messages.BatchMessage(job="shot-1", batch=7, frames="41-48", traceparent="00-a-b-01")


def test_a_message_survives_the_queue() -> None:
    """What is encoded is what is decoded."""
    assert messages.decode(messages.encode(MESSAGE)) == MESSAGE


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_messages_of_every_release_are_read(path: Path) -> None:
    """A queue may hold messages of an older release while workers are updated."""
    message = messages.decode(path.read_text())

    assert (message.job, message.batch, message.frames) == ("shot-010-3f9a2c1b7d00", 7, "41-48")


def test_a_field_that_a_later_release_adds_breaks_nothing() -> None:
    """An addition within the version is ignored."""
    assert messages.decode('{"v":1,"job":"a","batch":0,"frames":"1","more":true}').job == "a"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("hello", "Invalid JSON", id="text"),
        pytest.param("{}", "job: Field required", id="empty object"),
        pytest.param('{"v":2,"job":"a","batch":0,"frames":"1"}', "v: Input", id="later version"),
        pytest.param('{"v":1,"job":"a","batch":"x","frames":"1"}', "batch: Input", id="bad number"),
        pytest.param("[]", "message: Input", id="array"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, reason: str) -> None:
    """The person who looks at the poison queue learns what is wrong with it."""
    with pytest.raises(errors.UnreadableMessageError) as unreadable:
        messages.decode(text)

    assert reason in str(unreadable.value)


def test_a_message_too_large_for_the_queue_is_refused() -> None:
    """64 KiB is what a queue takes."""
    with pytest.raises(errors.InvalidRequestError, match="smaller batch_size"):
        messages.encode(MESSAGE.model_copy(update={"frames": "1," * 40_000}))
