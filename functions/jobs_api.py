"""How are jobs submitted, seen and steered over HTTP?"""

import secrets
from typing import Annotated, Any

import fastapi
import pydantic

from blendrop import errors
from blendrop.domain import batches, costs, events, job_settings, jobs, priorities, record
from blendrop.usecases import control, show, submit
from functions import access, back_pressure, conditional, problems, world

router = fastapi.APIRouter(tags=["jobs"])

_POLL_SECONDS = 2  # after which a client that waits may look again
_PAGE = 50
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has it already"}}
_SEEN = NOT_MODIFIED | problems.documented(404, 422, 503)
_STEERED = problems.documented(404, 409, 422, 503)


def _known(
    job_id: Annotated[str, fastapi.Path(max_length=100, examples=["opening-9f86d081884c"])],
) -> str:
    if not jobs.ID.fullmatch(job_id):
        raise errors.NotFoundError(f"{job_id!r} is no job's id")
    return job_id


JobId = Annotated[str, fastapi.Depends(_known)]
_Submitter = Annotated[access.Caller, fastapi.Depends(access.submitter)]


async def _submitting(caller: _Submitter) -> str:
    """Return the name of whoever may submit."""
    return caller.name


async def _steering(caller: _Submitter, job_id: JobId) -> str:
    """Return the name of whoever may steer this job. Raises ForbiddenError."""
    access.check_steering(caller, await show.owner_of(world.showing(), job_id))
    return caller.name


Caller = Annotated[str, fastapi.Depends(_submitting)]
Steerer = Annotated[str, fastapi.Depends(_steering)]


class JobRequest(pydantic.BaseModel):
    """What to render of which scene; what is not given, the .blend says."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "scene": "api/9f86d081884c7d65/opening.blend",
                    "settings": {"frames": "1-250", "samples": 128, "priority": "high"},
                }
            ]
        },
    )

    scene: Annotated[str, pydantic.Field(min_length=1, max_length=1024)]
    # Checked by hand, together with the scene, so that the answer names every problem at once.
    settings: Annotated[
        dict[str, Any], pydantic.WithJsonSchema(job_settings.JobSettings.model_json_schema())
    ] = {}


class DryRun(record.Record):
    """What a request would render."""

    scene: jobs.SceneRef
    settings: job_settings.JobSettings
    blender_version: str
    frames: str
    frame_count: int
    batch_size: int
    batch_count: int
    cost: costs.CostBand | None  # nothing where the farm does not know its price


class UploadRequest(pydantic.BaseModel):
    """Which file is to be uploaded."""

    model_config = pydantic.ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "opening.blend"}]}
    )

    name: Annotated[str, pydantic.Field(min_length=1, max_length=1024)]
    # The same caller, key and name give the same scene again, so that an upload can go on.
    key: Annotated[str, pydantic.Field(max_length=255)] = ""


class Upload(record.Record):
    """Where to put a file: block by block (Put Block, Put Block List), or at once (Put Blob)."""

    scene: str  # what POST /api/jobs then names
    url: str  # signed: whoever has it may write this one blob
    expires: pydantic.AwareDatetime
    block_size: int  # bytes; a good size for the blocks


class PriorityRequest(pydantic.BaseModel):
    """How soon a job is to be served."""

    model_config = pydantic.ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"priority": "high"}]}
    )

    priority: priorities.Priority


class ResumeRequest(pydantic.BaseModel):
    """With what a job goes on."""

    model_config = pydantic.ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"max_cost": 25.0}]}
    )

    max_cost: job_settings.MaxCost | None = None  # in place of the job's own, if given


class Batches(record.Record):
    """A job's batches."""

    batches: tuple[batches.Batch, ...]


class Events(record.Record):
    """What happened to a job, oldest first."""

    events: tuple[events.JobEvent, ...]


@router.post(
    "/uploads", status_code=201, responses=problems.documented(400, 422, 503), response_model=Upload
)
async def begin_upload(body: UploadRequest, caller: Caller) -> Upload:
    """Say where a scene can be put to, straight to the blob service, whatever its size."""
    scene, url, expires = await submit.upload_address(
        world.submission(), body.name, caller=caller, key=body.key or secrets.token_hex(16)
    )
    return Upload(scene=scene, url=url, expires=expires, block_size=8 * 2**20)


@router.post(
    "/jobs",
    status_code=202,
    response_model=show.JobView,
    responses={
        200: {"model": DryRun, "description": "With dry_run: what would be rendered"},
        **problems.documented(400, 409, 422, 503),
    },
)
async def submit_job(
    response: fastapi.Response,
    body: JobRequest,
    caller: Caller,
    idempotency_key: Annotated[
        str, fastapi.Header(max_length=255, description="Repeated, it makes no second job")
    ] = "",
    *,
    dry_run: Annotated[bool, fastapi.Query(description="Only say what would be rendered")] = False,
) -> Any:  # noqa: ANN401 one of the two documented models
    """Make a job of a scene that was uploaded."""
    wanted = submit.Request(
        scene=body.scene,
        settings=body.settings,
        caller=caller,
        key=idempotency_key or secrets.token_hex(16),
    )
    if dry_run:
        return fastapi.responses.JSONResponse(
            _dry(await submit.preflight(world.submission(), wanted))
        )
    await back_pressure.room()
    job = await submit.requested(world.submission(), wanted)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    response.headers["Retry-After"] = str(_POLL_SECONDS)
    if job.started is None and not job.ended:
        return show.new(job)
    return await show.job(world.showing(), job.id)


