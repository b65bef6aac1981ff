"""What the agent tells of itself, as service.telemetry asks for it."""

import json

import grpc
import pytest
import requests

import otlp
from agent import Metrics, free_ports, wait_until
from grpc_upstream import GrpcUpstream
from upstream import Upstream


def pull(port, **style):
    return {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port, **style}}}}


def telemetry(**sections):
    return {"service": {"telemetry": sections}}


def scrape(port):
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert answer.status_code == 200
    return Metrics(answer.text)


def post(agent, signal, ids, **headers):
    answer = requests.post(f"{agent.http_url}/v1/{signal}", otlp.make_request(signal, ids),
                           headers={"Content-Type": "application/x-protobuf", **headers}, timeout=10)
    assert answer.status_code == 200


def test_two_readers_show_the_same_metrics_each_in_its_own_style(make_agent, upstream):
    plain, full = free_ports(2)
    agent = make_agent(config=telemetry(
        resource={"service.name": "edge", "service.version": None},
        metrics={"level": "normal", "readers": [
            pull(plain),
            pull(full, without_type_suffix=False, without_scope_info=False,
                 with_resource_constant_labels={"included": ["service.name"]}),
        ]})).start()
    post(agent, "traces", range(1, 8))
    wait_until(lambda: scrape(plain).total("otelcol_exporter_sent_spans") == 7)

    shown = scrape(plain)
    assert shown.total("otelcol_receiver_accepted_spans", receiver="otlp", transport="http") == 7
    labels, = [labels for name, labels, _ in shown.samples if name == "target_info"]
    assert labels["service_name"] == "edge" and "service_version" not in labels
    assert len(labels["service_instance_id"]) == 36

    scope = "go.opentelemetry.io/collector/exporter/exporterhelper"
    assert scrape(full).total("otelcol_exporter_sent_spans_total", exporter="otlp_http", service_name="edge",
                              otel_scope_name=scope) == 7
    assert agent.stop() == 0


def otlp_exporter(upstream, **keys):
    protocol = "grpc/protobuf" if isinstance(upstream, GrpcUpstream) else "http/protobuf"
    endpoint = upstream.url if upstream.url.startswith("http") else f"http://{upstream.url}"
    return {"otlp": {"protocol": protocol, "endpoint": endpoint, **keys}}


def attributes_of(message):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in message.attributes}


@pytest.mark.parametrize("kind, compression", [(Upstream, "gzip"), (GrpcUpstream, "none")])
def test_metrics_are_pushed_to_an_upstream_of_their_own(kind, compression, make_agent):
    collector = kind()
    agent = make_agent(config=telemetry(
        resource={"service.name": "edge"},
        metrics={"level": "normal", "readers": [{"periodic": {
            "interval": 50, "exporter": otlp_exporter(collector, compression=compression, headers={"x-site": "ship"})}}]}))
    agent.start()
    post(agent, "logs", range(1, 10))

    def sent(request):
        return sum(point.as_int for metric in otlp.metrics([request]) if metric.name == "otelcol_exporter_sent_log_records"
                   for point in metric.sum.data_points)

    assert collector.wait_for(lambda u: any(sent(r.message) == 9 for r in u.received))
    assert agent.stop() == 0
    last = collector.requests("metrics")[-1]
    assert {name.lower(): value for name, value in last.headers.items()}["x-site"] == "ship"
    assert attributes_of(last.message.resource_metrics[0].resource)["service.name"] == "edge"
    metric, = [m for m in otlp.metrics([last.message]) if m.name == "otelcol_exporter_sent_log_records"]
    point, = metric.sum.data_points
    assert metric.sum.is_monotonic and metric.sum.aggregation_temporality == 2 and metric.unit == "{record}"
    assert attributes_of(point) == {"exporter": "otlp_http"}
    assert 0 < point.start_time_unix_nano < point.time_unix_nano
    collector.down()
    assert collector.objections() == []


