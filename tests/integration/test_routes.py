"""Several receivers, pipelines and exporters of one signal: every item exactly once, where the routes say so."""

import collections
import json

import pytest
import requests

import otlp
from agent import free_ports, wait_until
from load import new_ids

MIB = 1 << 20


@pytest.fixture
def upstreams(start_upstream):
    return [start_upstream() for _ in range(3)]


class Routes:
    """An agent whose pipelines are written as {"traces/1": "a b > x y"}: receivers, then exporters."""

    def __init__(self, make_agent, upstreams, pipelines, buffer=None):
        self.agent = make_agent(buffer=buffer)
        self.upstreams = dict(zip("xyz", upstreams))
        self.ports = dict(zip("abc", free_ports(3)))
        self.sent = {name: collections.Counter() for name in self.upstreams}
        self.route(pipelines)

    def route(self, pipelines):
        """Writes the configuration; it counts from the next start on."""
        document = json.loads(self.agent.config_file.read_text())
        document["receivers"] = {
            f"otlp/{name}": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}
            for name, port in self.ports.items()}
        document["exporters"] = {
            f"otlp_http/{name}": {
                "endpoint": upstream.url, "timeout": "5s",
                "retry_on_failure": {"initial_interval": "50ms", "max_interval": "300ms"}}
            for name, upstream in self.upstreams.items()}
        self.routes = {}
        document["service"]["pipelines"] = {}
        for pipeline, route in pipelines.items():
            receivers, exporters = (side.split() for side in route.split(">"))
            document["service"]["pipelines"][pipeline] = {
                "receivers": [f"otlp/{name}" for name in receivers],
                "exporters": [f"otlp_http/{name}" for name in exporters]}
            for receiver in receivers:
                self.routes.setdefault((pipeline.split("/")[0], receiver), set()).update(exporters)
        self.agent.config_file.write_text(json.dumps(document))

    def send(self, signal, receiver, count=3, padding=0, to=None):
        """One request; `to`: the exporters it is expected at, if not where the routes lead."""
        ids = new_ids(count)
        answer = requests.post(
            f"http://127.0.0.1:{self.ports[receiver]}/v1/{signal}", timeout=10,
            data=otlp.make_request(signal, ids, padding), headers={"Content-Type": "application/x-protobuf"})
        assert answer.status_code == 200, answer.text
        for name in self.routes[signal, receiver] if to is None else to:
            self.sent[name].update(ids)

    def missing(self, names="xyz"):
        return {n: len(self.sent[n]) for n in names if len(set(self.upstreams[n].ids())) < len(self.sent[n])}

    def wait_delivered(self, names="xyz"):
        wait_until(lambda: not self.missing(names), 20, f"delivery to {names}")

    def assert_exactly_once(self, names="xyz"):
        self.wait_delivered(names)
        for name in names:
            assert collections.Counter(self.upstreams[name].ids()) == self.sent[name], name

    def reader(self, metric, name, signal="traces", **labels):
        return self.agent.metrics().total(metric, exporter=f"otlp_http/{name}", signal=signal, **labels)


CROSSED = {
    "traces": "a b > x",
    "traces/2": "b c > y",
    "traces/3": "c > x z",  # c comes to x here, and b to x above: once each
    "traces/4": "b > x",
    "logs": "a > z",
    "metrics/1": "a > x",
    "metrics/2": "a b > x y",
}


def test_crossed_routes_over_a_restart_deliver_every_item_once_where_it_belongs(make_agent, upstreams):
    routes = Routes(make_agent, upstreams, CROSSED)
    routes.agent.start()
    routes.upstreams["y"].down()

    def send_everything():
        for _ in range(5):
            for signal, receiver in routes.routes:
                routes.send(signal, receiver)

    send_everything()
    routes.wait_delivered("xz")
    assert routes.agent.stop() == 0
    routes.agent.start()
    send_everything()
    routes.wait_delivered("xz")
    stored = len(routes.sent["y"])
    assert sum(routes.reader("holdfast_buffer_stored_items", "y", s) for s in ("traces", "metrics")) == stored
    routes.upstreams["y"].up()
    routes.assert_exactly_once()
    routes.agent.wait_empty()


def test_signal_without_a_route_is_refused_by_that_receiver_only(make_agent, upstreams):
    routes = Routes(make_agent, upstreams, CROSSED)
    routes.agent.start()
    routes.send("logs", "a")
    body = otlp.make_request("logs", new_ids(1))
    answer = requests.post(f"http://127.0.0.1:{routes.ports['b']}/v1/logs", data=body, timeout=10,
                           headers={"Content-Type": "application/x-protobuf"})
    assert answer.status_code == 404
    routes.assert_exactly_once()


