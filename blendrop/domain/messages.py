"""What does a message on the queue of batches say?

`{"v":1,"job":"shot-3f9a2c","batch":7,"frames":"41-48","traceparent":"00-…"}`

Settings live in the job's row, so that a message stays small and a changed job is seen. `frames`
is for people who look at the queue; the batch row is what counts.
"""

from typing import Literal

import pydantic

from blendrop import errors
from blendrop.domain import batches, record

# The most that a storage queue takes (Azure Storage: "a message can be up to 64 KiB in size").
LARGEST = 64 * 1024


class BatchMessage(record.Record):
    """One batch of one job, to be rendered."""

    # Fields of later versions are ignored as long as they keep `v`: an addition breaks no worker.
    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    v: Literal[1] = 1
    job: str
    batch: int
    frames: str
    traceparent: str = ""


def of_batch(batch: batches.Batch, *, traceparent: str) -> BatchMessage:
    """Return the message that carries a batch."""
    return BatchMessage(
        job=batch.job, batch=batch.number, frames=batch.frames, traceparent=traceparent
    )


def encode(message: BatchMessage) -> str:
    """Return the message's text.

    Raises:
        InvalidRequestError: it would be larger than a queue takes.
    """
    text = message.model_dump_json()
    if len(text.encode()) > LARGEST:
        raise errors.InvalidRequestError(
            errors.Problem(
                pointer="batch_size",
                value=f"batch {message.batch} of job {message.job}",
                reason=f"its frames take more than the {LARGEST} bytes of a queue message to name",
                remedy="Give a smaller batch_size",
            )
        )
    return text


def decode(text: str) -> BatchMessage:
    """Read a message's text.

    Raises:
        UnreadableMessageError: it is no message of a version that this release knows.
    """
    try:
        return BatchMessage.model_validate_json(text)
    except pydantic.ValidationError as invalid:
        details = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'message'}: {error['msg']}"
            for error in invalid.errors(include_url=False)
        )
        raise errors.UnreadableMessageError(
            f"message {text[:200]!r} cannot be read by this release: {details}"
        ) from invalid
