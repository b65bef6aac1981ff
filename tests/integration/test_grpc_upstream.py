"""The otlp_grpc exporter of the real binary in front of a real gRPC server (grpcio) that goes away, refuses and hangs."""

import json
import subprocess

import grpc
import pytest
import requests

import otlp
from agent import BINARY, wait_until
from grpc_upstream import GrpcUpstream, retry_info
from load import Load, new_ids

NO_PAUSE = {"initial_interval": "50ms", "max_interval": "300ms"}


@pytest.fixture
def upstream_class():
    return GrpcUpstream


@pytest.fixture
def make_grpc_agent(make_agent, upstream):
    """An agent whose pipelines all end in one exporter over gRPC, called `name`."""

    def make(name="otlp_grpc", **exporter):
        pipeline = {"receivers": ["otlp"], "exporters": [name]}
        settings = {"endpoint": upstream.url, "tls": {"insecure": True}, "retry_on_failure": NO_PAUSE, **exporter}
        return make_agent(upstream_url=f"http://{upstream.url}", config={
            "exporters": {name: settings},
            "service": {"pipelines": {signal: pipeline for signal in otlp.SIGNALS}}})

    return make


def post(agent, signal, ids):
    answer = requests.post(f"{agent.http_url}/v1/{signal}", otlp.make_request(signal, ids),
                           headers={"Content-Type": "application/x-protobuf"}, timeout=10)
    assert answer.status_code == 200


def assert_exactly_once(upstream, load):
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(wanted))
    assert sorted(upstream.ids()) == sorted(wanted)


@pytest.mark.parametrize("name, compression", [
    ("otlp_grpc", "gzip"), ("otlp", "none"), ("otlp/zstd", "zstd"), ("otlp_grpc/snappy", "snappy")])
def test_all_signals_arrive_once(name, compression, make_grpc_agent, upstream):
    agent = make_grpc_agent(name, compression=compression, headers={"X-Tenant": "t1"}).start()
    load = Load(agent, clients=6, items=20, limit=20).start().join()
    assert_exactly_once(upstream, load)
    agent.wait_empty()
    metrics = agent.metrics()
    for signal in otlp.SIGNALS:
        noun = otlp.ITEM_NOUNS[signal]
        sent = len(load.acknowledged[signal])
        assert metrics.total(f"otelcol_exporter_sent_{noun}", exporter=name) == sent
        assert metrics.total(f"otelcol_exporter_send_failed_{noun}", exporter=name) == 0
        assert len({request.connection for request in upstream.requests(signal)}) == 1
    headers = upstream.requests()[0].headers
    assert headers["x-tenant"] == "t1"
    assert headers["user-agent"].startswith("holdfast/")


def test_what_arrives_is_what_was_sent(make_grpc_agent, upstream):
    agent = make_grpc_agent().start()
    sent = {signal: otlp.make_request(signal, new_ids(100), padding=50) for signal in otlp.SIGNALS}
    for signal, body in sent.items():
        requests.post(f"{agent.http_url}/v1/{signal}", body, headers={"Content-Type": "application/x-protobuf"},
                      timeout=10).raise_for_status()
    assert upstream.wait_for(lambda u: len(u.received) == 3)
    assert {request.signal: request.body for request in upstream.requests()} == sent


def test_an_outage_is_sat_out_and_every_item_comes_once_and_in_order(make_grpc_agent, upstream):
    upstream.down()
    agent = make_grpc_agent().start()
    load = Load(agent, clients=3, items=50, padding=100, limit=100).start().join()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_retries_total") >= 5, what="attempts")
    upstream.up()
    assert_exactly_once(upstream, load)
    for signal in otlp.SIGNALS:
        assert [i for r in upstream.requests(signal) for i in r.ids] == load.acknowledged[signal]
    agent.wait_empty()


def test_kill_loses_nothing_acknowledged(make_grpc_agent, upstream):
    agent = make_grpc_agent().start()
    load = Load(agent, clients=6, items=20).start()
    for round_number in range(1, 4):
        wait_until(lambda: len(load.acknowledged_ids()) > round_number * 2000, what="load")
        agent.kill()
        agent.start()
    load.stop()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert set(upstream.ids()) <= load.sent_ids()
    agent.wait_empty()


def test_sigterm_delivers_every_item_exactly_once(make_grpc_agent, upstream):
    agent = make_grpc_agent().start()
    wanted = set()
    for _ in range(3):
        load = Load(agent, limit=20).start().join()
        wanted |= load.acknowledged_ids()
        assert agent.stop() == 0, agent.log()
        assert sorted(upstream.ids()) == sorted(wanted), "not every item exactly once when the agent has ended"
        agent.start()


