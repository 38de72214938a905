"""Which HTTP requests are answered, and with what?"""

import fastapi

from blendrop import __version__, errors
from blendrop.usecases import show
from functions import world

app = fastapi.FastAPI(title="Blendrop", version=__version__)
# The host does not strip its route prefix: host.json sets it to nothing, and it stands here.
api = fastapi.APIRouter(prefix="/api")


@api.get("/health")
async def health() -> dict[str, str]:
    """Say that the function app runs."""
    return {"status": "ok", "version": __version__}


@api.get("/jobs/{job_id}")
async def show_job(job_id: str) -> show.JobView:
    """Show one job."""
    return await show.job(world.showing(), job_id)


@app.exception_handler(errors.NotFoundError)
async def _not_found(_: fastapi.Request, missing: Exception) -> fastapi.Response:
    return _problem(404, "Not found", str(missing))


@app.exception_handler(errors.UnavailableError)
async def _unavailable(_: fastapi.Request, away: Exception) -> fastapi.Response:
    return _problem(503, "Unavailable", str(away))


def _problem(status: int, title: str, detail: str) -> fastapi.Response:
    """Answer with problem details (RFC 9457)."""
    return fastapi.responses.JSONResponse(
        {"title": title, "status": status, "detail": detail},
        status_code=status,
        media_type="application/problem+json",
    )


app.include_router(api)
