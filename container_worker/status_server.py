"""What does a worker say on its own small HTTP port?

/healthz  200 while the worker can go on; 503 with the reason when it is to be replaced
/readyz   200 once Blender is warm; 503 before, and while the worker leaves
/status   the worker's row as JSON: 200 while it is idle or stands by, else 503 with Retry-After
/metrics  the counters, for Prometheus

An answer is made from what is in memory, so that asking costs a render nothing.
"""

import contextlib
import json
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from blendrop.domain import workers
from container_worker.activity import Activity
from container_worker.metrics import Metrics

log = structlog.stdlib.get_logger(__name__)

_SHUTDOWN_SECONDS = 1.0  # for answers in hand: a worker that leaves has little time
_READY = workers.FREE | {workers.WorkerState.RENDERING}
_NOT_KEPT = {"Cache-Control": "no-store"}


@contextlib.asynccontextmanager
async def serving(
    activity: Activity, metrics: Metrics, *, host: str, port: int
) -> AsyncIterator[None]:
    """Answer on a port for as long as the block runs; 0: on none.

    A port that cannot be had is reported, and the worker renders without it.
    """
    if not port:
        yield
        return
    runner = web.AppRunner(
        _app(activity, metrics), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as refused:
        log.error(
            "status_port_refused",
            reason=f"{host}:{port} cannot be listened on: {refused}. The worker renders without "
            "it; give another BLENDROP_STATUS_PORT or BLENDROP_STATUS_HOST",
        )
    try:
        yield
    finally:
        await runner.cleanup()


def _app(activity: Activity, metrics: Metrics) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        if activity.unfit:
            return _json(503, {"status": "unfit", "reason": activity.unfit})
        return _json(200, {"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        worker = activity.worker()
        if worker.state in _READY:
            return _json(200, {"status": "ready"})
        reason = worker.left_because or "Blender is not warm yet"
        return _json(503, {"status": str(worker.state), "reason": reason})

    async def status(_: web.Request) -> web.Response:
        body, wait = activity.worker().model_dump_json(), activity.retry_after()
        headers = _NOT_KEPT | ({"Retry-After": str(wait)} if wait else {})
        return web.Response(
            status=503 if wait else 200, text=body, content_type="application/json", headers=headers
        )

    async def scraped(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.text(), headers=_NOT_KEPT | {"Content-Type": metrics.content_type}
        )

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/status", status),
            web.get("/metrics", scraped),
        ]
    )
    return app


def _json(status: int, body: dict[str, str]) -> web.Response:
    return web.json_response(
        body, status=status, headers=_NOT_KEPT, dumps=lambda given: json.dumps(given) + "\n"
    )