def test_sigterm_cuts_off_a_call_that_hangs(make_grpc_agent, upstream):
    agent = make_grpc_agent(timeout="0s").start()
    upstream.behave("hang")
    load = Load(agent, limit=10).start().join()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_attempts_total") >= 3, what="attempts")
    assert agent.stop() == 0
    upstream.behave("ok")
    agent.start()
    assert_exactly_once(upstream, load)


def test_one_poisonous_request_goes_to_quarantine_alone(make_grpc_agent, upstream):
    upstream.down()
    agent = make_grpc_agent().start()
    load = Load(agent, clients=3, items=10, limit=100).start().join()
    poison = new_ids(3)
    post(agent, "logs", poison)
    upstream.behave(lambda signal, message: grpc.StatusCode.INVALID_ARGUMENT
                    if set(poison) & set(otlp.ids_of(signal, message)) else "ok")
    upstream.up()
    assert_exactly_once(upstream, load)
    wait_until(lambda: agent.metrics().total("holdfast_quarantined_items_total", signal="logs") == len(poison),
               what="the poison in quarantine")
    agent.wait_empty()
    assert len(list((agent.buffer_directory / "logs" / "quarantine").iterdir())) == 1
    assert upstream.statuses.count("INVALID_ARGUMENT") <= 2 * 10

    upstream.behave("ok")  # somebody has mended it
    done = subprocess.run([BINARY, "quarantine", "replay", "--config", agent.config_file, "--all"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(upstream.ids()) == sorted([*load.acknowledged_ids(), *poison])


def test_too_large_is_split_until_it_fits(make_grpc_agent, upstream):
    upstream.down()
    agent = make_grpc_agent().start()
    load = Load(agent, clients=3, items=20, padding=100, limit=20).start().join()
    upstream.message_bytes_max = 10_000  # of grpcio itself, with its own words
    upstream.up()
    assert_exactly_once(upstream, load)
    agent.wait_empty()
    assert max(len(request.body) for request in upstream.requests()) <= 10_000


@pytest.mark.parametrize("code", [
    "UNAVAILABLE", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "ABORTED", "INTERNAL",
    "DEADLINE_EXCEEDED"])
def test_an_upstream_that_refuses_for_now_loses_nothing(code, make_grpc_agent, upstream):
    agent = make_grpc_agent(retry_on_failure={
        "initial_interval": "50ms", "max_interval": "200ms", "max_elapsed_time": "1s"}).start()
    upstream.behave(getattr(grpc.StatusCode, code))
    load = Load(agent, clients=6, items=5, limit=5).start().join()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_retries_total") >= 3, what="repeated attempts")
    assert upstream.ids() == []
    assert f"{code}: no: as the test asked" in agent.log()
    upstream.behave("ok")
    assert_exactly_once(upstream, load)
    agent.wait_empty()


def test_retry_info_is_waited_for(make_grpc_agent, upstream):
    agent = make_grpc_agent().start()
    upstream.behave((grpc.StatusCode.RESOURCE_EXHAUSTED, retry_info(2)))
    post(agent, "traces", new_ids(1))
    wait_until(lambda: upstream.statuses, what="a refusal")
    upstream.behave("ok")
    assert upstream.wait_for(lambda u: u.received)
    # Without the 2 s of the upstream it would have been 75 ms at most.
    assert "wait_ms=2000" in agent.log() or '"wait_ms":2000' in agent.log(), agent.log()
    assert upstream.statuses == ["RESOURCE_EXHAUSTED"]


def test_an_upstream_that_hangs_is_given_up_after_the_timeout(make_grpc_agent, upstream):
    agent = make_grpc_agent(timeout="500ms").start()
    upstream.behave("hang")
    load = Load(agent, clients=3, items=5, limit=5).start().join()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_retries_total") >= 1, what="a second attempt")
    upstream.behave("ok")
    assert_exactly_once(upstream, load)


def test_an_upstream_that_restarts_between_two_batches_is_noticed_before_the_next(make_grpc_agent, upstream):
    """Without a gRPC receiver, whose thread would look after the sockets of the exporter too."""
    agent = make_grpc_agent()
    document = json.loads(agent.config_file.read_text())
    del document["receivers"]["otlp"]["protocols"]["grpc"]
    agent.config_file.write_text(json.dumps(document))
    agent.start()
    for number in range(5):
        post(agent, "traces", new_ids(1))
        assert upstream.wait_for(lambda u: len(u.received) == number + 1)
        wait_until(lambda: agent.metrics().total("holdfast_delivered_items_total", signal="traces") == number + 1)
        upstream.down()
        upstream.up()
    # Unnoticed, each of four restarts would cost a failure. On a machine that is busy the next batch may be quicker
    # than the news.
    assert agent.metrics().total("otelcol_exporter_send_failed_spans", exporter="otlp_grpc") <= 1
