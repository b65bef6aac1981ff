"""Reloads without SIGHUP, when files change, and many of them under load."""

import copy
import os
import threading

import grpc
import pytest

import otlp
from agent import wait_until
from reload_clients import Client, changed, grpc_send, wait_delivered


# ---- watching ----

def level(document, name):
    document = copy.deepcopy(document)
    document["service"]["telemetry"]["logs"] = {"level": name}
    return document


def test_watched_files_are_taken_when_they_are_replaced_or_written(make_agent):
    agent = make_agent()
    agent.arguments = ["--watch-config"]
    agent.start()
    document = agent.document()
    before = agent.status()["configuration"]
    agent.write_config(level(document, "debug"))
    before = agent.await_reload(before)
    with open(agent.config_file, "r+") as file:  # in place
        text = file.read().replace('"debug"', '"warn" ')
        file.seek(0)
        file.write(text)
    before = agent.await_reload(before)
    agent.write_config("nonsense: [")
    before = agent.await_reload(before)
    assert before["last_result"] == "refused"
    agent.write_config(document)
    shown = agent.await_reload(before)
    assert (shown["reloads_taken"], shown["reloads_refused"]) == (3, 1)


def test_watched_files_may_lie_behind_a_link_that_is_switched(make_agent):
    agent = make_agent()
    volume = agent.directory / "volume"
    text = agent.config_file.read_text()
    for name, content in (("..1", text), ("..2", text.replace('"level": "none"', '"level": "basic"'))):
        (volume / name).mkdir(parents=True)
        (volume / name / "config.yaml").write_text(content)
    (volume / "..data").symlink_to("..1")
    (volume / "config.yaml").symlink_to("..data/config.yaml")
    agent.config_file = volume / "config.yaml"
    agent.arguments = ["--watch-config", "--set", "service.telemetry.metrics.level=none"]
    agent.start()
    for target in ("..2", "..1"):
        before = agent.status()["configuration"]
        (volume / "..data_tmp").symlink_to(target)
        (volume / "..data_tmp").rename(volume / "..data")
        assert agent.await_reload(before)["last_result"] == "taken"


def test_watched_secrets_of_the_configuration(make_agent, upstream):
    agent = make_agent()
    secret = agent.directory / "token"
    secret.write_text("one")
    agent.write_config(changed(agent, lambda d: d["exporters"]["otlp_http"].update(
        headers={"x-token": f"${{file:{secret}}}"})))
    agent.arguments = ["--watch-config"]
    agent.start()
    before = agent.status()["configuration"]
    secret.write_text("two")
    agent.await_reload(before)
    wait_delivered(upstream, Client(agent.http_port).send()[1])
    assert upstream.requests()[-1].headers["X-Token"] == "two"


# ---- under load ----

class StubbornClients:
    """Clients that keep their connections and count everything that goes wrong."""

    def __init__(self, agent, clients=6):
        self.agent = agent
        self.acknowledged = []
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        signal_name = otlp.SIGNALS[number % 3]
        try:
            if number % 2:
                with grpc.insecure_channel(self.agent.grpc_endpoint,
                                           options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                    self._send(lambda: grpc_send(channel, signal_name, 10))
            else:
                client = Client(self.agent.http_port)

                def send():
                    status, ids = client.send(signal_name, 10)
                    assert status == 200, status
                    return ids

                self._send(send)
        except Exception as error:  # whatever it is, the test shall see it
            self.failures.append(repr(error))

    def _send(self, send):
        while not self._stop.is_set():
            self.acknowledged += send()
            self._stop.wait(0.005)


def resources(agent):
    base = f"/proc/{agent.process.pid}"
    return {"threads": len(os.listdir(f"{base}/task")), "descriptors": len(os.listdir(f"{base}/fd")),
            "rss_mib": agent.rss_mib()}


def configurations(agent, upstreams):
    """What alternates: exporters, limits, the upstream's endpoint, limits of receivers, the log level."""
    base = agent.document()
    base["exporters"]["otlp_http"]["endpoint"] = upstreams[0].url

    def variant(change):
        document = copy.deepcopy(base)
        change(document)
        return document

    def another_exporter(document):
        document["exporters"]["nop"] = {}
        for pipeline in document["service"]["pipelines"].values():
            pipeline["exporters"] = ["otlp_http", "nop"]

    return [
        variant(another_exporter),
        variant(lambda d: d["exporters"]["otlp_http"].update(endpoint=upstreams[1].url)),
        variant(lambda d: d["extensions"]["disk_buffer"].update(max_folder_size="256MiB")),
        variant(lambda d: d["receivers"]["otlp"]["protocols"]["http"].update(max_request_body_size=1 << 20)),
        variant(lambda d: d["service"]["telemetry"].update(logs={"level": "warn"})),
        base,
    ]


def reload_under_load(agent, upstreams, count, measured_at):
    variants = configurations(agent, upstreams)
    clients = StubbornClients(agent)
    measured = {}
    try:
        for number in range(1, count + 1):
            shown = agent.reload(variants[number % len(variants)])
            assert shown["last_result"] == "taken", shown
            if number in measured_at:
                measured[number] = resources(agent)
    finally:
        clients.stop()
    assert clients.failures == []
    acknowledged = clients.acknowledged

    def taken():
        return [i for upstream in upstreams for i in upstream.ids()]

    wait_until(lambda: set(acknowledged) <= set(taken()), 60, "delivery of all that was acknowledged")
    agent.wait_empty()
    everything = taken()
    assert len(everything) == len(set(everything)) == len(acknowledged), "each item exactly once"
    assert agent.status()["configuration"]["reloads_taken"] == count
    assert agent.stop() == 0
    return measured


def test_fifty_reloads_under_load(make_agent, upstream, start_upstream):
    agent = make_agent().start()
    measured = reload_under_load(agent, [upstream, start_upstream()], 50, (20, 50))
    assert measured[50]["threads"] <= measured[20]["threads"] + 4, measured
    assert measured[50]["descriptors"] <= measured[20]["descriptors"] + 8, measured


@pytest.mark.long
def test_a_thousand_reloads_under_load(make_agent, upstream, start_upstream):
    agent = make_agent().start()
    measured = reload_under_load(agent, [upstream, start_upstream()], 1000, (100, 1000))
    assert measured[1000]["threads"] <= measured[100]["threads"] + 2, measured
    assert measured[1000]["descriptors"] <= measured[100]["descriptors"] + 6, measured
    assert measured[1000]["rss_mib"] <= measured[100]["rss_mib"] * 1.2 + 2, measured
