"""TLS, credentials and unix sockets with real clients: curl, the Python SDK's exporters, grpcio."""

import base64
import shutil
import socket
import subprocess

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

import otlp
from agent import BINARY, wait_until
from grpc_upstream import GrpcUpstream
from load import new_ids

TOKEN = "token-of-the-test-3141"
PASSWORD = "password-of-the-test-2718"
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Signs certificates for localhost; issuing a name again replaces its files, one after the other."""

    def __init__(self, directory):
        self.directory = directory
        self.cert = directory / "ca.crt"
        self.key = directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=ca",
                "-days", "2", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, common_name=None):
        key, request, cert = (self.directory / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{key}.new",
                "-subj", f"/CN={common_name or name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days", "1", "-copy_extensions",
                "copy", "-out", f"{cert}.new")
        for each in (key, cert):
            shutil.move(f"{each}.new", each)
        return cert, key


@pytest.fixture(autouse=True)
def no_authorities_of_the_environment(monkeypatch):
    # They win over those that the clients are given.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def secured(authority, **receiver):
    """TLS on both receivers."""
    cert, key = authority.issue("server")
    tls = {"cert_file": str(cert), "key_file": str(key), "reload_interval": "1s", **receiver.pop("tls", {})}
    protocols = {name: {"tls": tls, **receiver} for name in ("grpc", "http")}
    return {"receivers": {"otlp": {"protocols": protocols}}}


class Watching(SpanExporter):
    """Remembers what the exporter was told."""

    def __init__(self, exporter):
        self.exporter = exporter
        self.results = []

    def export(self, spans):
        self.results.append(self.exporter.export(spans))
        return self.results[-1]

    def shutdown(self):
        self.exporter.shutdown()


def send_span(exporter, name):
    watching = Watching(exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(watching))
    provider.get_tracer("test").start_span(name).end()
    provider.shutdown()
    return watching.results == [SpanExportResult.SUCCESS]


def arrived(upstream, name):
    return upstream.wait_for(lambda u: any(name.encode() in request.body for request in u.received))


def curl(*arguments):
    """Exit status and what was printed: body, then status."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--write-out",
                           "\n%{http_code}", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout


def post(url, *arguments):
    return curl("--data-binary", "{}", "--header", "Content-Type: application/json", f"{url}/v1/traces", *arguments)


def test_sdk_and_curl_over_tls(authority, make_agent, upstream):
    agent = make_agent(config=secured(authority)).start()
    url = f"https://localhost:{agent.http_port}"
    assert send_span(HttpSpanExporter(endpoint=f"{url}/v1/traces", certificate_file=str(authority.cert)), "over http")
    credentials = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    assert send_span(GrpcSpanExporter(endpoint=f"localhost:{agent.grpc_port}", credentials=credentials), "over grpc")
    assert arrived(upstream, "over http") and arrived(upstream, "over grpc")

    assert post(url, "--cacert", authority.cert) == (0, '{"partialSuccess":{}}\n200')
    assert post(url)[0] == 60  # not of an authority of the system's
    assert post(url, "--cacert", authority.cert, "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")[0] == 35
    assert post(f"http://localhost:{agent.http_port}", "--http0.9")[1].startswith(
        "Client sent an HTTP request to an HTTPS server.")
    assert agent.stop() == 0


