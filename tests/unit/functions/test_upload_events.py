"""Which scene does a message of Event Grid tell of?"""

import base64
import json
import urllib.parse

import pytest

from blendrop import errors
from functions.upload_events import scene_name


def event(name: str, **changes: object) -> dict[str, object]:
    """Return the event of an uploaded blob, as Event Grid delivers it."""
    url = f"https://farm.blob.core.windows.net/scenes/{urllib.parse.quote(name)}"
    return {
        "specversion": "1.0",
        "type": "Microsoft.Storage.BlobCreated",
        "source": "/subscriptions/0/resourceGroups/farm",
        "subject": f"/blobServices/default/containers/scenes/blobs/{name}",
        "data": {"api": "PutBlob", "url": url},
        **changes,
    }


@pytest.mark.parametrize(
    "name",
    ["shot.blend", "a b/Küche 100% #1 +?.blend", "scenes/scenes/x.blend", "日本/../up.blend"],
)
@pytest.mark.parametrize("encode", [bytes, base64.b64encode], ids=["plain", "base64"])
def test_the_scene_is_named_under_both_encodings(name: str, encode: type[bytes]) -> None:
    """Both have been seen in the wild."""
    assert scene_name(encode(json.dumps(event(name)).encode())) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "Microsoft.Storage.BlobDeleted"},
        {"subject": "/blobServices/default/containers/other/blobs/shot.blend"},
    ],
)
def test_events_of_other_things_are_left_alone(changes: dict[str, object]) -> None:
    """A subscription may deliver more than was asked for."""
    assert scene_name(json.dumps(event("shot.blend", **changes)).encode()) is None


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"{}", b"null", b"\xff\xfe", b'{"type": 1}', b"aGVsbG8="]
)
def test_what_is_no_event_says_what_to_do(body: bytes) -> None:
    """The host parks it after its tries."""
    with pytest.raises(errors.UnreadableMessageError, match="CloudEventSchemaV1_0"):
        scene_name(body)
