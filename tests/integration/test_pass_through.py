"""sending_queue.enabled: false: what the upstream answers is what the client is told, in step, and nothing is stored."""

import threading
import time

import grpc
import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import otlp
from agent import wait_until
from grpc_upstream import GrpcUpstream, retry_info
from load import new_ids

PROTOBUF = {"Content-Type": "application/x-protobuf"}
NO_QUEUE = {"sending_queue": {"enabled": False}}


@pytest.fixture
def start_agent(make_agent):
    def start(exporter=None, **options):
        return make_agent(exporter={**NO_QUEUE, **(exporter or {})}, **options).start()

    return start


def post(agent, ids, signal="traces", timeout=20):
    return requests.post(f"{agent.http_url}/v1/{signal}", otlp.make_request(signal, ids), headers=PROTOBUF,
                         timeout=timeout)


def export(agent, ids, signal="traces", timeout=20):
    """The response over gRPC, or the grpc.RpcError."""
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        call = channel.unary_unary(otlp.GRPC_METHODS[signal])
        try:
            return call(otlp.make_request(signal, ids), timeout=timeout)
        except grpc.RpcError as error:
            return error


def assert_nothing_stored(agent):
    assert agent.segment_files() == []


@pytest.mark.parametrize("signal", otlp.SIGNALS)
def test_what_the_upstream_takes_is_answered_and_nothing_is_stored(signal, start_agent, upstream):
    agent = start_agent()
    ids = new_ids(10)
    assert post(agent, ids[:5], signal).status_code == 200
    assert upstream.ids() == ids[:5], "it was there before the answer"
    assert export(agent, ids[5:], signal) == b"\x0A\x00"
    assert upstream.ids() == ids
    assert_nothing_stored(agent)
    flow = agent.status()["signals"][signal]["exporters"]["otlp_http"]
    assert flow["sending_queue"] is False and flow["state"] == "ok" and flow["delivered_items"] == 10
    metrics = agent.metrics()
    assert metrics.total(f"otelcol_exporter_sent_{otlp.ITEM_NOUNS[signal]}", exporter="otlp_http") == 10
    assert metrics.total(f"otelcol_receiver_accepted_{otlp.ITEM_NOUNS[signal]}") == 10
    assert not any(name == "otelcol_exporter_queue_size" for name, _, _ in metrics.samples)


@pytest.mark.parametrize("status, http, code", [
    (400, 400, grpc.StatusCode.INVALID_ARGUMENT), (401, 401, grpc.StatusCode.UNAUTHENTICATED),
    (403, 403, grpc.StatusCode.PERMISSION_DENIED), (404, 404, grpc.StatusCode.UNIMPLEMENTED),
    (413, 500, grpc.StatusCode.UNKNOWN), (500, 500, grpc.StatusCode.UNKNOWN)])
def test_what_will_never_be_taken_is_said_at_once(status, http, code, start_agent, upstream):
    agent = start_agent()
    upstream.behave(status)
    assert post(agent, new_ids(2)).status_code == http
    assert export(agent, new_ids(2)).code() == code
    assert upstream.statuses == [status, status], "nothing was tried twice"
    assert_nothing_stored(agent)
    assert agent.metrics().total("otelcol_exporter_send_failed_spans") == 4
    assert agent.metrics().total("otelcol_receiver_refused_spans") == 4


def test_a_wait_that_the_upstream_asks_for_is_passed_on(start_agent, upstream):
    agent = start_agent({"retry_on_failure": {"enabled": False}})
    upstream.response_headers = {"Retry-After": "7"}
    upstream.behave(429)
    answer = post(agent, new_ids(1))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    error = export(agent, new_ids(1))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(error.trailing_metadata())["grpc-status-details-bin"].endswith(retry_info(7)[0][1][-4:])


def test_an_upstream_that_comes_back_in_time_is_waited_for(start_agent, upstream):
    agent = start_agent()
    upstream.behave(503)
    ids = new_ids(3)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(post(agent, ids)))
    asking.start()
    assert upstream.wait_for(lambda u: len(u.statuses) >= 2)
    upstream.behave("ok")
    asking.join()
    assert [answer.status_code for answer in answers] == [200]
    assert upstream.ids() == ids
    assert_nothing_stored(agent)


def test_the_clients_deadline_ends_the_waiting(start_agent, upstream):
    agent = start_agent({"retry_on_failure": {
        "initial_interval": "30s", "max_interval": "30s", "randomization_factor": 0}})
    upstream.behave(503)
    begun = time.monotonic()
    assert export(agent, new_ids(1), timeout=20).code() == grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - begun < 10, "the next try would be too late, so the answer comes now"


@pytest.mark.parametrize("over", ["http", "grpc"])
def test_a_client_that_hangs_up_ends_the_forwarding(over, start_agent, upstream):
    agent = start_agent({"timeout": "0s"})
    upstream.behave("hang")
    if over == "http":
        with pytest.raises(requests.Timeout):
            post(agent, new_ids(1), timeout=0.5)
    else:
        assert export(agent, new_ids(1), timeout=0.5).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: agent.status()["process"]["in_flight_bytes"] == 0, what="nothing in flight")
    upstream.behave("ok")
    assert post(agent, new_ids(1)).status_code == 200


