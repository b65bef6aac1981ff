"""An upstream that is away for the whole load: memory and disk stay bounded, and every item is accounted for."""

import threading

import pytest
import requests

import otlp
from agent import wait_until
from load import Load, new_ids

MIB = 1 << 20
RSS_MIB_MAX_OUTAGE = 40  # six requests of 45 kB at once; measured: 24, of which 20 at rest
RSS_MIB_MAX_DRAIN = 64  # a merged body of 4 MiB for each signal on top; measured: 44
FOLDER_BYTES_MAX = 4 * MIB


class Sampler:
    """Looks at a running agent's folders and memory as often as it can."""

    def __init__(self, agent):
        self.agent = agent
        self.folder_bytes_peak = dict.fromkeys(otlp.SIGNALS, 0)
        self.rss_mib_peak = 0.0
        self.samples = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.01):
            for signal in otlp.SIGNALS:
                size = self.agent.allocated_bytes(signal)
                self.folder_bytes_peak[signal] = max(self.folder_bytes_peak[signal], size)
            self.rss_mib_peak = max(self.rss_mib_peak, self.agent.rss_mib())
            self.samples += 1

    def stop(self):
        self._stop.set()
        self._thread.join()
        return self


def accounts(agent, signal):
    """Where the items of one signal are, as /metrics says."""
    metrics = agent.metrics()
    return {name: metrics.total(metric, signal=signal) for name, metric in (
        ("accepted", "holdfast_accepted_items_total"), ("recovered", "holdfast_buffer_recovered_items"),
        ("delivered", "holdfast_delivered_items_total"), ("stored", "holdfast_buffer_stored_items"),
        ("dropped", "holdfast_dropped_items_total"), ("quarantined", "holdfast_quarantined_items_total"))}


def assert_all_accounted_for(agent):
    for signal in otlp.SIGNALS:
        a = accounts(agent, signal)
        assert a["accepted"] + a["recovered"] == a["delivered"] + a["stored"] + a["dropped"] + a["quarantined"], a


def test_memory_and_folder_stay_bounded_and_purges_are_counted_in_items(make_agent, upstream):
    upstream.down()
    agent = make_agent(buffer={"max_folder_size": f"{FOLDER_BYTES_MAX}B", "max_file_size": "512KiB"}).start()
    sampler = Sampler(agent)
    load = Load(agent, clients=6, items=100, padding=400, limit=150).start().join(180)
    sampler.stop()
    assert sampler.samples > 10
    assert {s: size for s, size in sampler.folder_bytes_peak.items() if size > FOLDER_BYTES_MAX} == {}
    assert min(sampler.folder_bytes_peak.values()) > FOLDER_BYTES_MAX * 3 / 4, "the load did not fill the folders"
    assert sampler.rss_mib_peak < RSS_MIB_MAX_OUTAGE

    assert_all_accounted_for(agent)
    dropped = {}
    for signal in otlp.SIGNALS:
        a = accounts(agent, signal)
        assert a["accepted"] == len(load.acknowledged[signal]) == 2 * 150 * 100
        assert a["delivered"] == 0 and a["dropped"] > 0 and a["stored"] > 0
        dropped[signal] = a["dropped"]
        assert agent.metrics().total("holdfast_dropped_items_total", signal=signal, reason="folder_full") == a["dropped"]

    sampler = Sampler(agent)
    upstream.up()
    agent.wait_empty()
    assert sampler.stop().rss_mib_peak < RSS_MIB_MAX_DRAIN
    assert_all_accounted_for(agent)
    for signal in otlp.SIGNALS:
        arrived = [i for r in upstream.requests(signal) for i in r.ids]
        acknowledged = load.acknowledged[signal]
        assert len(arrived) == len(set(arrived)) == len(acknowledged) - dropped[signal]
        assert set(arrived) <= set(acknowledged)


def test_the_oldest_items_are_the_ones_that_go(make_agent, upstream):
    upstream.down()
    agent = make_agent(buffer={"max_folder_size": f"{2 * MIB}B", "max_file_size": "256KiB"}).start()
    load = Load(agent, clients=1, items=100, padding=400, limit=120, signals=("traces",)).start().join()
    upstream.up()
    agent.wait_empty()
    sent = load.acknowledged["traces"]
    arrived = upstream.ids()
    assert 0 < len(arrived) < len(sent)
    # One run of items in the middle is missing: those before it were on their way upstream when their file went.
    on_their_way = next(i for i, pair in enumerate(zip(arrived, sent)) if pair[0] != pair[1])
    assert on_their_way <= 8192, "more than one batch"
    assert arrived[on_their_way:] == sent[on_their_way - len(arrived):]


