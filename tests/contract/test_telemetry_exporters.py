"""Do spans and metrics arrive where they are configured to go, by the real exporters?"""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from blendrop import settings, wiring
from blendrop.redaction import Redactor
from container_worker.metrics import Metrics
from tests.doubles import otlp_receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
KEY = "11111111-2222-3333-4444-555555555555"
GIVEN = {
    "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
    "BLENDROP_FRAME_SHARE": "/frames",
    "BLENDROP_BLENDERS": "5.0=/blender",
}
WHO = {"service.name": "blendrop-worker", "service.instance.id": "w1"}


@pytest_asyncio.fixture
async def insights(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, list[Any]]]:
    """Application Insights' own ingestion, as far as the exporter sees it: address and items."""
    # What the exporter tells Microsoft of itself.
    for name in ("STATSBEAT_DISABLED_ALL", "SDKSTATS_DISABLED", "CONTROLPLANE_DISABLED"):
        monkeypatch.setenv(f"APPLICATIONINSIGHTS_{name}", "true")
    items: list[Any] = []

    async def track(request: web.Request) -> web.Response:
        sent = await request.read()
        told = json.loads(gzip.decompress(sent) if sent[:2] == b"\x1f\x8b" else sent)
        items.extend(told)
        return web.json_response(
            {"itemsReceived": len(told), "itemsAccepted": len(told), "errors": []}
        )

    app = web.Application()
    app.add_routes([web.post("/{version:.*}/track", track)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", items
    await runner.cleanup()


def chosen(**given: str) -> settings.WorkerSettings:
    """Return a worker's settings."""
    return settings.read(settings.WorkerSettings, GIVEN | given)


async def told(worker: settings.WorkerSettings) -> None:
    """Have a span and count a call, and tell both."""
    spans = wiring.spans(worker, Redactor(worker.secrets), resource=WHO)
    metrics = Metrics(wiring.metric_exporters(worker), resource=WHO)
    parent = f"00-{TRACE}-b7ad6b7169203331-01"
    with spans.span("process render-batches", kind="consumer", parent=parent, job="shot"):
        metrics.called("queue", "Put Message", 201)
    await asyncio.gather(asyncio.to_thread(spans.close), asyncio.to_thread(metrics.close))


async def test_spans_and_metrics_reach_a_collector() -> None:
    """By OTLP over HTTP."""
    async with otlp_receiver.receiving() as receiver:
        await told(chosen(OTEL_EXPORTER_OTLP_ENDPOINT=f"{receiver.address}/"))

    (span,) = receiver.spans
    assert (span.name, span.trace, span.who) == (
        "process render-batches",
        TRACE,
        "blendrop-worker w1",
    )
    assert "blendrop.worker.storage.calls" in receiver.metrics


async def test_spans_and_metrics_reach_application_insights(
    insights: tuple[str, list[Any]],
) -> None:
    """Spans as requests of the same operation, metrics by their names."""
    address, items = insights
    connection = f"InstrumentationKey={KEY};IngestionEndpoint={address}"

    await told(chosen(APPLICATIONINSIGHTS_CONNECTION_STRING=connection))

    (request,) = [one for one in items if one["data"]["baseType"] == "RequestData"]
    assert request["tags"]["ai.operation.id"] == TRACE
    assert request["tags"]["ai.cloud.role"] == "blendrop-worker"
    assert request["data"]["baseData"]["properties"]["blendrop.job.id"] == "shot"
    measured = [
        metric["name"]
        for one in items
        if one["data"]["baseType"] == "MetricData"
        for metric in one["data"]["baseData"]["metrics"]
    ]
    assert "blendrop.worker.storage.calls" in measured


def test_nothing_is_loaded_that_is_not_configured() -> None:
    """Neither exporters nor the SDK: they would cost each cold start their time."""
    program = f"""
import sys
from blendrop import redaction, settings, wiring
chosen = settings.read(settings.WorkerSettings, {GIVEN!r})
wiring.spans(chosen, redaction.Redactor(), resource={{}})
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exp",
    "azure.monitor"))])
"""
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert loaded.stdout.decode().strip() == "[]"
