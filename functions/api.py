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
# The host does not strip its route prefix: host.json sets it to nothing, and it stands here.
api = fastapi.APIRouter(prefix="/api")


@api.get("/health", tags=["farm"])
async def health() -> dict[str, str]:
    """Say that the function app runs."""
    return {"status": "ok", "version": __version__}


# Whoever may see anything may see every job; who may do more is for each endpoint to say.
for router in (jobs_api.router, frames_api.router, farm_api.router):
    api.include_router(
        router,
        dependencies=[fastapi.Depends(access.reader)],
        responses=problems.documented(401, 403, 429),
    )
app.include_router(api)
problems.install(app)
gate.install(app)
app.add_middleware(invocation.Tracing)  # last, and so around all others
