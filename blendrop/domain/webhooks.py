"""What is told of a job that has ended, how often is it tried, and how is it signed?

The form is that of the Standard Webhooks specification: three headers (`webhook-id`,
`webhook-timestamp`, `webhook-signature`) over a JSON body with `type`, `timestamp` and `data`.
"""

import base64
import datetime
import hashlib
import hmac
import json
from dataclasses import dataclass

from blendrop.domain import jobs

ATTEMPTS = 6
_FIRST_DELAY = datetime.timedelta(seconds=10)  # four times as long before each later attempt
_SECRET_PREFIX = "whsec_"  # noqa: S105 what the specification puts before a secret in base64


@dataclass(frozen=True)
class Announcement:
    """What is sent, the same on every attempt but for the time."""

    headers: dict[str, str]
    body: bytes


def delay(attempts: int) -> datetime.timedelta:
    """Return how long to wait after so many attempts that failed."""
    return _FIRST_DELAY * int(4 ** (attempts - 1))


def announcement(job: jobs.Job, *, secret: str, now: datetime.datetime) -> Announcement:
    """Return what to send of a job that has ended, signed."""
    told = {
        "type": f"job.{job.state}",
        "timestamp": job.changed.isoformat(),
        "data": job.model_dump(
            mode="json",
            include={
                "id",
                "state",
                "reason",
                "scene",
                "frames",
                "frame_count",
                "frame_pattern",
                "created",
                "started",
                "changed",
                "owner",
            },
        ),
    }
    body = json.dumps(told, ensure_ascii=False).encode()
    identity = hashlib.sha256(f"{job.id}\n{job.changed.isoformat()}".encode()).hexdigest()[:24]
    seconds = str(int(now.timestamp()))
    signed = b".".join((identity.encode(), seconds.encode(), body))
    signature = hmac.new(key(secret), signed, hashlib.sha256).digest()
    return Announcement(
        headers={
            "content-type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": seconds,
            "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        },
        body=body,
    )


def key(secret: str) -> bytes:
    """Return what is signed with: the text as it is, or the bytes whose base64 follows `whsec_`.

    Raises:
        ValueError: what follows `whsec_` is no base64; without the secret in its text.
    """
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        found = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        found = b""
    if not found:
        raise ValueError(
            f"what follows {_SECRET_PREFIX} is not base64, so that nobody could check a signature "
            f"made with it; give {_SECRET_PREFIX} and base64, or a text without {_SECRET_PREFIX}"
        )
    return found
