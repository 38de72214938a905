"""When is somebody told that a job has ended? When a message on the queue of announcements says."""

import azure.functions as func
import pydantic

from blendrop import errors, settings
from blendrop.usecases import announce
from functions import world

announcements = func.Blueprint()


class _Due(pydantic.BaseModel):
    job: str


@announcements.function_name("announce")
@announcements.queue_trigger(
    arg_name="message",
    queue_name=settings.ANNOUNCEMENTS_QUEUE,
    connection=settings.STORAGE_CONNECTION,
)
async def announce_job(message: func.QueueMessage) -> None:
    """Tell whom a job names that it has ended."""
    body = message.get_body()
    try:
        due = _Due.model_validate_json(body)
    except pydantic.ValidationError as invalid:
        raise errors.UnreadableMessageError(
            f"message {body[:200]!r} on {settings.ANNOUNCEMENTS_QUEUE} names no job: {invalid}"
        ) from invalid
    await announce.attempt(world.announcing(), due.job)
