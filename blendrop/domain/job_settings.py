"""What may a person ask of a job, and what is wrong with what they asked?

The same fields come as metadata of an uploaded blob or in the body of an HTTP call. What is not
given is left to the .blend.
"""

import difflib
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

import pydantic

from blendrop import errors
from blendrop.domain import frames, priorities, record, webhook_addresses

Engine = Literal["CYCLES", "EEVEE", "WORKBENCH"]
ImageFormat = Literal["PNG", "JPEG", "OPEN_EXR", "OPEN_EXR_MULTILAYER"]
Priority = priorities.Priority
Webhook = Annotated[
    str, pydantic.Field(max_length=2000, pattern=r"^https?://[^\s/?#@]+(:\d+)?([/?#]\S*)?$")
]

MaxCost = Annotated[float, pydantic.Field(gt=0, le=1_000_000_000, allow_inf_nan=False)]


class Limits(record.Record):
    """What the farm can take and what it assumes; each is a setting of the farm."""

    frames_per_job: int = 20_000
    frames_per_batch: int = 500  # keeps a batch row under the 64 KiB of a table property
    scene_bytes: int = 20 * 2**30
    name_length: int = 512  # characters in a scene's blob name
    default_batch_size: int = 25  # frames, at the most, where a job gives no size
    most_workers: int = 1  # that the farm has: batches are cut for them
    newest_blender: str  # that the workers have, like 5.0
    webhooks: bool = False  # whether the farm can sign announcements
    own_hosts: frozenset[str] = frozenset()  # that may be told though they are private


class JobSettings(record.Record):
    """What a job asks for; a field that is None is left to the .blend."""

    model_config = pydantic.ConfigDict(extra="forbid")

    frames: str | None = None  # canonical frame range
    scene: str | None = None  # name of a scene in the .blend
    camera: str | None = None  # name of a camera object in that scene
    engine: Engine | None = None
    samples: Annotated[int, pydantic.Field(ge=1, le=65_536)] | None = None
    resolution_percent: Annotated[int, pydantic.Field(ge=1, le=400)] | None = None
    format: ImageFormat | None = None
    batch_size: Annotated[int, pydantic.Field(ge=1)] | None = None  # frames, neither more nor less
    priority: Priority = "normal"
    allow_missing_files: bool = False
    max_cost: MaxCost | None = (
        None  # held when it is projected to cost more, in the farm's currency
    )
    webhook: Webhook | None = None  # is told when the job has ended
    allow_skipped_python: bool = False  # a scene's own Python never runs, also where frames need it
    force: bool = False  # render also what an earlier job of the same scene and settings has


# What a frame's pixels depend on, beside the scene. The rest says which frames, and how they come.
PIXELS = frozenset(
    {"scene", "camera", "engine", "samples", "resolution_percent", "format"}
    | {"allow_missing_files", "allow_skipped_python"}
)


_REMEDIES = {
    "scene": "Give the name of a scene in the .blend",
    "camera": "Give the name of a camera in the .blend",
    "engine": f"Give one of {', '.join(get_args(Engine))}",
    "samples": "Give a whole number from 1 to 65536",
    "resolution_percent": "Give a whole number from 1 to 400",
    "format": f"Give one of {', '.join(get_args(ImageFormat))}",
    "batch_size": "Give a whole number of frames, 1 or more",
    "priority": f"Give one of {', '.join(get_args(Priority))}",
    "allow_missing_files": "Give true or false",
    "max_cost": "Give an amount of money in the farm's currency, like 12.50",
    "webhook": "Give an https address without user name, like https://studio.example/rendered",
    "allow_skipped_python": "Give true or false",
    "force": "Give true or false",
}
_UPPER_CASE = {"engine", "format"}
_TEXT = {"scene", "camera"}
# Close enough to one of ours to be a slip of the pen, not some tool's own metadata.
_SLIP = 0.8


def from_metadata(metadata: Mapping[str, str], limits: Limits) -> JobSettings:
    """Read the settings that came with an upload as blob metadata.

    Keys may be in any case and use `-` for `_`. Metadata holds ASCII only, so the names of scenes
    and cameras may be percent-encoded (`K%C3%BCche`). Keys that belong to other tools are left
    alone; one that is nearly one of ours is refused, since it was meant for us.

    Raises:
        InvalidRequestError: with every problem there is.
    """
    problems: list[errors.Problem] = []
    given: dict[str, str] = {}
    for key, value in metadata.items():
        name = key.strip().lower().replace("-", "_")
        if name in JobSettings.model_fields:
            given[name] = _plain(name, value)
        elif slip := difflib.get_close_matches(name, JobSettings.model_fields, 1, _SLIP):
            problems.append(
                errors.Problem(
                    pointer=key,
                    value=value,
                    reason="there is no such setting",
                    remedy=f"Did you mean {slip[0]}?",
                )
            )
    try:
        settings = validated(given, limits)
    except errors.InvalidRequestError as invalid:
        problems.extend(invalid.problems)
    if problems:
        raise errors.InvalidRequestError(*problems)
    return settings


def _plain(name: str, value: str) -> str:
    if name in _TEXT:
        return urllib.parse.unquote(value).strip()
    return value.strip().upper() if name in _UPPER_CASE else value.strip()


def validated(given: Mapping[str, object], limits: Limits) -> JobSettings:
    """Return the settings, with frames in canonical form.

    Raises:
        InvalidRequestError: with every problem there is.
    """
    problems: list[errors.Problem] = []
    checked = dict(given)
    if isinstance(text := checked.get("frames"), str):
        try:
            checked["frames"] = frames.canonical(frames.parse(text, at_most=limits.frames_per_job))
        except errors.InvalidRequestError as invalid:
            problems.extend(invalid.problems)
            del checked["frames"]
    try:
        settings = JobSettings.model_validate(checked)
    except pydantic.ValidationError as invalid:
        problems.extend(
            _problem(error["loc"], error["input"], error["msg"])
            for error in invalid.errors(include_url=False)
        )
    else:
        if settings.batch_size is not None and settings.batch_size > limits.frames_per_batch:
            problems.append(
                errors.Problem(
                    pointer="batch_size",
                    value=str(settings.batch_size),
                    reason=f"a batch holds at most {limits.frames_per_batch} frames here",
                    remedy="Give a smaller number, or leave it out",
                )
            )
        if settings.webhook and (refused := _refusal(settings.webhook, limits)):
            problems.append(refused)
        if not problems:
            return settings
    raise errors.InvalidRequestError(*problems)


def _refusal(webhook: str, limits: Limits) -> errors.Problem | None:
    reason, remedy = webhook_addresses.refusal(webhook, own_hosts=limits.own_hosts), ""
    if not limits.webhooks:
        reason = "this farm announces nothing, since it has no secret to sign with"
        remedy = "Leave it out, or ask the farm's engineer to set BLENDROP_WEBHOOK_SECRET"
    if not reason:
        return None
    remedy = remedy or _REMEDIES["webhook"]
    return errors.Problem(pointer="webhook", value=webhook[:80], reason=reason, remedy=remedy)


def _problem(location: tuple[int | str, ...], value: object, message: str) -> errors.Problem:
    name = str(location[0]) if location else "settings"
    reason = message[:1].lower() + message[1:]
    return errors.Problem(
        pointer=name,
        value=str(value)[:80],
        reason=reason,
        remedy=_REMEDIES.get(name, "See the documentation of the job settings"),
    )
