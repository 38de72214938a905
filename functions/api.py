"""Which HTTP requests are answered? Those of these routers, under one prefix."""

import fastapi

from blendrop import __version__
from functions import access, farm_api, frames_api, gate, invocation, jobs_api, problems

app = fastapi.FastAPI(
    title="Blendrop",
    version=__version__,
    openapi_url="/api/openapi.json",
    docs_url="/docs",
    redoc_url=None,
)


@app.get("/api/health", tags=["farm"])
async def health() -> dict[str, str]:
    """Say that the function app runs."""
    return {"status": "ok", "version": __version__}


# Whoever may see anything may see every job; who may do more is for each endpoint to say.
# The host does not strip its route prefix: host.json sets it to nothing, and it stands here. (Were
# it the prefix of a router around these, FastAPI would build every route now and not when asked.)
for router in (jobs_api.router, frames_api.router, farm_api.router):
    app.include_router(
        router,
        prefix="/api",
        dependencies=[fastapi.Depends(access.reader)],
        responses=problems.documented(401, 403, 429),
    )
problems.install(app)
gate.install(app)
app.add_middleware(invocation.Tracing)  # last, and so around all others