def test_dead_exporter_does_not_hold_up_another_and_loses_its_oldest_at_the_limit(make_agent, upstreams):
    routes = Routes(make_agent, upstreams, {"traces": "a > x y"},
                    buffer={"max_folder_size": "2MiB", "max_file_size": "128KiB", "max_quarantine_size": 0})
    routes.agent.start()
    routes.upstreams["y"].down()
    for count in range(1, 61):
        routes.send("traces", "a", count=10, padding=8_000)
        wait_until(lambda: routes.upstreams["x"].item_count() == 10 * count, 5, "delivery to x at once")
        assert routes.agent.allocated_bytes("traces") <= 2 * MIB
    assert routes.reader("holdfast_dropped_items_total", "x") == 0
    dropped = routes.reader("holdfast_dropped_items_total", "y", reason="folder_full")
    stored = routes.reader("holdfast_buffer_stored_items", "y")
    assert dropped > 0 and stored > 0 and dropped + stored == 600
    routes.upstreams["y"].up()
    wait_until(lambda: routes.upstreams["y"].item_count() == stored, 20, "the rest at y")
    at_x, at_y = routes.upstreams["x"].ids(), routes.upstreams["y"].ids()
    assert at_x == list(routes.sent["x"])  # each once, in order
    # What y's drain had in its hands when the segment went is delivered all the same.
    assert at_y == [i for i in at_x if i in set(at_y)] and at_y[-100:] == at_x[-100:]
    routes.agent.wait_empty()


def test_dead_exporter_keeps_its_own_while_others_deliver_more_than_the_folder_holds(make_agent, upstreams):
    routes = Routes(make_agent, upstreams, {"traces": "a > x", "traces/2": "b > y"},
                    buffer={"max_folder_size": "2MiB", "max_file_size": "128KiB", "max_quarantine_size": 0})
    routes.agent.start()
    routes.upstreams["y"].down()
    routes.send("traces", "b")
    for _ in range(60):
        routes.send("traces", "a", count=10, padding=8_000)
        routes.wait_delivered("x")
        # Delivered files go within two seconds: the load stays below what the folder takes in that time.
        wait_until(lambda: routes.agent.allocated_bytes("traces") < MIB, 10, "room")
    assert routes.reader("holdfast_dropped_items_total", "y") == 0
    routes.upstreams["y"].up()
    routes.assert_exactly_once()
    routes.agent.wait_empty()


def test_exporter_taken_out_holds_nothing_and_goes_on_where_it_was(make_agent, upstreams):
    routes = Routes(make_agent, upstreams, {"traces": "a > x y"})
    routes.agent.start()
    routes.send("traces", "a")
    routes.wait_delivered("xy")
    routes.agent.stop()

    routes.upstreams["y"].down()
    routes.agent.start()
    routes.send("traces", "a", to="x")  # y is taken out before it can have this
    routes.wait_delivered("x")
    routes.agent.stop()
    assert routes.agent.segment_files()  # for y

    routes.route({"traces": "a > x"})
    routes.upstreams["x"].down()
    routes.agent.start()
    routes.send("traces", "a", to="xy")  # it is there still when y comes back
    routes.agent.stop()
    routes.route({"traces": "a > x y"})
    routes.upstreams["x"].up()
    routes.upstreams["y"].up()
    routes.agent.start()
    routes.assert_exactly_once()
    routes.agent.wait_empty()
    routes.agent.stop()

    routes.route({"traces": "a > x"})
    routes.agent.start()
    routes.send("traces", "a")
    routes.wait_delivered("x")
    routes.agent.wait_empty()  # nothing is held for y
    routes.assert_exactly_once()


@pytest.mark.parametrize("start", ["oldest", "newest"])
def test_added_exporter_starts_where_the_configuration_says(make_agent, upstreams, start):
    routes = Routes(make_agent, upstreams, {"traces": "a > x"}, buffer={"new_exporters_start": start})
    routes.upstreams["x"].down()
    routes.agent.start()
    routes.send("traces", "a", to="xy" if start == "oldest" else "x")
    routes.agent.stop()
    routes.route({"traces": "a > x y"})
    routes.agent.start()
    routes.send("traces", "a")
    routes.agent.kill()  # that it has begun outlives a kill
    routes.upstreams["x"].up()
    routes.agent.start()
    routes.wait_delivered()
    for name in "xy":
        assert set(routes.upstreams[name].ids()) == set(routes.sent[name]), name
    routes.agent.wait_empty()


def test_changed_routes_leave_a_backlog_to_the_exporters_that_it_came_for(make_agent, upstreams):
    routes = Routes(make_agent, upstreams, {"traces": "a > x", "traces/2": "b > y"})
    routes.upstreams["x"].down()
    routes.agent.start()
    for _ in range(3):
        routes.send("traces", "a")
        routes.send("traces", "b")
    routes.wait_delivered("y")
    routes.agent.stop()
    routes.route({"traces": "a > y", "traces/2": "b > x"})
    routes.agent.start()
    for _ in range(3):
        routes.send("traces", "a")
        routes.send("traces", "b")
    routes.wait_delivered("y")
    routes.agent.stop()
    routes.upstreams["x"].up()
    routes.agent.start()
    routes.assert_exactly_once()
    routes.agent.wait_empty()
