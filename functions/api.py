"""Which HTTP requests are answered? Those of these routers, under one prefix."""

import fastapi

from blendrop import __version__
from functions import farm_api, frames_api, jobs_api, problems

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


api.include_router(jobs_api.router)
api.include_router(frames_api.router)
api.include_router(farm_api.router)
app.include_router(api)
problems.install(app)
