"""A collector of the test's own, which takes what exporters send by OTLP over HTTP."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class SeenSpan:
    """A span that was received."""

    name: str
    trace: str
    id: str
    parent: str  # empty: a root
    links: tuple[str, ...]  # of spans
    attributes: dict[str, Any]
    resource: dict[str, Any]
    failed: bool
    message: str
    events: tuple[dict[str, Any], ...]
    begun: int  # nanoseconds
    ended: int

    @property
    def who(self) -> str:
        """The service, and which of its processes."""
        instance = self.resource.get("service.instance.id", "")
        return f"{self.resource['service.name']} {instance}".rstrip()


@dataclass
class Receiver:
    """What has been received so far."""

    address: str = ""
    spans: list[SeenSpan] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)  # names
    raw: bytes = b""

    def of(self, trace: str) -> list[SeenSpan]:
        """Return the spans of a trace."""
        return [one for one in self.spans if one.trace == trace]

    async def until(self, holds: Callable[[list[SeenSpan]], bool], seconds: float = 20) -> None:
        """Wait until something holds of what was received."""
        async with asyncio.timeout(seconds):
            while not holds(self.spans):  # noqa: ASYNC110 other processes set no event
                await asyncio.sleep(0.1)


def pieces(spans: Collection[SeenSpan], *, roots: Collection[str]) -> list[set[str]]:
    """Return the sets of span ids that hang together by parents and links.

    `roots` are parents that nobody sends, and so hold nothing together but what names them.
    """
    group = {one.id: {one.id} for one in spans} | {one: {one} for one in roots}
    for span in spans:
        for other in (span.parent, *span.links):
            if other in group and group[other] is not group[span.id]:
                joined = group[other] | group[span.id]
                for one in joined:
                    group[one] = joined
    return [set(one) for one in {frozenset(members) for members in group.values()}]


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Receive for as long as the block runs."""
    receiver = Receiver()

    async def body(request: web.Request) -> bytes:
        sent = await request.read()
        receiver.raw += sent
        return gzip.decompress(sent) if sent[:2] == b"\x1f\x8b" else sent

    async def traces(request: web.Request) -> web.Response:
        sent = trace_service_pb2.ExportTraceServiceRequest.FromString(await body(request))
        receiver.spans.extend(_spans(sent))
        return web.Response()

    async def metrics(request: web.Request) -> web.Response:
        sent = metrics_service_pb2.ExportMetricsServiceRequest.FromString(await body(request))
        receiver.metrics.update(
            metric.name
            for resource in sent.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        return web.Response()

    app = web.Application(client_max_size=64 * 2**20)
    app.add_routes([web.post("/v1/traces", traces), web.post("/v1/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()


def _spans(sent: trace_service_pb2.ExportTraceServiceRequest) -> Iterator[SeenSpan]:
    for resource in sent.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SeenSpan(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=tuple(link.span_id.hex() for link in span.links),
                    attributes=_attributes(span.attributes),
                    resource=about,
                    failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    message=span.status.message,
                    events=tuple(_attributes(event.attributes) for event in span.events),
                    begun=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                )


def _attributes(given: Collection[common_pb2.KeyValue]) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in given}