def test_client_certificates(authority, make_agent, upstream):
    cert, key = authority.issue("client")
    agent = make_agent(config=secured(authority, tls={"client_ca_file": str(authority.cert)})).start()
    url = f"https://localhost:{agent.http_port}"
    ours = ["--cacert", authority.cert]
    assert post(url, *ours, "--cert", cert, "--key", key)[1].endswith("\n200")
    assert post(url, *ours)[0] == 56  # told after its handshake, as TLS 1.3 has it
    roots = authority.cert.read_bytes()
    with_certificate = grpc.ssl_channel_credentials(roots, key.read_bytes(), cert.read_bytes())
    assert send_span(GrpcSpanExporter(endpoint=f"localhost:{agent.grpc_port}", credentials=with_certificate), "known")
    with grpc.secure_channel(f"localhost:{agent.grpc_port}", grpc.ssl_channel_credentials(roots)) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(METHOD)(b"", timeout=5)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_replaced_certificate_is_picked_up_under_load(authority, make_agent):
    agent = make_agent(config=secured(authority)).start()
    url = f"https://localhost:{agent.http_port}/v1/traces"

    def name_of_server(port):
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", authority.cert],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
        return said.split("subject=CN = ")[1].split("\n")[0]

    with requests.Session() as session, grpc.secure_channel(
            f"localhost:{agent.grpc_port}", grpc.ssl_channel_credentials(authority.cert.read_bytes())) as channel:
        session.verify = str(authority.cert)
        session.trust_env = False
        export = channel.unary_unary(METHOD)

        def still_answered():
            assert session.post(url, json={}).status_code == 200
            assert export(b"", timeout=5) == b"\x0a\x00"

        still_answered()
        assert name_of_server(agent.http_port) == name_of_server(agent.grpc_port) == "server"
        authority.issue("server", "renewed")
        for port in (agent.http_port, agent.grpc_port):
            wait_until(lambda port=port: still_answered() or name_of_server(port) == "renewed", 30, "a new certificate")
        still_answered()
    assert "certificate replaced" in agent.log()


def everything_said(agent):
    """All that the agent tells anybody: its log, its pages, its configuration printed."""
    printed = subprocess.run([BINARY, "print-config", "--config", agent.config_file], capture_output=True, text=True)
    assert printed.returncode == 0
    pages = [requests.get(agent.health_url(page), timeout=10).text for page in ("/", "/status", "/metrics")]
    return "\n".join([agent.log(), printed.stdout, printed.stderr, *pages])


def test_credentials_both_ways_and_no_secret_is_told(tmp_path, make_agent, upstream):
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    config = {
        "receivers": {"otlp": {"protocols": {
            "grpc": {"auth": {"authenticator": "bearertokenauth"}},
            "http": {"auth": {"authenticator": "basicauth/in"}},
        }}},
        "exporters": {"otlp_http": {"auth": {"authenticator": "basicauth/out"},
                                    "headers": {"x-api-key": PASSWORD + "-in-a-header"}}},
        "extensions": {
            "bearertokenauth": {"filename": str(token_file)},
            "basicauth/in": {"htpasswd": {"inline": f"alice:{PASSWORD}"}},
            "basicauth/out": {"client_auth": {"username": "edge", "password": PASSWORD}},
        },
        "service": {"extensions": ["health_check", "disk_buffer", "bearertokenauth", "basicauth/in", "basicauth/out"],
                    "telemetry": {"logs": {"level": "debug"}}},
    }
    agent = make_agent(config=config).start()
    url = agent.http_url
    basic = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    assert send_span(HttpSpanExporter(endpoint=f"{url}/v1/traces", headers={"Authorization": f"Basic {basic}"}), "basic")
    assert send_span(GrpcSpanExporter(endpoint=agent.grpc_endpoint, insecure=True,
                                      headers=(("authorization", f"Bearer {TOKEN}"),)), "bearer")
    assert arrived(upstream, "basic") and arrived(upstream, "bearer")
    sent = base64.b64encode(f"edge:{PASSWORD}".encode()).decode()
    assert {request.headers.get("Authorization") for request in upstream.received} == {f"Basic {sent}"}

    assert post(url, "--user", f"alice:{PASSWORD}")[1].endswith("\n200")
    assert post(url, "--user", f"alice:{PASSWORD}x")[1] == '{"code":16,"message":"invalid credentials"}\n401'
    answer = requests.post(f"{url}/v1/traces", json={}, timeout=10)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic realm=")
    token_file.write_text("another-" + TOKEN)
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(METHOD)(b"", timeout=10, metadata=[("authorization", f"Bearer {TOKEN}")])
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        channel.unary_unary(METHOD)(b"", timeout=10, metadata=[("authorization", f"Bearer another-{TOKEN}")])

    # Wrong references are told, secrets in the same configuration are not.
    broken = subprocess.run([BINARY, "validate", "--config", agent.config_file, "--set",
                             "receivers.otlp.protocols.grpc.auth.authenticator=nobody"], capture_output=True, text=True)
    assert broken.returncode == 2 and "nobody" in broken.stderr
    said = everything_said(agent) + broken.stdout + broken.stderr
    for secret in (TOKEN, PASSWORD, basic, sent):
        assert secret not in said
    assert agent.stop() == 0
    assert TOKEN not in agent.log() and PASSWORD not in agent.log()


