"""Which functions does the app hold?"""

import azure.functions as func

from blendrop import telemetry
from functions import api, due_jobs, sweeper, world

telemetry.configure_hosted(world.settings().log_format, world.redactor())

# Everything HTTP is FastAPI's. Where callers prove who they are by a function key, the host asks
# for it before a request gets that far; every other proof functions/access.py looks at.
app = func.AsgiFunctionApp(
    app=api.app,
    http_auth_level=func.AuthLevel.FUNCTION
    if world.settings().auth == "function-key"
    else func.AuthLevel.ANONYMOUS,
)

# One door for uploads: where the host polls the container itself, or where Event Grid puts its
# events on a queue. Both at once would only do the work twice, and the first loads the SDK of
# blobs, which would make a cold start in Azure half as long again.
if world.settings().uploads_door == "poll":
    from functions import upload_polling

    app.register_functions(upload_polling.door)
else:
    from functions import upload_events

    app.register_functions(upload_events.door)
app.register_functions(due_jobs.due_jobs)
app.register_functions(sweeper.sweeper)
