"""The configuration is read again while the agent runs: on SIGHUP, or when its files change."""

import copy
import re
import socket
import threading
import time

import grpc
import pytest

from agent import wait_until
from reload_clients import Client, changed, grpc_send, wait_delivered


# ---- wrong configurations ----

def break_yaml(document, _):
    return "receivers: [\n"


def break_key(document, _):
    document["exporters"]["otlp_http"]["endpiont"] = "x"


def break_reference(document, _):
    document["service"]["pipelines"]["traces"]["exporters"] = ["otlp_http/nowhere"]


def break_file_reference(document, _):
    document["exporters"]["otlp_http"]["headers"] = {"x": "${file:/nowhere/token}"}


def break_http_port(document, taken):
    document["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = f"127.0.0.1:{taken}"


def break_grpc_port(document, taken):
    document["receivers"]["otlp/second"] = {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{taken}"}}}
    document["service"]["pipelines"]["traces"]["receivers"] = ["otlp", "otlp/second"]


def break_health_port(document, taken):
    document["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{taken}"


def break_directory(document, _):
    document["extensions"]["disk_buffer"]["directory"] += "-other"


def break_certificate(document, _):
    document["receivers"]["otlp"]["protocols"]["grpc"]["tls"] = {"cert_file": "/nowhere.crt", "key_file": "/nowhere.key"}


@pytest.mark.parametrize("spoil, words", [
    (break_yaml, r"config\.yaml:\d+:\d+: "),
    (break_key, r"config\.yaml:\d+:\d+: exporters::otlp_http::endpiont: .*endpoint"),
    (break_reference, r"config\.yaml:\d+:\d+: .*otlp_http/nowhere"),
    (break_file_reference, r"config\.yaml:\d+:\d+: .*/nowhere/token"),
    (break_http_port, r"OTLP/HTTP .*address already in use"),
    (break_grpc_port, r"OTLP/gRPC.*address already in use"),
    (break_health_port, r"health_check: .*address already in use"),
    (break_directory, r"the buffer directory cannot change .*restart"),
    (break_certificate, r"/nowhere\.crt"),
])
def test_a_wrong_configuration_changes_nothing_and_is_told(make_agent, upstream, spoil, words):
    agent = make_agent().start()
    client = Client(agent.http_port)
    good = agent.document()
    first = client.send()
    with socket.socket() as taken, grpc.insecure_channel(agent.grpc_endpoint) as channel:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        grpc_ids = grpc_send(channel)
        wrong = copy.deepcopy(good)
        wrong["service"]["telemetry"]["logs"] = {"level": "debug"}
        shown = agent.reload(spoil(wrong, taken.getsockname()[1]) or wrong)
        assert shown["last_result"] == "refused"
        assert re.search(words, shown["last_error"]), shown["last_error"]
        assert (shown["reloads_taken"], shown["reloads_refused"]) == (0, 1)
        status = agent.status()
        assert status["health"] == "degraded"
        assert [r["detail"] for r in status["reasons"] if r["code"] == "configuration_refused"] == [shown["last_error"]]
        metrics = agent.metrics()
        assert metrics.total("holdfast_config_last_reload_successful") == 0
        assert metrics.total("holdfast_config_reloads_total", result="refused") == 1
        assert re.search(r"error\tthe configuration is refused.*" + words, agent.log()), agent.log()
        second = client.send()
        assert (first[0], second[0]) == (200, 200)
        wait_delivered(upstream, first[1] + second[1] + grpc_ids + grpc_send(channel))
        shown = agent.reload(good)
        assert (shown["last_result"], shown["last_error"]) == ("taken", "")
        assert not [r for r in agent.status()["reasons"] if r["code"] == "configuration_refused"]
        assert client.send()[0] == 200
    assert agent.stop() == 0


# ---- what changes, and what does not ----

def test_what_is_unchanged_is_not_touched(make_agent, upstream):
    agent = make_agent(exporter={"retry_on_failure": {"initial_interval": "40s", "max_interval": "80s"}}).start()
    client = Client(agent.http_port)
    assert client.send()[0] == 200
    wait_until(lambda: upstream.item_count() == 5, what="delivery")
    upstream.behave(503)
    assert client.send()[0] == 200
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["state"] == "retrying", what="a wait")
    before = agent.status()
    assert agent.reload(changed(agent, lambda d: d["service"]["telemetry"].update(logs={"level": "debug"})))[
        "last_result"] == "taken"
    after = agent.status()
    flow, flow_before = (s["signals"]["traces"]["exporters"]["otlp_http"] for s in (after, before))
    assert flow["next_retry"] == flow_before["next_retry"], "the backoff began anew"
    assert flow["attempts"] == flow_before["attempts"]
    assert after["receivers"] == before["receivers"]
    assert client.send()[0] == 200


def test_an_exporter_goes_to_another_upstream_and_each_item_once(make_agent, upstream, start_upstream):
    other = start_upstream()
    agent = make_agent().start()
    client = Client(agent.http_port)
    slow = threading.Event()
    upstream.behave(lambda *_: (slow.set(), time.sleep(1), "ok")[-1])
    ids = client.send()[1]
    assert slow.wait(10)
    agent.reload(changed(agent, lambda d: d["exporters"]["otlp_http"].update(endpoint=other.url)))
    assert upstream.ids() == ids, "the request under way was not waited for"
    more = client.send()[1]
    wait_delivered(other, more)
    assert (upstream.ids(), other.ids()) == (ids, more)
    metrics = agent.metrics()
    assert metrics.total("holdfast_delivered_items_total", exporter="otlp_http", signal="traces") == 10


def test_a_request_that_hangs_is_cut_off_and_sent_to_the_next_upstream(make_agent, upstream, start_upstream):
    other = start_upstream()
    agent = make_agent(exporter={"timeout": "60s"}).start()
    upstream.behave("hang")
    ids = Client(agent.http_port).send()[1]
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["attempts"] == 1, what="an attempt")
    agent.reload(changed(agent, lambda d: d["exporters"]["otlp_http"].update(endpoint=other.url)))
    wait_delivered(other, ids)
    assert other.ids() == ids


def test_an_exporter_comes_and_goes(make_agent, upstream, start_upstream):
    other = start_upstream()
    agent = make_agent().start()
    client = Client(agent.http_port)
    first = client.send()[1]
    wait_delivered(upstream, first)
    agent.wait_empty()
    alone = agent.document()

    def add(document):
        document["exporters"]["otlp_http/other"] = dict(document["exporters"]["otlp_http"], endpoint=other.url)
        document["service"]["pipelines"]["traces"]["exporters"] = ["otlp_http", "otlp_http/other"]

    agent.reload(changed(agent, add))
    second = client.send()[1]
    for each in (upstream, other):
        wait_delivered(each, second)
    assert "otlp_http/other" in agent.status()["signals"]["traces"]["exporters"]
    other.down()
    agent.reload(alone)
    third = client.send()[1]
    wait_delivered(upstream, third)
    assert "otlp_http/other" not in agent.status()["signals"]["traces"]["exporters"]
    agent.wait_empty()
    assert upstream.ids() == first + second + third
    assert other.ids() == second
    assert agent.metrics().total("holdfast_delivered_items_total", exporter="otlp_http", signal="traces") == 15


def test_a_signal_goes_with_its_backlog_and_comes_back(make_agent, upstream):
    agent = make_agent().start()
    client = Client(agent.http_port)
    whole = agent.document()
    upstream.behave(503)
    ids = client.send("logs")[1]
    without = copy.deepcopy(whole)
    del without["service"]["pipelines"]["logs"]
    agent.reload(without)
    assert "logs" not in agent.status()["signals"]
    assert client.send("logs")[0] == 404
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            grpc_send(channel, "logs")
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
        upstream.behave("ok")
        agent.reload(whole)
        wait_delivered(upstream, ids)
        assert client.send("logs")[0] == 200
        wait_delivered(upstream, grpc_send(channel, "logs"))


def test_limits_paths_and_credentials_change_on_open_connections(make_agent, upstream):
    agent = make_agent().start()
    client = Client(agent.http_port)
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        assert client.send()[0] == 200
        grpc_send(channel)

        def change(document):
            protocols = document["receivers"]["otlp"]["protocols"]
            protocols["http"].update(max_request_body_size=1000, logs_url_path="/logs",
                                     cors={"allowed_origins": ["http://shop.example"]})
            protocols["grpc"]["auth"] = {"authenticator": "bearertokenauth"}
            document["extensions"]["bearertokenauth"] = {"token": "t"}
            document["service"]["extensions"].append("bearertokenauth")
            document["processors"] = {"memory_limiter": {"check_interval": "1s", "limit_mib": 32, "spike_limit_mib": 8}}
            document["service"]["pipelines"]["traces"]["processors"] = ["memory_limiter"]

        agent.reload(changed(agent, change))
        assert client.send()[0] == 200
        assert client.send("logs")[0] == 404
        assert agent.status()["process"]["in_flight_bytes_max"] == 24 << 20
        with pytest.raises(grpc.RpcError) as refused:
            grpc_send(channel)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert client.send(padding=5000, stays=False)[0] == 400


def test_limits_of_the_buffer_change(make_agent, upstream):
    agent = make_agent().start()
    upstream.behave(503)
    client = Client(agent.http_port)
    agent.reload(changed(agent, lambda d: d["extensions"]["disk_buffer"].update(
        max_folder_size="8MiB", max_file_size="1MiB", overflow="reject")))
    assert agent.status()["signals"]["traces"]["capacity_bytes"] == 8 << 20
    statuses = [client.send(padding=60_000)[0] for _ in range(60)]
    assert 503 in statuses
    agent.reload(changed(agent, lambda d: d["extensions"]["disk_buffer"].update(max_folder_size="64MiB")))
    assert client.send(padding=60_000)[0] == 200


def test_import_directories_come_and_go(make_agent, tmp_path):
    agent = make_agent().start()
    place = tmp_path / "spans"
    place.mkdir()
    plain = agent.document()
    importing = changed(agent, lambda d: d["extensions"]["disk_buffer"].update(
        import_directories={"traces": [str(place)]}))
    agent.reload(importing)
    assert [i["directory"] for i in agent.status()["imports"]] == [str(place)]
    agent.reload(plain)
    assert agent.status()["imports"] == []


def test_environment_and_set_are_read_again(make_agent, upstream):
    agent = make_agent()
    token = agent.directory / "token"
    token.write_text("one\n")
    agent.write_config(changed(agent, lambda d: d["exporters"]["otlp_http"].update(
        headers={"x-token": f"${{file:{token}}}"})))
    agent.arguments = ["--set", "exporters.otlp_http.compression=none"]
    agent.start()
    client = Client(agent.http_port)
    wait_delivered(upstream, client.send()[1])
    token.write_text("two\n")
    agent.reload()
    wait_delivered(upstream, client.send()[1])
    assert [r.headers["X-Token"] for r in upstream.requests()] == ["one", "two"]
    assert not any("Content-Encoding" in r.headers for r in upstream.requests())
