"""SIGTERM, restarts, and two agents on one directory."""

import subprocess
import time

import requests

import otlp
from agent import BINARY, wait_until
from load import Load


def stop_within_ten_seconds(agent):
    began = time.monotonic()
    status = agent.stop(timeout=15)
    assert status == 0, agent.log()
    assert time.monotonic() - began < 10


def test_sigterm_under_load_loses_nothing_acknowledged(make_agent, upstream):
    agent = make_agent().start()
    load = Load(agent).start()
    wait_until(lambda: len(load.acknowledged_ids()) > 2000, what="load")
    stop_within_ten_seconds(agent)
    load.stop()

    agent.start()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert set(upstream.ids()) <= load.sent_ids()
    agent.wait_empty()


def test_a_graceful_stop_delivers_what_a_good_upstream_takes_once(make_agent, upstream):
    agent = make_agent().start()
    wanted = set()
    for _ in range(3):
        load = Load(agent, limit=10).start().join()
        wanted |= load.acknowledged_ids()
        stop_within_ten_seconds(agent)  # right after the last answer: the last batch still waits to be sent
        assert sorted(upstream.ids()) == sorted(wanted), "not every item exactly once when the agent has ended"
        agent.start()


def test_sigterm_while_the_upstream_hangs(make_agent, upstream):
    agent = make_agent().start()
    upstream.behave("hang")
    load = Load(agent, limit=20).start().join()
    wait_until(lambda: not all(requests_of(agent, signal) == 0 for signal in otlp.SIGNALS), what="an attempt")
    stop_within_ten_seconds(agent)

    upstream.behave("ok")
    agent.start()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    agent.wait_empty()


def requests_of(agent, signal):
    return agent.metrics().total("holdfast_exporter_attempts_total", signal=signal)


def test_a_restart_keeps_the_backlog_in_order(make_agent, upstream):
    upstream.down()
    agent = make_agent().start()
    first = Load(agent, clients=1, limit=50, signals=("traces",)).start().join()
    stop_within_ten_seconds(agent)
    agent.start()
    second = Load(agent, clients=1, limit=50, signals=("traces",)).start().join()
    stop_within_ten_seconds(agent)
    agent.start()

    upstream.up()
    wanted = first.acknowledged["traces"] + second.acknowledged["traces"]
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(wanted))
    assert upstream.ids() == wanted
    agent.wait_empty()


def test_a_second_agent_on_the_same_directory_says_so_and_ends(agent, make_agent):
    second = make_agent("second", buffer={"directory": str(agent.buffer_directory)})
    done = subprocess.run([BINARY, "--config", second.config_file], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert str(agent.buffer_directory) in said
    assert "another" in said or "in use" in said or "locked" in said, said

    # The first one did not notice.
    body = otlp.make_request("traces", [1])
    answer = requests.post(f"{agent.http_url}/v1/traces", body, headers={"Content-Type": "application/x-protobuf"})
    assert answer.status_code == 200


def test_health_says_not_ready_or_nothing_after_sigterm(make_agent, upstream):
    agent = make_agent().start()
    answer = requests.get(agent.health_url("/"), timeout=5)
    assert answer.json()["status"] == "Server available"
    agent.terminate()

    def unavailable():
        try:
            return requests.get(agent.health_url("/"), timeout=5).status_code == 503
        except requests.ConnectionError:
            return True

    wait_until(unavailable, 10)
    assert agent.process.wait(10) == 0
