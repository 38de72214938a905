"""When is what is due of a job done? When a message on the queue of due jobs says so."""

import azure.functions as func
import pydantic

from blendrop import errors, settings
from blendrop.domain import record
from blendrop.usecases import due
from functions import invocation, world

due_jobs = func.Blueprint()


class _Due(record.Record):
    # Cut short, as errors show it, a secret in it could not be told from other text.
    model_config = pydantic.ConfigDict(hide_input_in_errors=True)

    job: str


@due_jobs.function_name("attend_due_job")
@due_jobs.queue_trigger(
    arg_name="message",
    queue_name=settings.DUE_JOBS_QUEUE,
    connection=settings.STORAGE_CONNECTION,
)
async def attend_due_job(message: func.QueueMessage, context: func.Context) -> None:
    """Plan a job's batches, or tell whom it names that it has ended."""
    with invocation.of(context):
        await due.attend(world.attending(), _job(message.get_body()))


def _job(body: bytes) -> str:
    try:
        return _Due.model_validate_json(body).job
    except pydantic.ValidationError as invalid:
        raise errors.UnreadableMessageError(
            f"message {body[:200]!r} on {settings.DUE_JOBS_QUEUE} names no job: {invalid}"
        ) from invalid