def test_requests_and_attempts_are_spans(make_agent, upstream):
    collector = Upstream()
    agent = make_agent(config=telemetry(traces={
        "propagators": ["tracecontext"],
        "processors": [{"batch": {"schedule_delay": 50, "exporter": otlp_exporter(collector)}}]})).start()
    trace = "0af7651916cd43dd8448eb211c80319c"
    post(agent, "metrics", range(1, 4), traceparent=f"00-{trace}-b7ad6b7169203331-01")
    post(agent, "metrics", range(4, 6), traceparent=f"00-{trace}-b7ad6b7169203331-00")
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        call = channel.unary_unary(otlp.GRPC_METHODS["logs"])
        call(otlp.make_request("logs", range(7, 9)), timeout=10,
             metadata=(("traceparent", f"00-{trace}-00f067aa0ba902b7-01"),))
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) == 7)
    agent.wait_empty()
    assert agent.stop() == 0

    spans = otlp.spans(collector.messages("traces"))
    received = {s.name: s for s in spans if s.name.startswith("receiver/")}
    assert sorted(received) == ["receiver/otlp/LogsReceived", "receiver/otlp/MetricsReceived"]
    assert all(s.trace_id.hex() == trace for s in received.values())
    assert received["receiver/otlp/MetricsReceived"].parent_span_id.hex() == "b7ad6b7169203331"
    assert received["receiver/otlp/LogsReceived"].parent_span_id.hex() == "00f067aa0ba902b7"
    assert attributes_of(received["receiver/otlp/LogsReceived"])["transport"] == "grpc"
    attempts = [attributes_of(s) for s in spans if s.name == "exporter/otlp_http/metrics"]
    assert sum(each["items.sent"] for each in attempts) == 5
    assert not [s for s in spans if s.name == "exporter/otlp_http/traces"], "its own export is not traced"
    collector.down()
    assert collector.objections() == []


def test_log_goes_to_a_file_and_to_an_upstream(make_agent, tmp_path):
    collector = Upstream()
    lines = tmp_path / "agent.json"
    agent = make_agent(config=telemetry(
        resource={"service.instance.id": "4711"},
        logs={"encoding": "json", "output_paths": [str(lines)], "initial_fields": {"site": "ship"},
              "processors": [{"batch": {"schedule_delay": 20, "exporter": otlp_exporter(collector)}}]})).start()
    assert collector.wait_for(lambda u: any(
        record.body.string_value == "everything is ready" for r in u.received for record in otlp.log_records([r.message])))
    assert agent.stop() == 0
    assert agent.log() == ""
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    ready, = [line for line in written if line["msg"] == "everything is ready"]
    assert ready["level"] == "info" and ready["site"] == "ship"
    assert ready["resource"] == {
        "service.instance.id": "4711", "service.name": "holdfast", "service.version": ready["resource"]["service.version"]}
    group = collector.messages("logs")[0].resource_logs[0]
    assert attributes_of(group.resource)["service.instance.id"] == "4711"
    collector.down()
    assert collector.objections() == []


def test_upstream_for_our_own_telemetry_that_is_away_holds_up_nothing(make_agent, upstream):
    nowhere, = free_ports(1)
    exporter = {"otlp": {"endpoint": f"http://127.0.0.1:{nowhere}"}}
    agent = make_agent(config=telemetry(
        metrics={"level": "normal", "readers": [{"periodic": {"interval": 20, "exporter": exporter}}]},
        traces={"processors": [{"simple": {"exporter": exporter}}]},
        logs={"processors": [{"simple": {"exporter": exporter}}]})).start()
    post(agent, "traces", range(1, 50))
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) == 49)
    wait_until(lambda: agent.metrics().total("holdfast_own_telemetry_dropped_total", signal="traces") >= 2)
    assert "the agent's own telemetry was not delivered" in agent.log()
    assert agent.stop() == 0


def test_health_of_each_component_is_told(make_agent, upstream):
    agent = make_agent()
    document = json.loads(agent.config_file.read_text())
    document["extensions"]["health_check"] = {
        "use_v2": True, "http": {"endpoint": f"127.0.0.1:{agent.health_port}"},
        "component_health": {"include_recoverable_errors": True, "recovery_duration": "0s"}}
    agent.config_file.write_text(json.dumps(document))
    agent.spawn()

    def ask(query=""):
        try:
            return requests.get(agent.health_url(f"/status{query}"), timeout=5)
        except requests.ConnectionError:
            return None

    wait_until(lambda: ask() is not None)
    assert ask().status_code == 200 and ask().json()["status"] == "StatusOK"
    assert requests.get(agent.health_url("/holdfast/status"), timeout=5).json()["ready"]
    upstream.behave(503)
    post(agent, "traces", range(1, 4))
    wait_until(lambda: ask().status_code == 500)
    whole = ask("?verbose").json()
    assert whole["status"] == "StatusRecoverableError" and not whole["healthy"] and "503" in whole["error"]
    components = whole["components"]["pipeline:traces"]["components"]
    assert components["receiver:otlp"]["status"] == "StatusOK"
    assert components["exporter:otlp_http"]["status"] == "StatusRecoverableError"
    assert ask("?pipeline=logs").status_code == 200 and ask("?pipeline=nothing").status_code == 404
    upstream.behave("ok")
    wait_until(lambda: ask().status_code == 200)
    assert agent.stop() == 0
