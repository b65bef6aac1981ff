"""Configurations as users of the Collector have them, run as they are: tests/golden/collector/configs.

Only what fixes a port or names a host of somebody's network is set by the test, as the operator of another machine would
with --set or the environment. Each is sent to by every way in that it has, and every item arrives exactly once.
"""

import base64
import dataclasses
import http.client
import json
import os
import socket
import ssl
import subprocess
import threading

import grpc
import pytest
import requests

import otlp
from agent import BINARY, ROOT, free_ports, wait_until
from grpc_upstream import GrpcUpstream
from load import new_ids
from test_tls import Authority
from upstream import Upstream

CONFIGURATIONS = ROOT / "tests/golden/collector/configs"
TOKEN = "token-of-the-test-1618"
METRICS_READERS = "service::telemetry::metrics::readers"


@dataclasses.dataclass
class Case:
    name: str
    receivers: dict = dataclasses.field(default_factory=lambda: {"otlp": ("grpc", "http")})
    exporters: dict = dataclasses.field(default_factory=lambda: {"otlp": "grpc"})  # those with an upstream
    signals: dict = dataclasses.field(default_factory=dict)  # of an exporter that does not get all
    sources: dict = dataclasses.field(default_factory=dict)  # of an exporter that does not get all: its receivers
    own_endpoints: dict = dataclasses.field(default_factory=dict)  # exporter: its keys for single signals
    upstream_tls: str = ""  # "", server, mutual
    tls: str = ""  # of the receivers
    headers: dict = dataclasses.field(default_factory=dict)  # that clients send
    expected_headers: dict = dataclasses.field(default_factory=dict)  # that the upstream must see
    environment: dict = dataclasses.field(default_factory=dict)
    health_path: str = ""  # "": no health port
    metrics_port: bool = True
    transport: str = "tcp"


def basic(name, password):
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


BEARER = {"authorization": f"Bearer {TOKEN}"}
OTLP_HTTP = {"otlphttp": "http"}
CASES = [
    Case("sidecar"),
    Case("daemonset", exporters={"otlp/gateway": "grpc"}, environment={"HOST_IP": "127.0.0.1"}, health_path="/"),
    Case("gateway-client", exporters=OTLP_HTTP, expected_headers={"X-Tenant": "branch-office-12"}),
    Case("tls", tls="server", upstream_tls="server"),
    Case("mutual-tls", tls="mutual", upstream_tls="mutual", exporters=OTLP_HTTP),
    Case("basic-auth", exporters=OTLP_HTTP, headers=basic("alice", "secret"),
         expected_headers={"Authorization": basic("edge", "backend")["authorization"]},
         environment={"BASIC_AUTH_USERNAME": "alice", "BASIC_AUTH_PASSWORD": "secret", "BACKEND_PASSWORD": "backend"}),
    Case("bearer-token-file", upstream_tls="server", headers=BEARER, expected_headers=BEARER),
    Case("several-exporters", exporters={"otlp/jaeger": "grpc", "otlphttp/archive": "http"},
         signals={"otlp/jaeger": ("traces",)}),
    Case("pipelines-of-their-own", exporters={"otlp/tempo": "grpc", "otlphttp/mimir": "http", "otlphttp/loki": "http"},
         signals={"otlp/tempo": ("traces",), "otlphttp/mimir": ("metrics",), "otlphttp/loki": ("logs",)},
         own_endpoints={"otlphttp/mimir": ("metrics",), "otlphttp/loki": ("logs",)}),
    Case("environment", exporters=OTLP_HTTP, metrics_port=False, expected_headers={
        "Authorization": f"Bearer {TOKEN}", "X-Price": "5$", "Content-Encoding": "zstd"},
         environment={"OTLP_TOKEN": TOKEN, "OTLP_COMPRESSION": "zstd", "LOG_LEVEL": "debug"}),
    Case("persistent-queue"),
    Case("memory-limiter-first"),
    Case("vendor-api-key", exporters={"otlphttp/vendor": "http"}, own_endpoints={"otlphttp/vendor": ("metrics",)},
         environment={"VENDOR_API_KEY": "key-of-the-test"}, expected_headers={"Api-Key": "key-of-the-test"}),
    Case("unix-socket", exporters=OTLP_HTTP, transport="unix", metrics_port=False),
    Case("own-telemetry"),
    Case("extensions", health_path="/healthz"),
    Case("retry-tuning"),
    Case("zstd", exporters=OTLP_HTTP, expected_headers={"Content-Encoding": "zstd"}),
    Case("two-receivers", receivers={"otlp": ("grpc", "http"), "otlp/devices": ("http",)}),
    Case("without-queue"),
    Case("json-encoding", exporters=OTLP_HTTP, expected_headers={"Content-Type": "application/json"}),
    Case("several-pipelines", receivers={"otlp": ("grpc", "http"), "otlp/devices": ("http",)},
         exporters={"otlp/backend": "grpc", "otlphttp/archive": "http"}, sources={"otlp/backend": ("otlp",)}),
    Case("helm-chart", environment={"MY_POD_IP": "127.0.0.1"}, health_path="/"),
]


