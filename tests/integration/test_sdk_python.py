"""The OpenTelemetry SDK for Python sends through the agent what it also sends straight to a second upstream.

Both must have the same items afterwards: same resource, scope and every field of each.
"""

import pytest
from grpc import Compression as GrpcCompression
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

import otlp

SPANS = 300
LOGS = 200
RESOURCE = Resource.create({"service.name": "python-shop", "host.cpus": 4, "zone": ["a", "b"], "ö": "Grüße ✓"})


class _Both:
    """Exports every batch through the agent and straight to the reference; both must succeed."""

    def __init__(self, success, exporters):
        self.exporters = exporters
        self.success = success
        self.failures = []

    def export(self, batch, *_, **__):
        for exporter in self.exporters:
            result = exporter.export(batch)
            if result is not self.success:
                self.failures.append((exporter, result))
        return self.success

    def shutdown(self, *_, **__):
        for exporter in self.exporters:
            exporter.shutdown()

    def force_flush(self, *_, **__):
        return True


class _BothSpans(_Both, SpanExporter):
    pass


class _BothLogs(_Both, LogRecordExporter):
    pass


class _BothMetrics(_Both, MetricExporter):
    def __init__(self, success, exporters):
        MetricExporter.__init__(self)
        _Both.__init__(self, success, exporters)


def emit_spans(provider):
    tracer = provider.get_tracer("shop.cart", "1.2.3", schema_url="https://opentelemetry.io/schemas/1.26.0",
                                 attributes={"tier": "gold"})
    with tracer.start_as_current_span("checkout ☕", kind=SpanKind.SERVER) as root:
        for number in range(SPANS - 1):
            with tracer.start_as_current_span(f"step {number}", kind=SpanKind.CLIENT, links=[
                    Link(root.get_span_context(), {"why": "parent"})]) as span:
                span.set_attributes({
                    "text": "tab\tquote\"", "empty": "", "yes": True, "number": number, "big": 2**53 + 1,
                    "negative": -(2**63), "ratio": 0.1, "list": [1, 2, 3], "flags": [True, False], "names": ["ä", ""]})
                span.add_event("tick", {"n": number})
                if number % 7 == 0:
                    span.set_status(Status(StatusCode.ERROR, "out of stock"))
                    span.record_exception(ValueError("no such item"))


def emit_logs(provider):
    logger = provider.get_logger("shop.log", "0.1")
    bodies = ["plain", "", {"nested": {"list": [1, "two", 3.0, None], "bytes": b"\x00\xff"}}, 42, True, 1.5, ["a", 1]]
    for number in range(LOGS):
        logger.emit(
            timestamp=1_700_000_000_000_000_000 + number, observed_timestamp=1_700_000_000_000_000_001 + number,
            severity_number=SeverityNumber(1 + number % 24), severity_text="LEVEL", body=bodies[number % len(bodies)],
            attributes={"n": number, "even": number % 2 == 0}, event_name="cart.changed" if number % 3 == 0 else None)


def emit_metrics(provider):
    meter = provider.get_meter("shop.meter", "9")
    requests = meter.create_counter("requests", unit="1", description="how many")
    bytes_sent = meter.create_counter("bytes")
    queue = meter.create_up_down_counter("queue")
    latency = meter.create_histogram("latency", unit="ms")
    size = meter.create_histogram("size.exponential")
    temperature = meter.create_gauge("temperature")
    meter.create_observable_gauge("observed", callbacks=[lambda _: []])
    for number in range(100):
        labels = {"route": f"/r{number % 5}", "ok": number % 2 == 0}
        requests.add(number, labels)
        bytes_sent.add(number + 0.5, labels)
        queue.add(-number, labels)
        latency.record(number * 1.5, labels)
        size.record(2.0**(number % 30), labels)
        temperature.set(-273.15 + number, labels)


def exporters(agent, reference, transport, compression):
    if transport == "grpc":
        code = {"none": GrpcCompression.NoCompression, "gzip": GrpcCompression.Gzip}[compression]
        tested = [made(endpoint=agent.grpc_endpoint, insecure=True, compression=code)
                  for made in (GrpcSpanExporter, GrpcMetricExporter, GrpcLogExporter)]
    else:
        code = HttpCompression(compression)
        tested = [made(endpoint=f"{agent.http_url}/v1/{signal}", compression=code) for made, signal in (
            (HttpSpanExporter, "traces"), (HttpMetricExporter, "metrics"), (HttpLogExporter, "logs"))]
    straight = [made(endpoint=f"{reference.url}/v1/{signal}") for made, signal in (
        (HttpSpanExporter, "traces"), (HttpMetricExporter, "metrics"), (HttpLogExporter, "logs"))]
    return list(zip(tested, straight))


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_every_item_arrives_as_the_sdk_sent_it(transport, compression, agent, upstream, start_upstream):
    check(agent, upstream, start_upstream(), transport, compression)


def test_deflate_over_http(agent, upstream, start_upstream):
    check(agent, upstream, start_upstream(), "http", "deflate")


def check(agent, upstream, reference, transport, compression):
    spans, metrics, logs = exporters(agent, reference, transport, compression)
    both = [_BothSpans(SpanExportResult.SUCCESS, spans), _BothMetrics(MetricExportResult.SUCCESS, metrics),
            _BothLogs(LogRecordExportResult.SUCCESS, logs)]

    tracer_provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(both[0], max_export_batch_size=64))
    meter_provider = MeterProvider(
        [PeriodicExportingMetricReader(both[1], export_interval_millis=3_600_000)], RESOURCE, shutdown_on_exit=False,
        views=[View(instrument_name="size.exponential", aggregation=ExponentialBucketHistogramAggregation())])
    logger_provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(both[2], max_export_batch_size=50))

    emit_spans(tracer_provider)
    emit_logs(logger_provider)
    emit_metrics(meter_provider)
    for provider in (tracer_provider, meter_provider, logger_provider):
        provider.shutdown()
    assert [each.failures for each in both] == [[], [], []]

    for signal in otlp.SIGNALS:
        wanted = otlp.items(signal, reference.messages(signal))
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received if r.signal == signal) >= wanted.total())
        assert otlp.items(signal, upstream.messages(signal)) == wanted

    # What the SDK was told, as far as that can be said without the SDK: so that two empty sides are not equal.
    arrived = otlp.spans(upstream.messages("traces"))
    assert {span.name for span in arrived} == {"checkout ☕", *(f"step {n}" for n in range(SPANS - 1))}
    assert len({span.span_id for span in arrived}) == len(arrived) == SPANS
    attributes = {a.key: a.value for a in next(s for s in arrived if s.name == "step 8").attributes}
    assert attributes["big"].int_value == 2**53 + 1 and attributes["negative"].int_value == -(2**63)
    assert attributes["number"].int_value == 8 and attributes["text"].string_value == "tab\tquote\""
    records = otlp.log_records(upstream.messages("logs"))
    assert sorted(r.time_unix_nano for r in records) == [1_700_000_000_000_000_000 + n for n in range(LOGS)]
    kinds = {metric.name: metric.WhichOneof("data") for metric in otlp.metrics(upstream.messages("metrics"))}
    assert kinds == {"requests": "sum", "bytes": "sum", "queue": "sum", "latency": "histogram",
                     "size.exponential": "exponential_histogram", "temperature": "gauge"}
    agent.wait_empty()
