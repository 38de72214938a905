"""The door for uploads on Flex Consumption: Event Grid's events, by way of a queue."""

import base64
import binascii
import json
import urllib.parse

import azure.functions as func
import pydantic

from blendrop import errors, settings
from blendrop.domain import record
from blendrop.usecases import submit
from functions import invocation, world

door = func.Blueprint()

_CREATED = "Microsoft.Storage.BlobCreated"
_SUBJECT = f"/blobServices/default/containers/{settings.SCENES_CONTAINER}/blobs/"


class _Data(record.Record):
    url: str


class _CloudEvent(record.Record):
    """The fields we need of a CloudEvents 1.0 event.

    Source: Microsoft Learn, "Azure Blob Storage as an Event Grid source".
    """

    # Cut short, as errors show it, a secret in it could not be told from other text.
    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    type: str
    subject: str
    data: _Data


@door.function_name("scene_upload_event")
@door.queue_trigger(
    arg_name="message",
    queue_name=settings.UPLOADS_QUEUE,
    connection=settings.STORAGE_CONNECTION,
)
async def scene_upload_event(message: func.QueueMessage, context: func.Context) -> None:
    """Make the job of the scene that an event tells of."""
    with invocation.of(context):
        name = scene_name(message.get_body())
        if name is not None:
            await submit.uploaded(world.submission(), name)


def scene_name(body: bytes) -> str | None:
    """Return the blob name that an event tells of; None if it is not about an uploaded scene.

    The body has been seen both as plain JSON and as base64 of it.

    Raises:
        UnreadableMessageError: it is neither; the host parks it after five tries.
    """
    try:
        event = _CloudEvent.model_validate(json.loads(_plain(body)))
    except (ValueError, pydantic.ValidationError) as invalid:
        raise errors.UnreadableMessageError(
            f"message {body[:200]!r} on {settings.UPLOADS_QUEUE} is no CloudEvents 1.0 event: "
            f"{invalid}. Let the Event Grid subscription deliver CloudEventSchemaV1_0"
        ) from invalid
    if event.type != _CREATED or not event.subject.startswith(_SUBJECT):
        return None
    # The subject holds the name as it is, the URL percent-encoded; where they differ the URL wins,
    # since an encoding can be undone in one way only.
    path = urllib.parse.urlsplit(event.data.url).path
    _, found, encoded = path.partition(f"/{settings.SCENES_CONTAINER}/")
    return urllib.parse.unquote(encoded) if found else event.subject.removeprefix(_SUBJECT)


def _plain(body: bytes) -> bytes:
    if body.lstrip().startswith(b"{"):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return body