def server_context(authority, mutual):
    cert, key = authority.issue("upstream")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if mutual:
        context.load_verify_locations(authority.cert)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def server_credentials(authority, mutual):
    cert, key = authority.issue("upstream")
    return grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())],
                                       authority.cert.read_bytes() if mutual else None, mutual)


class UnixHttpConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Run:
    """One of the configurations with its upstreams and whoever sends to it."""

    def __init__(self, case, directory, start_upstream):
        self.case = case
        self.directory = directory
        self.authority = Authority(directory)
        self.upstreams = {name: self.make_upstream(kind, start_upstream) for name, kind in case.exporters.items()}
        self.ways = []  # (receiver, protocol, where)
        self.sets = []
        self.metrics_port = self.health_port = None
        self.choose_ports()
        self.point_at_upstreams()
        for name in ("server", "client"):
            self.authority.issue(name)
        (directory / "token").write_text(TOKEN + "\n")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
            "STATE_DIRECTORY": str(directory / "state"), "STORAGE_DIR": str(directory / "storage"),
            "SOCKET_DIR": str(directory), "TLS_DIR": str(directory), "TOKEN_FILE": str(directory / "token"),
            **case.environment}
        for upstream in self.upstreams.values():
            self.environment.setdefault("OTLP_UPSTREAM", f"http://{self.address(upstream)}")

    def make_upstream(self, kind, start_upstream):
        mutual = self.case.upstream_tls == "mutual"
        if kind == "http":
            tls = server_context(self.authority, mutual) if self.case.upstream_tls else None
            return start_upstream(kind=Upstream, tls=tls)
        tls = server_credentials(self.authority, mutual) if self.case.upstream_tls else None
        return start_upstream(kind=GrpcUpstream, tls=tls)

    def address(self, upstream):
        return f"{'localhost' if self.case.upstream_tls else '127.0.0.1'}:{upstream.port}"

    def choose_ports(self):
        for receiver, protocols in self.case.receivers.items():
            for protocol in protocols:
                if self.case.transport == "unix":
                    self.ways.append((receiver, protocol, str(self.directory / f"{protocol}.sock")))
                    continue
                port, = free_ports(1)
                self.ways.append((receiver, protocol, port))
                self.sets.append(f"receivers::{receiver}::protocols::{protocol}::endpoint=127.0.0.1:{port}")
        if self.case.health_path:
            self.health_port, = free_ports(1)
            self.sets.append(f"extensions::health_check::endpoint=127.0.0.1:{self.health_port}")
        if self.case.metrics_port:
            self.metrics_port, = free_ports(1)
            reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self.metrics_port}}}}
            self.sets.append(f"{METRICS_READERS}={json.dumps([reader])}")

    def point_at_upstreams(self):
        for name, upstream in self.upstreams.items():
            scheme = "https" if self.case.upstream_tls else "http"
            url = f"{scheme}://{self.address(upstream)}"
            own = self.case.own_endpoints.get(name, ())
            for each in own:
                self.sets.append(f"exporters::{name}::{each}_endpoint={url}/v1/{each}")
            if tuple(own) != self.case.signals.get(name, otlp.SIGNALS):
                self.sets.append(f"exporters::{name}::endpoint={url if self.case.exporters[name] == 'http' else self.address(upstream)}")

    # ---- the agent ----
    def start(self):
        command = [BINARY, "--config", CONFIGURATIONS / f"{self.case.name}.yaml"]
        for each in self.sets:
            command += ["--set", each]
        self.log = self.directory / "agent.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        for _, _, where in self.ways:
            wait_until(lambda where=where: self.connects(where), 20, f"a receiver at {where}")

    def connects(self, where):
        assert self.process.poll() is None, self.log.read_text()
        unix = self.case.transport == "unix"
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as client:
            return client.connect_ex(where if unix else ("127.0.0.1", where)) == 0

    def stop(self):
        self.process.terminate()
        return self.process.wait(15)

    # ---- clients ----
    def send(self, way, signal):
        ids = new_ids(7)
        body = otlp.make_request(signal, ids, 20, ids[0])
        _, protocol, where = way
        (self.send_grpc if protocol == "grpc" else self.send_http)(where, signal, body)
        return ids

    def send_grpc(self, where, signal, body):
        if self.case.transport == "unix":
            channel = grpc.insecure_channel(f"unix:{where}")
        elif self.case.tls:
            files = [self.directory / name for name in ("client.key", "client.crt")]
            pair = [file.read_bytes() for file in files] if self.case.tls == "mutual" else []
            channel = grpc.secure_channel(f"localhost:{where}", grpc.ssl_channel_credentials(
                self.authority.cert.read_bytes(), *pair))
        else:
            channel = grpc.insecure_channel(f"127.0.0.1:{where}")
        with channel:
            answer = channel.unary_unary(otlp.GRPC_METHODS[signal])(
                body, timeout=20, metadata=list(self.case.headers.items()))
        assert answer in (b"", b"\x0A\x00")

    def send_http(self, where, signal, body):
        headers = {"Content-Type": "application/x-protobuf", **self.case.headers}
        if self.case.transport == "unix":
            connection = UnixHttpConnection(where)
            connection.request("POST", f"/v1/{signal}", body, headers)
            status = connection.getresponse().status
            connection.close()
        else:
            session = requests.Session()
            session.trust_env = False
            session.verify = str(self.authority.cert)
            if self.case.tls == "mutual":
                session.cert = (str(self.directory / "client.crt"), str(self.directory / "client.key"))
            scheme = "https" if self.case.tls else "http"
            with session:
                status = session.post(f"{scheme}://localhost:{where}/v1/{signal}", body, headers=headers,
                                      timeout=20).status_code
        assert status == 200


