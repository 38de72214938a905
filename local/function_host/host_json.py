"""What does host.json ask of a host?

Names and defaults are those of Microsoft Learn, "host.json reference for Azure Functions 2.x" and
the pages on the blob and queue triggers. What this host has no use for is left alone.
"""

import datetime
import re
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import alias_generators

from blendrop import errors


def _time_span(text: object) -> object:
    """Read .NET's `[d.]hh:mm:ss`; anything else is left to pydantic to refuse."""
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})", str(text))
    if match is None:
        return text
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return datetime.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


TimeSpan = Annotated[datetime.timedelta, pydantic.BeforeValidator(_time_span)]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, alias_generator=alias_generators.to_camel)


class Queues(_Section):
    """How queue triggers take messages."""

    batch_size: int = pydantic.Field(16, ge=1, le=32)
    new_batch_threshold: int = pydantic.Field(8, ge=0)
    max_polling_interval: TimeSpan = datetime.timedelta(minutes=1)
    max_dequeue_count: int = pydantic.Field(5, ge=1)
    visibility_timeout: TimeSpan = datetime.timedelta(0)  # after a failure
    message_encoding: Literal["base64", "none"] = "base64"


class Blobs(_Section):
    """How blob triggers take blobs."""

    max_degree_of_parallelism: int = pydantic.Field(8, ge=1)
    poison_blob_threshold: int = pydantic.Field(5, ge=1)  # attempts


class Http(_Section):
    """Where HTTP triggers are found."""

    route_prefix: str = "api"


class Extensions(_Section):
    """The part of host.json that speaks of triggers."""

    queues: Queues = Queues()
    blobs: Blobs = Blobs()
    http: Http = Http()


class _HostJson(_Section):
    extensions: Extensions = Extensions()


def read(path: Path) -> Extensions:
    """Read a host.json.

    Raises:
        InvalidRequestError: there is none, or a setting in it is wrong.
    """
    try:
        return _HostJson.model_validate_json(path.read_bytes()).extensions
    except (OSError, pydantic.ValidationError) as wrong:
        raise errors.InvalidRequestError(
            errors.Problem(
                pointer="host.json",
                value=str(path.resolve()),
                reason=str(wrong),
                remedy="Start the host in the folder of the function app, and mend its host.json",
            )
        ) from wrong
