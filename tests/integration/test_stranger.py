"""A harness that knows the OpenTelemetry Collector only: it writes a configuration of that shape, runs `holdfast --config FILE`
with nothing else said, waits for the receiver's port, sends at a rate, ends the agent with SIGTERM, and counts.

The shape is that of the Collector's own testbed: one pipeline, no storage, no health port, empty lines where options
could be, `pprof` with a comma behind it.
"""

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter

import grpc
import pytest

import otlp
from agent import BINARY, free_ports, wait_until
from grpc_upstream import GrpcUpstream
from load import new_ids
from upstream import Upstream

ITEMS_PER_SECOND = 10_000
ITEMS_PER_REQUEST = 100
SECONDS_TO_ARRIVE = 3

UPSTREAMS = {"otlp_http": Upstream, "otlp_grpc": GrpcUpstream, "otlphttp": Upstream, "otlp": GrpcUpstream}

CONFIGURATION = """
receivers:
  otlp:
    protocols:
      {protocol}:
        endpoint: "127.0.0.1:{port}"
exporters:
  {exporter}:
    endpoint: "{endpoint}"
    {retry}
    {queue}
    tls:
      insecure: true
    compression: "{compression}"
processors:
  {processor_section}

extensions:
  pprof:
    save_to_file: {directory}/cpu.prof
  {extension_section}

service:
  extensions: [pprof, {extensions}]
  pipelines:
    {signal}:
      receivers: [otlp]
      processors: [{processors}]
      exporters: [{exporter}]
"""


def configuration(directory, port, endpoint, signal_name, protocol, exporter, compression, **options):
    blanks = dict.fromkeys(("retry", "queue", "processor_section", "extension_section", "extensions", "processors"), "")
    return CONFIGURATION.format(**{**blanks, **options}, directory=directory, port=port, endpoint=endpoint,
                                signal=signal_name, protocol=protocol, exporter=exporter, compression=compression)


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """What is /var/lib to the agents of this file, one after the other, as on a machine of its own."""
    return tmp_path_factory.mktemp("var-lib")


class Stranger:
    """Runs the binary with a configuration file and nothing else of its own but /var/lib and HOME."""

    def __init__(self, directory, state, text, port):
        self.file = directory / "agent.yaml"
        self.file.write_text(text)
        self.log_file = directory / "agent.log"
        self.port = port
        space = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", *space, "sh", "-c", 'mount --bind "$0" /var/lib && exec "$@"', state, BINARY, "--config",
                 self.file], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def wait_for_port(self):
        def listening():
            assert self.process.poll() is None, f"the agent ended with {self.process.returncode}:\n{self.log()}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listening, 10, "a receiver that takes connections")
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture
def run_agent(tmp_path, state):
    """Starts an agent with a configuration and waits for its port."""
    made = []

    def run(text, port, name="agent"):
        directory = tmp_path / name
        directory.mkdir()
        made.append(Stranger(directory, state, text, port))
        return made[-1].wait_for_port()

    yield run
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        print(f"---- log\n{each.log()[-4000:]}")


def prepared(signal_name, requests):
    """That many requests, made before the clock runs: (body, ids) of each."""
    made = []
    for _ in range(requests):
        ids = new_ids(ITEMS_PER_REQUEST)
        made.append((otlp.make_request(signal_name, ids, seed=ids[0]), ids))
    return made


def send_at_rate(protocol, port, signal_name, load):
    """One request after the other at ITEMS_PER_SECOND; fails if one is refused. A machine that is busy makes it slower."""
    interval = ITEMS_PER_REQUEST / ITEMS_PER_SECOND
    begin = time.monotonic()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        export = channel.unary_unary(otlp.GRPC_METHODS[signal_name])
        for number, (body, _) in enumerate(load):
            threading.Event().wait(max(0, begin + number * interval - time.monotonic()))
            if protocol == "grpc":
                export(body, timeout=10)
                continue
            connection.request("POST", f"/v1/{signal_name}", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"\x0a\x00")
        connection.close()


COMBINATIONS = [(signal_name, protocol, exporter, compression)
                for signal_name in otlp.SIGNALS for protocol in ("grpc", "http")
                for exporter in ("otlp_grpc", "otlp_http") for compression in ("none", "gzip", "zstd")]
# Each pair of values once at least.
QUICK = [("traces", "grpc", "otlp_grpc", "none"), ("traces", "http", "otlp_http", "gzip"),
         ("metrics", "grpc", "otlp_http", "zstd"), ("metrics", "http", "otlp_grpc", "gzip"),
         ("logs", "http", "otlp_http", "none"), ("logs", "grpc", "otlp_grpc", "zstd")]


def exactly_once(tmp_path, run_agent, combination, seconds, **options):
    signal_name, protocol, exporter, compression = combination
    upstream = UPSTREAMS[exporter](keep=False)
    port, = free_ports(1)
    endpoint = upstream.url
    agent = run_agent(configuration(tmp_path, port, endpoint, *combination, **options), port)
    load = prepared(signal_name, seconds * ITEMS_PER_SECOND // ITEMS_PER_REQUEST)
    send_at_rate(protocol, port, signal_name, load)
    assert agent.stop() == 0
    sent = Counter(i for _, ids in load for i in ids)
    upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= sent.total(), SECONDS_TO_ARRIVE)
    upstream.down()
    assert upstream.objections() == []
    assert Counter(upstream.ids()) == sent


@pytest.mark.parametrize("combination", QUICK, ids="-".join)
def test_every_item_exactly_once_after_sigterm(tmp_path, run_agent, combination):
    exactly_once(tmp_path, run_agent, combination, seconds=1)


@pytest.mark.long
@pytest.mark.parametrize("combination", COMBINATIONS, ids="-".join)
def test_every_item_exactly_once_for_every_combination(tmp_path, run_agent, combination):
    exactly_once(tmp_path, run_agent, combination, seconds=3)


@pytest.mark.parametrize("exporter", UPSTREAMS)
def test_testbed_options_and_both_names_of_each_exporter(tmp_path, run_agent, exporter):
    exactly_once(
        tmp_path, run_agent, ("traces", "grpc", exporter, "none"), seconds=1,
        retry="retry_on_failure: {enabled: true, initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 500ms}",
        queue="sending_queue: {enabled: true, num_consumers: 10, queue_size: 1000}",
        processor_section="batch:\n    send_batch_size: 1000\n    timeout: 10s\n  memory_limiter:\n    check_interval: 1s\n"
                          "    limit_mib: 100",
        processors="memory_limiter,batch")