@pytest.fixture
def start_upstream():
    made = []

    def start(kind, tls):
        made.append(kind(tls=tls))
        return made[-1]

    yield start
    for upstream in made:
        upstream.down()
    assert [upstream.objections() for upstream in made] == [[] for _ in made]


@pytest.fixture
def run(request, tmp_path, start_upstream):
    made = Run(request.param, tmp_path, start_upstream)
    made.start()
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    print(made.log.read_text()[-6000:])


def test_every_configuration_is_run():
    assert {case.name for case in CASES} == {path.stem for path in CONFIGURATIONS.glob("*.yaml")}


@pytest.mark.parametrize("run", CASES, ids=lambda case: case.name, indirect=True)
def test_configuration_of_a_collector_runs_unchanged(run):
    case = run.case
    sent = {(receiver, signal): [] for receiver in case.receivers for signal in otlp.SIGNALS}
    lock = threading.Lock()

    def send_all(way):
        for signal in otlp.SIGNALS:
            for _ in range(5):
                ids = run.send(way, signal)
                with lock:
                    sent[way[0], signal] += ids

    threads = [threading.Thread(target=send_all, args=(way,)) for way in run.ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(ids) for ids in sent.values()) == 35 * len(run.ways) * len(otlp.SIGNALS)
    wanted = {name: sorted(
        i for (receiver, signal), ids in sent.items() for i in ids
        if signal in case.signals.get(name, otlp.SIGNALS) and receiver in case.sources.get(name, case.receivers))
        for name in run.upstreams}
    if case.health_path:
        assert requests.get(f"http://127.0.0.1:{run.health_port}{case.health_path}", timeout=10).status_code == 200
    if case.metrics_port:
        page = requests.get(f"http://127.0.0.1:{run.metrics_port}/metrics", timeout=10).text
        assert "otelcol_receiver_accepted_spans" in page
    for name, upstream in run.upstreams.items():
        upstream.wait_for(lambda u, count=len(wanted[name]): sum(len(r.ids) for r in u.received) >= count)
    assert run.stop() == 0, run.log.read_text()
    for name, upstream in run.upstreams.items():
        assert sorted(upstream.ids()) == wanted[name]
        for received in upstream.requests():
            for header, value in case.expected_headers.items():
                assert received.headers.get(header) == value
