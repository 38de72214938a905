"""What must a request pass before an endpoint sees it, and how is it told that it may not?"""

import fastapi

from blendrop import errors
from functions import problems, rate_limits


def install(app: fastapi.FastAPI) -> None:
    """Limit how often clients ask, and answer those that access and back-pressure refuse."""
    app.add_middleware(rate_limits.RateLimitMiddleware)

    @app.exception_handler(errors.UnauthenticatedError)
    async def unauthenticated(
        _: fastapi.Request, refused: errors.UnauthenticatedError
    ) -> fastapi.Response:
        headers = {"WWW-Authenticate": refused.challenge}
        return problems.answer(401, str(refused), headers=headers)

    @app.exception_handler(errors.ForbiddenError)
    async def forbidden(_: fastapi.Request, refused: errors.ForbiddenError) -> fastapi.Response:
        return problems.answer(403, str(refused))

    @app.exception_handler(errors.BacklogError)
    async def no_room(_: fastapi.Request, refused: errors.BacklogError) -> fastapi.Response:
        headers = {"Retry-After": str(refused.retry_seconds)}
        return problems.answer(503, str(refused), headers=headers)
