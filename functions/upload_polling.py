"""The door for uploads on a host that polls the container: a laptop, a dedicated plan."""

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from blendrop import settings
from blendrop.usecases import submit
from functions import invocation, world

door = func.Blueprint()


# The binding hands over a client for the blob, never its content: a scene of many GB must not
# travel through the function's memory.
@door.function_name("scene_uploaded")
@door.blob_trigger(
    arg_name="uploaded",
    path=f"{settings.SCENES_CONTAINER}/{{name}}",
    connection=settings.STORAGE_CONNECTION,
)
async def scene_uploaded(uploaded: blob.BlobClient, context: func.Context) -> None:
    """Make the job of an uploaded scene."""
    with invocation.of(context):
        await submit.uploaded(world.submission(), uploaded.blob_name)
