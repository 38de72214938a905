"""How does an answer say what is wrong? As problem details (RFC 9457), never as a trace."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import fastapi
import fastapi.exceptions
import fastapi.responses
import starlette.exceptions

from blendrop import errors
from blendrop.domain import record

MEDIA_TYPE = "application/problem+json"
_RETRY_SECONDS = 5


class Problem(record.Record):
    """One thing to mend in a request."""

    pointer: str  # JSON pointer into the body, or the name of a parameter
    value: str
    reason: str
    remedy: str


class ProblemDetails(record.Record):
    """What is wrong, in the members of RFC 9457 and one of our own."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    problems: tuple[Problem, ...] = ()


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what an endpoint's documentation says of these answers."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {
                MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}},
            },
        }
        for status in statuses
    }


def answer(
    status: int,
    detail: str,
    *,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> fastapi.Response:
    """Return an answer that says what is wrong."""
    told = ProblemDetails(
        title=HTTPStatus(status).phrase, status=status, detail=detail, problems=tuple(problems)
    )
    body = told.model_dump_json(exclude=None if problems else {"problems"})
    return fastapi.Response(
        body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def install(app: fastapi.FastAPI) -> None:
    """Let the app answer our errors, and the framework's own, in this form, and document it."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)  # the framework's own, which we do not answer with
        schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs"), ProblemDetails=schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]

    @app.exception_handler(errors.NotFoundError)
    async def _not_found(_: fastapi.Request, missing: Exception) -> fastapi.Response:
        return answer(404, str(missing))

    @app.exception_handler(errors.ConflictError)
    async def _conflict(_: fastapi.Request, conflict: Exception) -> fastapi.Response:
        return answer(409, str(conflict))

    @app.exception_handler(errors.UnavailableError)
    async def _unavailable(_: fastapi.Request, away: Exception) -> fastapi.Response:
        return answer(503, str(away), headers={"Retry-After": str(_RETRY_SECONDS)})

    @app.exception_handler(errors.InvalidRequestError)
    async def _invalid(_: fastapi.Request, invalid: errors.InvalidRequestError) -> fastapi.Response:
        found = [
            Problem(
                pointer=f"/{one.pointer}",
                value=one.value,
                reason=one.reason,
                remedy=one.remedy,
            )
            for one in invalid.problems
        ]
        return answer(422, _counted(found), problems=found)

    @app.exception_handler(fastapi.exceptions.RequestValidationError)
    async def _malformed(
        _: fastapi.Request, malformed: fastapi.exceptions.RequestValidationError
    ) -> fastapi.Response:
        found = [_of_framework(one) for one in malformed.errors()]
        return answer(422, _counted(found), problems=found)

    @app.exception_handler(starlette.exceptions.HTTPException)
    async def _http(
        request: fastapi.Request, raised: starlette.exceptions.HTTPException
    ) -> fastapi.Response:
        detail = f"{request.method} {request.url.path}: {raised.detail}"
        return answer(raised.status_code, detail, headers=raised.headers)


def _counted(found: Sequence[Problem]) -> str:
    if len(found) == 1:
        return f"{found[0].pointer}: {found[0].reason}. {found[0].remedy}."
    return f"There are {len(found)} things to mend in the request"


def _of_framework(error: Mapping[str, Any]) -> Problem:
    where, *path = error["loc"]
    pointer = "/" + "/".join(map(str, path)) if where == "body" else f"{where} {path[0]}"
    given = "" if error["type"] == "missing" else re.sub(r"\s+", " ", str(error["input"]))[:80]
    reason = error["msg"][:1].lower() + error["msg"][1:]
    remedy = "See /api/openapi.json for what is taken"
    return Problem(pointer=pointer, value=given, reason=reason, remedy=remedy)
