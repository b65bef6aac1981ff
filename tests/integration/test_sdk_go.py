"""The OpenTelemetry SDK for Go through the agent, compared with what it sends straight to a second upstream."""

import json

import pytest

import otlp
import toolchains

pytestmark = pytest.mark.long  # builds it with Go


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encoding", ["grpc", "proto"])
def test_every_item_arrives_as_the_sdk_sent_it(encoding, compression, agent, upstream, start_upstream):
    reference = start_upstream()
    endpoint = agent.grpc_endpoint if encoding == "grpc" else f"127.0.0.1:{agent.http_port}"
    sent = json.loads(toolchains.run(
        toolchains.go_sdk_client(), encoding, compression, endpoint, f"127.0.0.1:{reference.port}", timeout=120))

    for signal in otlp.SIGNALS:
        wanted = otlp.items(signal, reference.messages(signal))
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received if r.signal == signal) >= wanted.total())
        assert otlp.items(signal, upstream.messages(signal)) == wanted

    arrived = otlp.spans(upstream.messages("traces"))
    assert sorted((s.trace_id.hex(), s.span_id.hex(), s.name) for s in arrived) == sorted(
        (s["traceId"], s["spanId"], s["name"]) for s in sent["spans"])
    numbers = [{a.key: a.value.int_value for a in record.attributes}["n"]
               for record in otlp.log_records(upstream.messages("logs"))]
    assert sorted(numbers) == list(range(sent["logs"]))
    assert {m.name for m in otlp.metrics(upstream.messages("metrics"))} == set(sent["metrics"])
    agent.wait_empty()
