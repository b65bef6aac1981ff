"""What the agent tells of itself, as service.telemetry asks for it."""

import requests

import otlp
from agent import Metrics, free_ports, wait_until


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