def _dry(plan: submit.Plan) -> dict[str, Any]:
    dry = DryRun(
        scene=plan.scene,
        settings=plan.settings,
        blender_version=plan.blender_version,
        frames=plan.canonical_frames,
        frame_count=len(plan.frames),
        batch_size=plan.batch_size,
        batch_count=plan.batch_count,
        cost=costs.band(world.showing().prices, frame_count=len(plan.frames)),
    )
    return dry.model_dump(mode="json")


@router.get("/jobs", response_model=show.JobPage, responses=problems.documented(422, 503))
async def list_jobs(
    request: fastapi.Request,
    state: Annotated[jobs.JobState | None, fastapi.Query()] = None,
    limit: Annotated[int, fastapi.Query(ge=1, le=200)] = _PAGE,
    token: Annotated[str, fastapi.Query(max_length=200, pattern=r"^[0-9a-z-]*$")] = "",
) -> fastapi.Response:
    """List jobs, newest first."""
    page = await show.listed(world.showing(), page_size=limit, token=token, state=state)
    return conditional.answer(request, page)


@router.get("/jobs/{job_id}", response_model=show.JobView, responses=_SEEN)
async def show_job(request: fastapi.Request, job_id: JobId) -> fastapi.Response:
    """Show one job."""
    return conditional.answer(request, await show.job(world.showing(), job_id))


@router.get("/jobs/{job_id}/batches", response_model=Batches, responses=_SEEN)
async def show_batches(request: fastapi.Request, job_id: JobId) -> fastapi.Response:
    """Show a job's batches: who holds them, how often they were tried."""
    rows = await show.batches_of(world.showing(), job_id)
    return conditional.answer(request, Batches(batches=rows))


@router.get("/jobs/{job_id}/events", response_model=Events, responses=_SEEN)
async def show_events(request: fastapi.Request, job_id: JobId) -> fastapi.Response:
    """Show what happened to a job, in order, with reasons."""
    happened = [one async for one in show.events_of(world.showing(), job_id)]
    return conditional.answer(request, Events(events=tuple(happened)))


@router.post("/jobs/{job_id}/cancel", response_model=show.JobView, responses=_STEERED)
async def cancel_job(job_id: JobId, caller: Steerer) -> show.JobView:
    """Stop a job for good; frames that are done stay."""
    await control.cancel(world.control(), job_id, by=caller)
    return await show.job(world.showing(), job_id)


@router.post("/jobs/{job_id}/pause", response_model=show.JobView, responses=_STEERED)
async def pause_job(job_id: JobId, caller: Steerer) -> show.JobView:
    """Let a job wait; workers finish the frames they have in hand."""
    await control.pause(world.control(), job_id, by=caller)
    return await show.job(world.showing(), job_id)


@router.post(
    "/jobs/{job_id}/resume",
    response_model=show.JobView,
    responses=_STEERED | problems.documented(400),
)
async def resume_job(
    job_id: JobId, caller: Steerer, body: ResumeRequest | None = None
) -> show.JobView:
    """Let a paused job go on; one that was held for its max_cost needs a higher one."""
    max_cost = None if body is None else body.max_cost
    await control.resume(world.control(), job_id, by=caller, max_cost=max_cost)
    return await show.job(world.showing(), job_id)


@router.post("/jobs/{job_id}/retry", response_model=show.JobView, responses=_STEERED)
async def retry_job(job_id: JobId, caller: Steerer) -> show.JobView:
    """Render what a failed or cancelled job lacks."""
    await control.retry(world.control(), job_id, by=caller)
    return await show.job(world.showing(), job_id)


@router.post(
    "/jobs/{job_id}/priority",
    response_model=show.JobView,
    responses=_STEERED | problems.documented(400),
)
async def change_priority(job_id: JobId, body: PriorityRequest, caller: Steerer) -> show.JobView:
    """Serve a job sooner or later than others."""
    await control.change_priority(world.control(), job_id, body.priority, by=caller)
    return await show.job(world.showing(), job_id)


@router.delete("/jobs/{job_id}", status_code=204, responses=problems.documented(404, 409, 422, 503))
async def delete_job(job_id: JobId, caller: Steerer) -> None:
    """Remove an ended job with its frames; one that is gone already is no error."""
    await control.delete(world.control(), job_id, by=caller)
