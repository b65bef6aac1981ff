"""The OpenTelemetry SDK for Java through the agent, compared with what it sends straight to a second upstream."""

import json

import pytest

import otlp
import toolchains


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_every_item_arrives_as_the_sdk_sent_it(transport, compression, agent, upstream, start_upstream):
    reference = start_upstream()
    endpoint = f"http://{agent.grpc_endpoint}" if transport == "grpc" else agent.http_url
    sent = json.loads(toolchains.run(
        "java", "-cp", toolchains.java_classpath(), "Client", transport, compression, endpoint, reference.url,
        timeout=120))

    for signal in otlp.SIGNALS:
        wanted = otlp.items(signal, reference.messages(signal))
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received if r.signal == signal) >= wanted.total())
        assert otlp.items(signal, upstream.messages(signal)) == wanted

    arrived = otlp.spans(upstream.messages("traces"))
    assert sorted(s.span_id.hex() for s in arrived) == sorted(sent["spans"])
    records = otlp.log_records(upstream.messages("logs"))
    assert sorted(r.time_unix_nano for r in records) == sorted(sent["logs"])
    kinds = {metric.name: metric.WhichOneof("data") for metric in otlp.metrics(upstream.messages("metrics"))}
    assert kinds == {"requests": "sum", "queue": "sum", "latency": "histogram",
                     "size.exponential": "exponential_histogram", "temperature": "gauge"}
    agent.wait_empty()
