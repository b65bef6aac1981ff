"""The OpenTelemetry SDK for Node through the agent, compared with what it sends straight to a second upstream."""

import json

import pytest

import otlp
import toolchains


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("encoding", ["json", "proto", "grpc"])
def test_every_item_arrives_as_the_sdk_sent_it(encoding, compression, agent, upstream, start_upstream):
    reference = start_upstream()
    endpoint = agent.grpc_endpoint if encoding == "grpc" else agent.http_url
    programs = toolchains.node_programs()
    sent = json.loads(toolchains.run(
        "node", programs / "client.js", encoding, compression, endpoint, reference.url, timeout=120))

    for signal in otlp.SIGNALS:
        wanted = otlp.items(signal, reference.messages(signal))
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received if r.signal == signal) >= wanted.total())
        assert otlp.items(signal, upstream.messages(signal)) == wanted

    arrived = otlp.spans(upstream.messages("traces"))
    assert sorted((s.trace_id.hex(), s.span_id.hex(), s.name) for s in arrived) == sorted(
        (s["traceId"], s["spanId"], s["name"]) for s in sent["spans"])
    records = otlp.log_records(upstream.messages("logs"))
    numbers = [{a.key: a.value for a in record.attributes}["n"] for record in records]
    values = [int(n.double_value if n.WhichOneof("value") == "double_value" else n.int_value) for n in numbers]
    assert sorted(zip(values, (r.severity_number for r in records))) == [
        (log["n"], log["severityNumber"]) for log in sent["logs"]]
    assert {m.name for m in otlp.metrics(upstream.messages("metrics"))} == set(sent["metrics"])
    agent.wait_empty()
