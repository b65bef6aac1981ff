"""Several endpoints of one exporter, real upstreams that come and go: failover, the way back, and turns."""

import json

import pytest

from agent import wait_until
from grpc_upstream import GrpcUpstream
from load import Load
from upstream import Upstream

PAUSE = {"initial_interval": "50ms", "max_interval": "300ms"}


@pytest.fixture(params=["otlp_http", "otlp_grpc"])
def exporter(request):
    return request.param


@pytest.fixture
def upstream_class(exporter):
    return Upstream if exporter == "otlp_http" else GrpcUpstream


@pytest.fixture
def second(start_upstream):
    return start_upstream()


@pytest.fixture
def start_agent(make_agent, exporter, upstream, second):
    """Traces go to the first endpoint, or to the second."""

    def start(strategy=None, urls=None, **keys):
        agent = make_agent(upstream_url="http://127.0.0.1:1")
        document = json.loads(agent.config_file.read_text())
        settings = {"endpoints": urls or [upstream.url, second.url], "retry_on_failure": PAUSE, **keys}
        if strategy:
            settings["endpoint_strategy"] = strategy
        if exporter == "otlp_grpc":
            settings["tls"] = {"insecure": True}
        document["exporters"] = {exporter: settings}
        for pipeline in document["service"]["pipelines"].values():
            pipeline["exporters"] = [exporter]
        agent.config_file.write_text(json.dumps(document))
        return agent.start()

    return start


def endpoints(agent, exporter):
    return agent.status()["signals"]["traces"]["exporters"][exporter]["endpoints"]


def send(agent, requests=10):
    return Load(agent, clients=2, items=5, limit=requests, signals=("traces",)).start().join().acknowledged_ids()


def test_the_second_takes_over_and_the_first_comes_back(exporter, start_agent, upstream, second):
    agent = start_agent()
    wanted = send(agent)
    agent.wait_empty()
    assert second.ids() == []
    upstream.down()
    wanted |= send(agent)
    agent.wait_empty()
    assert sorted(upstream.ids() + second.ids()) == sorted(wanted), "all of it, and once"
    first, other = endpoints(agent, exporter)
    assert (first["state"], other["state"]) == ("retrying", "ok")
    assert first["last_error"] and not other["last_error"] and other["delivered_requests"] > 0
    assert agent.status()["signals"]["traces"]["exporters"][exporter]["state"] == "ok"

    upstream.up()
    before = upstream.item_count()

    def is_back():
        wanted.update(send(agent, 1))
        return upstream.item_count() > before

    wait_until(is_back, what="the way back to the first")
    agent.wait_empty()
    assert sorted(upstream.ids() + second.ids()) == sorted(wanted)


def test_when_all_are_away_nothing_is_lost(start_agent, upstream, second):
    upstream.down()
    second.down()
    agent = start_agent()
    wanted = send(agent)
    second.up()
    agent.wait_empty()
    assert sorted(second.ids()) == sorted(wanted)


def test_round_robin_goes_in_turn(start_agent, upstream, second):
    agent = start_agent("round_robin")
    wanted = set()
    while not (upstream.item_count() and second.item_count()):
        wanted |= send(agent, 2)
        agent.wait_empty()
    assert sorted(upstream.ids() + second.ids()) == sorted(wanted)


def test_without_a_queue_the_second_takes_over_as_well(exporter, start_agent, upstream, second):
    upstream.down()
    agent = start_agent(sending_queue={"enabled": False})
    wanted = send(agent, 3)
    assert sorted(second.ids()) == sorted(wanted)
    assert agent.segment_files() == []


def test_the_configuration_says_what_does_not_fit(make_agent):
    agent = make_agent(exporter={"endpoints": ["http://a:1"]})
    agent.spawn()
    assert agent.process.wait(10) != 0
    assert "stands beside endpoints" in agent.log()
