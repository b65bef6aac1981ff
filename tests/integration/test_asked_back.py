"""Upstreams that can be asked: what was sent through the agent is found in Jaeger and in Prometheus."""

import json
import subprocess
import time
import urllib.parse

import pytest
import requests

import otlp
import toolchains
from agent import free_ports, wait_until
from load import new_ids

pytestmark = pytest.mark.long  # builds Jaeger and Prometheus with Go, 10 to 15 minutes each

TRACES = 40
SPANS = 25
SERIES = 6
POINTS = 30


@pytest.fixture
def run(tmp_path):
    """Starts a server and waits until `url` is answered."""
    running = []

    def start(command, url, environment=None):
        log_file = tmp_path / "server.log"
        with open(log_file, "wb") as log:
            running.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log))

        def answered():
            assert running[-1].poll() is None, log_file.read_text()[-4000:]
            try:
                return requests.get(url, timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_until(answered, 60, url)

    yield start
    for each in running:
        each.kill()
        each.wait()


def post(agent, signal, message):
    requests.post(f"{agent.http_url}/v1/{signal}", message.SerializeToString(), timeout=10,
                  headers={"Content-Type": "application/x-protobuf"}).raise_for_status()


@pytest.fixture
def jaeger(run, tmp_path):
    """Ports of Jaeger: OTLP over gRPC, OTLP over HTTP, questions."""
    grpc_port, http_port, query_port, query_grpc_port = free_ports(4)
    (tmp_path / "jaeger.yaml").write_text(json.dumps({
        "extensions": {
            "jaeger_storage": {"backends": {"main": {"memory": {"max_traces": 10_000}}}},
            "jaeger_query": {"storage": {"traces": "main"}, "http": {"endpoint": f"127.0.0.1:{query_port}"},
                             "grpc": {"endpoint": f"127.0.0.1:{query_grpc_port}"}},
        },
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{grpc_port}"},
                                             "http": {"endpoint": f"127.0.0.1:{http_port}"}}}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "main"}},
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        },
    }))
    run([toolchains.jaeger(), "--config", "jaeger.yaml"], f"http://127.0.0.1:{query_port}/api/services",
        {"PATH": "/usr/bin:/bin", "OTEL_TRACES_SAMPLER": "always_off"})  # it would trace the questions, too
    return grpc_port, http_port, query_port


def found_in_jaeger(port, trace_id):
    """(span id, name, a tag) of each span of a trace."""
    answer = requests.get(f"http://127.0.0.1:{port}/api/traces/{trace_id}", timeout=10)
    if answer.status_code == 404:
        return []
    return sorted((span["spanID"], span["operationName"], *(t["value"] for t in span["tags"] if t["key"] == "n"))
                  for trace in answer.json()["data"] for span in trace["spans"])


@pytest.mark.parametrize("exporter", ["otlp_grpc", "otlp_http"])
def test_jaeger_has_every_span(exporter, jaeger, make_agent):
    grpc_port, http_port, query_port = jaeger
    endpoint = f"127.0.0.1:{grpc_port}" if exporter == "otlp_grpc" else f"http://127.0.0.1:{http_port}"
    agent = make_agent(upstream_url=f"http://127.0.0.1:{http_port}", config={
        "exporters": {exporter: {"endpoint": endpoint, "tls": {"insecure": True}}},
        "service": {"pipelines": {"traces": {"exporters": [exporter]}}}}).start()
    sent = {}
    for number in range(TRACES):
        message = otlp.REQUESTS["traces"]()
        group = message.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = "shop"
        trace_id = new_ids(1)[0].to_bytes(16, "big")
        spans = group.scope_spans.add().spans
        for n, each in enumerate(new_ids(SPANS)):
            now = time.time_ns()
            span = spans.add(trace_id=trace_id, span_id=each.to_bytes(8, "big"), name=f"step {n}", kind=2,
                             start_time_unix_nano=now - 1_000_000, end_time_unix_nano=now)
            span.attributes.add(key="n").value.int_value = number
        post(agent, "traces", message)
        sent[trace_id.hex()] = sorted((span.span_id.hex(), span.name, number) for span in spans)
    assert agent.stop() == 0

    def all_there():
        return all(len(found_in_jaeger(query_port, each)) >= len(spans) for each, spans in sent.items())

    wait_until(all_there, 20, "every span in Jaeger")
    assert {each: found_in_jaeger(query_port, each) for each in sent} == sent


@pytest.fixture
def prometheus(run, tmp_path):
    """Its URL."""
    port, = free_ports(1)
    (tmp_path / "prometheus.yml").write_text("{}")
    run([toolchains.prometheus(), "--config.file=prometheus.yml", "--web.enable-otlp-receiver", "--log.level=warn",
         f"--storage.tsdb.path={tmp_path / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"],
        f"http://127.0.0.1:{port}/-/ready")
    return f"http://127.0.0.1:{port}"


def found_in_prometheus(url, selector):
    """{route: [(seconds, value)]} of the raw samples."""
    query = urllib.parse.urlencode({"query": f"{selector}[10m]"})
    series = requests.get(f"{url}/api/v1/query?{query}", timeout=10).json()["data"]["result"]
    return {each["metric"]["route"]: [(round(when), float(value)) for when, value in each["values"]] for each in series}


def test_prometheus_has_every_point(prometheus, make_agent):
    endpoint = f"{prometheus}/api/v1/otlp/v1/metrics"
    agent = make_agent(upstream_url=prometheus, exporter={"metrics_endpoint": endpoint}).start()
    begin = int(time.time()) - POINTS - 5
    sent = {"shop_temperature_celsius": {}, "shop_sales_total": {}}
    for second in range(begin, begin + POINTS):
        message = otlp.REQUESTS["metrics"]()
        group = message.resource_metrics.add()
        group.resource.attributes.add(key="service.name").value.string_value = "shop"
        metrics = group.scope_metrics.add().metrics
        gauge = metrics.add(name="shop.temperature", unit="Cel").gauge
        total = metrics.add(name="shop.sales").sum
        total.is_monotonic, total.aggregation_temporality = True, 2
        for route in range(SERIES):
            for data, name, value in ((gauge, "shop_temperature_celsius", 20.5 - second % 7 + route),
                                      (total, "shop_sales_total", float((second - begin) * (route + 1)))):
                point = data.data_points.add(start_time_unix_nano=begin * 10**9, time_unix_nano=second * 10**9,
                                             as_double=value)
                point.attributes.add(key="route").value.string_value = f"/r{route}"
                sent[name].setdefault(f"/r{route}", []).append((second, value))
        post(agent, "metrics", message)
    assert agent.stop() == 0
    assert {name: found_in_prometheus(prometheus, name) for name in sent} == sent