@pytest.fixture(params=["otlp_http", "otlp_grpc"])
def exporter_and_upstream(request, start_upstream):
    """The name of an exporter, and an upstream for it."""
    if request.param == "otlp_http":
        yield request.param, start_upstream()
        return
    upstream = GrpcUpstream()
    yield request.param, upstream
    upstream.down()
    assert upstream.objections() == []


def test_exporters_and_replay_send_the_token_of_the_moment(exporter_and_upstream, tmp_path, make_agent):
    name, upstream = exporter_and_upstream
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    pipelines = {signal: {"exporters": [name]} for signal in otlp.SIGNALS}
    agent = make_agent(upstream_url=f"http://127.0.0.1:{upstream.port}", config={
        "exporters": {name: {"endpoint": upstream.url, "tls": {"insecure": True},
                             "auth": {"authenticator": "bearertokenauth"}}},
        "extensions": {"bearertokenauth": {"filename": str(token_file)}},
        "service": {"extensions": ["health_check", "disk_buffer", "bearertokenauth"], "pipelines": pipelines},
    }).start()

    def send_one():
        requests.post(f"{agent.http_url}/v1/traces", otlp.make_request("traces", new_ids(1)), timeout=10,
                      headers={"Content-Type": "application/x-protobuf"}).raise_for_status()

    def authorizations():
        return [request.headers.get("Authorization", request.headers.get("authorization"))
                for request in upstream.requests()]

    send_one()
    assert upstream.wait_for(lambda u: len(u.received) == 1)
    token_file.write_text("another-" + TOKEN)
    send_one()
    assert upstream.wait_for(lambda u: len(u.received) == 2)
    assert authorizations() == [f"Bearer {TOKEN}", f"Bearer another-{TOKEN}"]

    upstream.behave(400 if name == "otlp_http" else grpc.StatusCode.INVALID_ARGUMENT)
    send_one()
    wait_until(lambda: agent.metrics().total("holdfast_quarantined_items_total") == 1, what="a span in quarantine")
    upstream.behave("ok")
    token_file.write_text("last-" + TOKEN)
    done = subprocess.run([BINARY, "quarantine", "replay", "--config", agent.config_file, "--all"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert authorizations()[2:] == [f"Bearer last-{TOKEN}"]
    assert TOKEN not in agent.log() + done.stdout + done.stderr


def test_unix_sockets(tmp_path, make_agent, upstream):
    paths = {name: tmp_path / f"{name}.sock" for name in ("grpc", "http", "health")}
    leftover = socket.socket(socket.AF_UNIX)
    leftover.bind(str(paths["http"]))
    leftover.close()

    def at(name):
        return {"transport": "unix", "endpoint": str(paths[name])}

    agent = make_agent(config={"receivers": {"otlp": {"protocols": {"grpc": at("grpc"), "http": at("http")}}},
                               "extensions": {"health_check": at("health")}})
    agent.spawn()

    def healthy():
        return curl("--unix-socket", paths["health"], "http://localhost/")[1].endswith("\n200")

    wait_until(healthy, 20, "a ready agent")
    assert [oct(path.stat().st_mode & 0o777) for path in paths.values()] == ["0o660"] * 3
    assert post("http://localhost", "--unix-socket", paths["http"])[1].endswith("\n200")
    assert send_span(GrpcSpanExporter(endpoint=f"unix:{paths['grpc']}", insecure=True), "over a socket")
    assert arrived(upstream, "over a socket")
    assert agent.stop() == 0
    assert [path.exists() for path in paths.values()] == [False] * 3
