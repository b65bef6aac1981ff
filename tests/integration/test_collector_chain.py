"""The real Collector before Holdfast and behind it, and one configuration file that runs in both."""

import http.client
from collections import Counter

import grpc
import pytest

import otlp
from agent import free_ports
from collector import holdfast, real_collector
from load import new_ids

pytestmark = pytest.mark.long  # builds the Collector with Go

REQUESTS = 20
ITEMS = 50


def configuration(ports, exporter, endpoint, compression):
    """Takes OTLP on ports (gRPC, HTTP), sends all signals on."""
    return {
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": f"127.0.0.1:{ports[0]}"}, "http": {"endpoint": f"127.0.0.1:{ports[1]}"}}}},
        "processors": {"memory_limiter": {"check_interval": "1s", "limit_mib": 200}, "batch": {"timeout": "50ms"}},
        "exporters": {exporter: {
            "endpoint": endpoint, "compression": compression, "tls": {"insecure": True},
            "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"}}},
        "service": {
            "pipelines": {signal: {"receivers": ["otlp"], "processors": ["memory_limiter", "batch"], "exporters": [exporter]}
                          for signal in otlp.SIGNALS},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}}},
    }


def endpoint_of(ports, exporter):
    return f"127.0.0.1:{ports[0]}" if exporter == "otlp_grpc" else f"http://127.0.0.1:{ports[1]}"


def send(ports):
    """Requests of all signals over both protocols; returns the ids of their items."""
    sent = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", ports[1], timeout=10)
    with grpc.insecure_channel(f"127.0.0.1:{ports[0]}") as channel:
        for number in range(REQUESTS):
            for signal in otlp.SIGNALS:
                ids = new_ids(ITEMS)
                body = otlp.make_request(signal, ids, padding=50, seed=number)
                if number % 2:
                    channel.unary_unary(otlp.GRPC_METHODS[signal])(body, timeout=10)
                else:
                    connection.request("POST", f"/v1/{signal}", body, {"Content-Type": "application/x-protobuf"})
                    answer = connection.getresponse()
                    assert (answer.status, answer.read()) == (200, b"\x0a\x00")
                sent.update(ids)
    connection.close()
    return sent


@pytest.fixture
def run(tmp_path):
    running = []

    def start(program, document, ports, name):
        running.append(program(tmp_path / name, document, ports))
        return running[-1].start()

    yield start
    for each in running:
        each.kill()
        print(f"---- {each.command[0]}\n{each.log()[-3000:]}")


@pytest.mark.parametrize(("exporter", "compression"), [
    *(("otlp_grpc", each) for each in ("none", "gzip", "zstd", "snappy")),
    *(("otlp_http", each) for each in ("none", "gzip", "zstd", "snappy", "x-snappy-framed", "zlib", "deflate", "lz4"))])
def test_between_two_collectors_every_item_passes_once(exporter, compression, run, upstream):
    front, middle, back = free_ports(2), free_ports(2), free_ports(2)
    chain = [
        run(real_collector, configuration(back, "otlp_http", upstream.url, "gzip"), back, "back"),
        run(holdfast, configuration(middle, exporter, endpoint_of(back, exporter), compression), middle, "middle"),
        run(real_collector, configuration(front, exporter, endpoint_of(middle, exporter), compression), front, "front"),
    ]
    sent = send(front)
    assert [each.stop() for each in reversed(chain)] == [0, 0, 0]  # each sends on what it has
    assert Counter(upstream.ids()) == sent


@pytest.mark.parametrize("exporter", ["otlp_grpc", "otlp_http"])
def test_one_file_runs_in_both(exporter, run, upstream, tmp_path):
    ports, back = free_ports(2), free_ports(2)
    receiver = run(real_collector, configuration(back, "otlp_http", upstream.url, "none"), back, "back")
    document = configuration(ports, exporter, endpoint_of(back, exporter), "gzip")
    document["extensions"] = {
        "file_storage": {"directory": str(tmp_path / "storage"), "create_directory": True},
        "health_check": {"endpoint": f"127.0.0.1:{free_ports(1)[0]}"}}
    document["service"]["extensions"] = ["file_storage", "health_check"]
    document["exporters"][exporter]["sending_queue"] = {"storage": "file_storage"}
    sent = Counter()
    for program in (real_collector, holdfast):  # one after the other, as when a user changes over
        running = run(program, document, ports, program.__name__)
        sent += send(ports)
        # The Collector ends with what it has in its storage, which Holdfast does not read: a user empties it first.
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= sent.total())
        assert running.stop() == 0
    assert receiver.stop() == 0
    assert Counter(upstream.ids()) == sent
