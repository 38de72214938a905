"""How does an HTTP request reach a function?

Each request runs through the function itself, with the request and response types of the
azure-functions package, as in Azure's worker: the ASGI app behind an `AsgiFunctionApp` sees the
same scope, the same unstripped path and the same buffered response as there, and nothing private of
the package is needed. No function key is asked for, as with Core Tools.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import azure.functions as func
import uvicorn
from starlette import applications, convertors, requests, responses, routing

from blendrop import errors
from local.function_host import invocation
from local.function_host.hosted_function import HostedFunction

log = logging.getLogger("local.function_host")

_ADDRESS = "127.0.0.1"


class _Rest(convertors.PathConvertor):
    """Whatever is left of a path; Starlette's own stops at an encoded line feed."""

    regex = r"[\s\S]*"


convertors.register_url_convertor("rest", _Rest())


class _Server(uvicorn.Server):
    """A server that leaves signals to the host."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpTriggers:
    """All functions that HTTP requests set off, on one port."""

    def __init__(
        self, functions: Sequence[HostedFunction], *, route_prefix: str, port: int
    ) -> None:
        self._app = applications.Starlette(
            routes=[
                routing.Route(
                    _path(function, route_prefix),
                    _endpoint(function),
                    methods=_methods(function),
                )
                for function in functions
            ]
        )
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until asked to stop; then let the requests in hand end."""
        config = uvicorn.Config(self._app, log_config=None, access_log=False, lifespan="off")
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        stop_requested = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({serving, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
        finally:
            stop_requested.cancel()
            serving.cancel()
            self._socket.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_ADDRESS, port))
    except OSError as taken:
        raise errors.UnavailableError(
            f"cannot listen on {_ADDRESS}:{port} ({taken.strerror}); end the program that does, "
            "or give another --port"
        ) from taken


def _path(function: HostedFunction, prefix: str) -> str:
    """Turn the host's `items/{id}/{*rest}` into Starlette's `/items/{id}/{rest:rest}`."""
    route = function.setting("route").strip("/")
    path = "/" + "/".join(part for part in (prefix.strip("/"), route) if part)
    if constrained := re.search(r"\{\w+:[^}]*\}", path):
        raise function.refused(
            f"route {route!r}",
            f"this host knows no constraints in routes, like {constrained[0]}",
            "Check the value in the function",
        )
    return re.sub(r"\{\*(\w+)\}", r"{\1:rest}", path)


def _methods(function: HostedFunction) -> list[str] | None:
    methods = function.trigger.get("methods")
    return [str(getattr(one, "value", one)) for one in methods] if methods else None


def _endpoint(
    function: HostedFunction,
) -> Callable[[requests.Request], Awaitable[responses.Response]]:
    async def answer(request: requests.Request) -> responses.Response:
        raw_path = request.scope["raw_path"].decode("ascii")
        query = f"?{request.url.query}" if request.url.query else ""
        argument = func.HttpRequest(
            request.method,
            f"{request.url.scheme}://{request.url.netloc}{raw_path}{query}",
            headers=dict(request.headers),
            params=dict(request.query_params),
            route_params={name: str(value) for name, value in request.path_params.items()},
            body=await request.body(),
        )
        outcome = await invocation.invoke(
            function,
            argument,
            reason=f"{request.method} {raw_path}",
            trace_parent=request.headers.get("traceparent", ""),
        )
        return _response(function, outcome)

    return answer


def _response(function: HostedFunction, outcome: invocation.Outcome) -> responses.Response:
    if not outcome.succeeded:
        return responses.Response(status_code=500)
    if isinstance(outcome.returned, str):
        return responses.PlainTextResponse(outcome.returned)
    if not isinstance(outcome.returned, func.HttpResponse):
        log.error("%s returned %r, which is no HTTP response", function.name, outcome.returned)
        return responses.Response(status_code=500)
    returned = outcome.returned
    response = responses.Response(returned.get_body(), status_code=returned.status_code)
    for name, value in returned.headers.items():
        if name.lower() not in {"content-length", "transfer-encoding"}:
            response.headers.append(name, value)
    if "content-type" not in response.headers and returned.mimetype:
        response.headers["content-type"] = returned.mimetype
    return response
