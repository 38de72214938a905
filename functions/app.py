"""Which functions does the app hold?"""

import azure.functions as func

from blendrop import telemetry
from functions import api, due_jobs, sweeper, upload_events, upload_polling, world

telemetry.configure_hosted(world.settings().log_format)

# Everything HTTP is FastAPI's. Where callers prove who they are by a function key, the host asks
# for it before a request gets that far; every other proof functions/access.py looks at.
app = func.AsgiFunctionApp(
    app=api.app,
    http_auth_level=func.AuthLevel.FUNCTION
    if world.settings().auth == "function-key"
    else func.AuthLevel.ANONYMOUS,
)

# One door for uploads: where the host polls the container itself, or where Event Grid puts its
# events on a queue. Both at once would only do the work twice.
if world.settings().uploads_door == "poll":
    app.register_functions(upload_polling.door)
else:
    app.register_functions(upload_events.door)
app.register_functions(due_jobs.due_jobs)
app.register_functions(sweeper.sweeper)
