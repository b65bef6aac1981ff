"""encoding: json upstream: what arrives is OTLP/JSON, and answers in JSON are understood."""

import pytest
import requests

import otlp
from agent import wait_until
from load import Load, new_ids

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.mark.parametrize("compression", ["gzip", "none", "zstd", "deflate"])
def test_all_signals_arrive_once_as_json(compression, make_agent, upstream):
    agent = make_agent(exporter={"encoding": "json", "compression": compression}).start()
    load = Load(agent, clients=6, items=20, limit=10).start().join()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(wanted))
    assert sorted(upstream.ids()) == sorted(wanted)
    assert {r.headers["Content-Type"] for r in upstream.requests()} == {"application/json"}
    assert {r.headers.get("Content-Encoding", "none") for r in upstream.requests()} == {compression}
    agent.wait_empty()


def test_the_messages_are_those_that_were_sent(make_agent, upstream):
    agent = make_agent(exporter={"encoding": "json"}).start()
    sent = {signal: otlp.make_request(signal, new_ids(50), padding=50) for signal in otlp.SIGNALS}
    for signal, body in sent.items():
        requests.post(f"{agent.http_url}/v1/{signal}", body, headers=PROTOBUF, timeout=10).raise_for_status()
    assert upstream.wait_for(lambda u: len(u.received) == 3)
    assert {r.signal: r.message for r in upstream.requests()} == {
        signal: otlp.parse(signal, body) for signal, body in sent.items()}


def test_a_partial_success_in_json_is_counted(make_agent, upstream):
    agent = make_agent(exporter={"encoding": "json"}).start()
    upstream.json_success_body = b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}'
    requests.post(f"{agent.http_url}/v1/traces", otlp.make_request("traces", new_ids(5)), headers=PROTOBUF,
                  timeout=10).raise_for_status()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_partial_rejected_items_total") == 2)
    assert "too old" in agent.log()


def test_a_bad_request_among_good_ones_goes_to_quarantine(make_agent, upstream):
    upstream.down()
    agent = make_agent(exporter={"encoding": "json"}).start()
    load = Load(agent, clients=2, items=3, limit=10, signals=("logs",)).start().join()
    poison = new_ids(2)
    requests.post(f"{agent.http_url}/v1/logs", otlp.make_request("logs", poison), headers=PROTOBUF,
                  timeout=10).raise_for_status()
    upstream.behave(lambda signal, message: 400 if set(poison) & set(otlp.ids_of(signal, message)) else "ok")
    upstream.up()
    wait_until(lambda: agent.metrics().total("holdfast_buffer_stored_items", signal="logs") == 0)
    assert sorted(upstream.ids()) == sorted(load.acknowledged_ids())
    assert agent.metrics().total("holdfast_quarantined_items_total", signal="logs") == len(poison)


def test_without_a_queue_the_bodies_are_json_too(make_agent, upstream):
    agent = make_agent(exporter={"encoding": "json", "sending_queue": {"enabled": False}}).start()
    ids = new_ids(4)
    assert requests.post(f"{agent.http_url}/v1/metrics", otlp.make_request("metrics", ids), headers=PROTOBUF,
                         timeout=10).status_code == 200
    assert upstream.ids() == ids
    assert upstream.requests()[0].headers["Content-Type"] == "application/json"