def test_overflow_reject_refuses_the_newest_and_keeps_what_it_acknowledged(make_agent, upstream):
    upstream.down()
    agent = make_agent(buffer={
        "max_folder_size": f"{2 * MIB}B", "max_file_size": "256KiB", "overflow": "reject"}).start()
    load = Load(agent, clients=4, items=100, padding=400, limit=60, signals=("traces", "logs")).start().join()
    assert load.refused > 0
    assert all(agent.allocated_bytes(signal) <= 2 * MIB for signal in otlp.SIGNALS)
    assert_all_accounted_for(agent)

    upstream.up()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert set(upstream.ids()) == wanted
    agent.wait_empty()
    again = Load(agent, clients=2, items=10, limit=5, signals=("traces", "logs")).start().join()
    assert again.refused == 0


def test_accounts_stay_right_over_restarts_and_refused_requests(make_agent, upstream):
    """With a backlog, a restart in the middle, and an upstream that will never take some of the requests."""
    upstream.down()
    agent = make_agent().start()
    load = Load(agent, clients=6, items=10, limit=20).start().join()
    poison = new_ids(3)
    answer = requests.post(f"{agent.http_url}/v1/logs", otlp.make_request("logs", poison),
                           headers={"Content-Type": "application/x-protobuf"}, timeout=10)
    assert answer.status_code == 200
    assert agent.stop() == 0
    agent.start()
    assert sum(accounts(agent, signal)["recovered"] for signal in otlp.SIGNALS) == len(load.acknowledged_ids()) + 3
    assert_all_accounted_for(agent)

    upstream.behave(lambda signal, message: 400 if set(poison) & set(otlp.ids_of(signal, message)) else "ok")
    upstream.up()
    wait_until(lambda: sum(accounts(agent, signal)["stored"] for signal in otlp.SIGNALS) == 0, what="an empty buffer")
    assert_all_accounted_for(agent)
    assert accounts(agent, "logs")["quarantined"] == len(poison)
    assert sorted(upstream.ids()) == sorted(load.acknowledged_ids()), "only the bad request stands aside"
    assert list((agent.buffer_directory / "logs" / "quarantine").iterdir())


@pytest.mark.parametrize("behaviour", [503, 429, 502, 504, 401, 403, 408, "reset", "close"])
def test_an_upstream_that_refuses_for_now_loses_nothing(behaviour, make_agent, upstream):
    agent = make_agent(exporter={
        "retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms", "max_elapsed_time": "1s"}}).start()
    upstream.behave(behaviour)
    load = Load(agent, clients=6, items=5, limit=5).start().join()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_retries_total") >= 3, what="repeated attempts")
    assert upstream.ids() == []
    upstream.behave("ok")
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert sorted(upstream.ids()) == sorted(wanted)
    agent.wait_empty()


def test_an_upstream_that_hangs_is_given_up_after_the_timeout(make_agent, upstream):
    agent = make_agent(exporter={"timeout": "500ms"}).start()
    upstream.behave("hang")
    load = Load(agent, clients=3, items=5, limit=5).start().join()
    wait_until(lambda: agent.metrics().total("holdfast_exporter_retries_total") >= 1, what="a second attempt")
    upstream.behave("ok")
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert sorted(upstream.ids()) == sorted(wanted)


def test_too_large_is_split_until_it_fits(make_agent, upstream):
    upstream.down()
    agent = make_agent().start()
    load = Load(agent, clients=3, items=20, limit=20).start().join()
    upstream.behave(lambda signal, message: 413 if len(otlp.ids_of(signal, message)) > 100 else "ok")
    upstream.up()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert sorted(upstream.ids()) == sorted(wanted)
    assert 413 in upstream.statuses
    agent.wait_empty()


def test_status_tells_of_the_backlog_and_of_its_end(make_agent, upstream):
    upstream.down()
    agent = make_agent().start()
    load = Load(agent, clients=3, items=10, limit=10).start().join()
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["state"] == "retrying",
               what="the state of the upstream")
    status = agent.status()
    for signal in otlp.SIGNALS:
        flow = status["signals"][signal]["exporters"]["otlp_http"]
        assert flow["pending_items"] == len(load.acknowledged[signal]) == 100
        assert flow["oldest_age_seconds"] is not None
    # One of them has tried and the others wait for it.
    assert any(status["signals"][signal]["exporters"]["otlp_http"]["last_error"] for signal in otlp.SIGNALS)
    assert requests.get(agent.health_url("/"), timeout=5).status_code == 200, "degraded is still alive"

    upstream.up()
    agent.wait_empty()
    wait_until(lambda: all(
        agent.status()["signals"][s]["exporters"]["otlp_http"]["pending_items"] == 0 for s in otlp.SIGNALS))
    assert agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["state"] in ("ok", "idle")
