"""Without a sending queue the upstream's answer is the client's: the same status and code from the real Collector and from
Holdfast, over both protocols and encodings. The words differ: ours are the upstream's, the Collector tells of its request.
"""

import grpc
import pytest

import grpc_cases
import http_cases
import raw_http
from agent import free_ports
from collector import holdfast, real_collector
from grpc_upstream import GrpcUpstream
from upstream import Upstream

pytestmark = pytest.mark.long  # builds the Collector with Go

HTTP_ANSWERS = {
    **{str(status): (status, {}) for status in (400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504)},
    "429 with Retry-After": (429, {"Retry-After": "7"}), "503 with Retry-After": (503, {"Retry-After": "3"}),
    "reset": ("reset", {}), "no answer": ("hang", {}), "200": ("ok", {}),
}
GRPC_ANSWERS = {
    **{code.name: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK}, "no answer": "hang", "OK": "ok"}


class Pair:
    """The Collector and Holdfast, each before an upstream of its own."""

    def __init__(self, directory, exporter, upstream_class):
        self.upstreams, self.ports, self.running = [], [], []
        for start in (real_collector, holdfast):
            ports, upstream = free_ports(2), upstream_class()
            self.running.append(start(directory / start.__name__, {
                "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{ports[0]}"},
                                                     "http": {"endpoint": f"127.0.0.1:{ports[1]}"}}}},
                "exporters": {exporter: {
                    "endpoint": upstream.url, "tls": {"insecure": True}, "timeout": "1s",
                    "sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}},
                "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": [exporter]}},
                            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}}},
            }, ports))
            self.ports.append(ports)
            self.upstreams.append(upstream)
        for each in self.running:
            each.start()

    def answers(self):
        """Of both: what a client is told."""
        return [(
            _told(raw_http.exchange(http_port, http_cases.post())),
            _told(raw_http.exchange(http_port, http_cases.post_json(http_cases.span()))),
            grpc_cases.call(grpc_port, http_cases.SPAN)["code"],
        ) for grpc_port, http_port in self.ports]

    def stop(self):
        assert [each.stop() for each in self.running] == [0, 0]
        for upstream in self.upstreams:
            upstream.down()
            assert upstream.objections() == []


def _told(answer):
    if answer.status == 200:
        return 200
    wire = answer.headers["content-type"] == "application/x-protobuf"
    code = answer.body[1] if wire else int(answer.body.split(b'"code":')[1].split(b",")[0])
    return answer.status, code


@pytest.fixture(scope="module")
def over_http(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("over_http"), "otlp_http", Upstream)
    yield pair
    pair.stop()


@pytest.fixture(scope="module")
def over_grpc(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("over_grpc"), "otlp_grpc", GrpcUpstream)
    yield pair
    pair.stop()


@pytest.mark.parametrize("answer", HTTP_ANSWERS)
def test_an_answer_over_http_is_passed_through(answer, over_http):
    behaviour, headers = HTTP_ANSWERS[answer]
    for upstream in over_http.upstreams:
        upstream.response_headers = headers
        upstream.behave(behaviour)
    theirs, ours = over_http.answers()
    assert theirs == ours


@pytest.mark.parametrize("answer", GRPC_ANSWERS)
def test_an_answer_over_grpc_is_passed_through(answer, over_grpc):
    for upstream in over_grpc.upstreams:
        upstream.behave(GRPC_ANSWERS[answer])
    theirs, ours = over_grpc.answers()
    assert theirs == ours


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_through(status, over_http):
    """The Collector reads it and does not tell its client; ours does, so that the client does not come too soon."""
    for upstream in over_http.upstreams:
        upstream.response_headers = {"Retry-After": "7"}
        upstream.behave(status)
    headers = [raw_http.exchange(port, http_cases.post()).headers.get("retry-after") for _, port in over_http.ports]
    assert headers == [None, "7"]
