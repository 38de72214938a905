"""How do spans and metrics reach a collector, or Application Insights?

Every exporter is loaded by the function that makes it: only the one that is configured costs its
time, half a second for Azure's.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

# Of one export, its retries included: a collector that is away is tried again with the next batch.
_SECONDS = 5


def spans_to_collector(address: str, _: "TracerProvider") -> "SpanExporter":
    """Return what sends spans by OTLP over HTTP; headers it reads from the environment itself."""
    from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415 see above

    return trace_exporter.OTLPSpanExporter(
        endpoint=f"{address.rstrip('/')}/v1/traces", timeout=_SECONDS
    )


def metrics_to_collector(address: str) -> "MetricExporter":
    """Return what sends metrics by OTLP over HTTP; headers it reads from the environment itself."""
    from opentelemetry.exporter.otlp.proto.http import metric_exporter  # noqa: PLC0415 see above

    return metric_exporter.OTLPMetricExporter(
        endpoint=f"{address.rstrip('/')}/v1/metrics", timeout=_SECONDS
    )


def spans_to_insights(connection_string: str, provider: "TracerProvider") -> "SpanExporter":
    """Return what sends spans to Application Insights.

    The identity that it shows there it reads from APPLICATIONINSIGHTS_AUTHENTICATION_STRING itself,
    as the Functions host does.
    """
    from azure.monitor.opentelemetry import exporter  # noqa: PLC0415 see above

    return exporter.AzureMonitorTraceExporter(
        connection_string=connection_string,
        tracer_provider=provider,  # what they come from is told, too
        disable_offline_storage=True,  # nothing is left on a worker's disk
        retry_total=1,
        timeout=_SECONDS,
    )


def metrics_to_insights(connection_string: str) -> "MetricExporter":
    """Return what sends metrics to Application Insights; its identity as for spans."""
    from azure.monitor.opentelemetry import exporter  # noqa: PLC0415 see above

    return exporter.AzureMonitorMetricExporter(
        connection_string=connection_string,
        disable_offline_storage=True,
        retry_total=1,
        timeout=_SECONDS,
    )