def test_at_the_end_what_is_under_way_is_answered(start_agent, upstream):
    agent = start_agent({"retry_on_failure": {"initial_interval": "30s", "max_interval": "30s"}})
    released = threading.Event()
    upstream.behave(lambda signal, message: "ok" if released.wait(20) else 500)
    answers = {}
    asking = [threading.Thread(target=lambda: answers.update(http=post(agent, new_ids(1)).status_code)),
              threading.Thread(target=lambda: answers.update(grpc=export(agent, new_ids(1))))]
    for each in asking:
        each.start()
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["attempts"] == 2)
    agent.terminate()
    wait_until(lambda: "stopping" in agent.log(), what="the begin of the end")
    released.set()
    for each in asking:
        each.join()
    assert agent.stop() == 0
    assert answers == {"http": 200, "grpc": b"\x0A\x00"}
    assert upstream.item_count() == 2


def test_an_upstream_that_is_away_costs_no_thread_and_no_request_of_another_signal(start_agent, upstream):
    """64 clients wait in their back-off; the receivers go on answering, and bounds are said with a wait."""
    agent = start_agent({"retry_on_failure": {"initial_interval": "20s", "max_interval": "20s"},
                         "sending_queue": {"enabled": False, "num_consumers": 2}})
    upstream.behave(lambda signal, message: 503 if signal == "traces" else "ok")
    asking = [threading.Thread(target=export, args=(agent, new_ids(1), "traces", 30)) for _ in range(64)]
    for each in asking:
        each.start()
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["attempts"] == 64)
    begun = time.monotonic()
    assert post(agent, new_ids(1), "logs").status_code == 200
    assert time.monotonic() - begun < 5
    assert agent.stop() == 0
    for each in asking:
        each.join()


def test_a_pipeline_with_a_queue_as_well_stores_first(make_agent, upstream, start_upstream):
    other = start_upstream()
    pipeline = {"receivers": ["otlp"], "exporters": ["otlp_http", "otlp_http/now"]}
    agent = make_agent(config={
        "exporters": {"otlp_http/now": {"endpoint": other.url, **NO_QUEUE}},
        "service": {"pipelines": {signal: pipeline for signal in otlp.SIGNALS}}}).start()
    ids = new_ids(4)
    assert post(agent, ids[:2]).status_code == 200
    assert other.ids() == ids[:2]
    other.behave(400)
    assert post(agent, ids[2:]).status_code == 400
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) == 4)
    assert upstream.ids() == ids, "the exporter with the queue has both"
    flows = agent.status()["signals"]["traces"]["exporters"]
    assert flows["otlp_http"]["sending_queue"] is True and flows["otlp_http/now"]["sending_queue"] is False
    assert flows["otlp_http/now"]["delivered_items"] == 2 and flows["otlp_http/now"]["last_error"] != ""


def test_what_was_queued_before_is_delivered_when_the_queue_is_taken_away(make_agent, upstream):
    agent = make_agent().start()
    upstream.behave(503)
    ids = new_ids(4)
    assert post(agent, ids[:2]).status_code == 200
    assert agent.stop() == 0
    upstream.behave("ok")
    agent.config_file.write_text(agent.config_file.read_text().replace(
        '"timeout": "5s"', '"timeout": "5s", "sending_queue": {"enabled": false}'))
    agent.start()
    assert post(agent, ids[2:]).status_code == 200
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) == 4)
    assert sorted(upstream.ids()) == sorted(ids)
    agent.wait_empty()


class TestOverGrpc:
    """The same in front of an upstream over gRPC."""

    @pytest.fixture
    def upstream_class(self):
        return GrpcUpstream

    @pytest.fixture
    def agent(self, make_agent, upstream):
        pipeline = {"receivers": ["otlp"], "exporters": ["otlp"]}
        return make_agent(upstream_url=f"http://{upstream.url}", config={
            "exporters": {"otlp": {"endpoint": upstream.url, "tls": {"insecure": True}, **NO_QUEUE,
                                   "retry_on_failure": {"initial_interval": "50ms", "max_interval": "300ms",
                                                        "max_elapsed_time": "1ms"}}},
            "service": {"pipelines": {signal: pipeline for signal in otlp.SIGNALS}}}).start()

    def test_success(self, agent, upstream):
        ids = new_ids(6)
        assert export(agent, ids[:3]) == b"\x0A\x00"
        assert post(agent, ids[3:]).content == b"\x0A\x00"
        assert upstream.ids() == ids
        assert_nothing_stored(agent)

    @pytest.mark.parametrize("code, http", [
        ("INVALID_ARGUMENT", 400), ("UNAUTHENTICATED", 401), ("PERMISSION_DENIED", 403), ("UNIMPLEMENTED", 404),
        ("RESOURCE_EXHAUSTED", 429), ("UNAVAILABLE", 503), ("DATA_LOSS", 503), ("INTERNAL", 500), ("ABORTED", 503),
        ("NOT_FOUND", 500)])
    def test_the_code_is_the_clients(self, code, http, agent, upstream):
        upstream.behave(grpc.StatusCode[code])
        error = export(agent, new_ids(1))
        assert (error.code().name, error.details()) == (code, "no: as the test asked")
        assert post(agent, new_ids(1)).status_code == http

    def test_retry_info_comes_through(self, agent, upstream):
        upstream.behave((grpc.StatusCode.UNAVAILABLE, retry_info(9)))
        error = export(agent, new_ids(1))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert b"RetryInfo" in dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert post(agent, new_ids(1)).headers["Retry-After"] == "9"


def test_a_partial_success_is_the_clients(start_agent, upstream):
    agent = start_agent()
    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 1
    partial.partial_success.error_message = "too old"
    upstream.success_body = partial.SerializeToString()
    assert ExportTraceServiceResponse.FromString(post(agent, new_ids(2)).content) == partial
    assert ExportTraceServiceResponse.FromString(export(agent, new_ids(2))) == partial
    answer = requests.post(f"{agent.http_url}/v1/traces", timeout=20, headers={"Content-Type": "application/json"},
                           data='{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}')
    assert answer.json() == {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}
