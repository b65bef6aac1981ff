"""The exporter `file` of the real binary: what stands in its files, over restarts, kills and a full disk."""

import json
import pathlib

import pytest
import zstandard

import otlp
from agent import wait_until
from load import Load


@pytest.fixture
def make_file_agent(make_agent, tmp_path):
    """An agent whose pipelines all end in one exporter `file`."""

    def make(name="data.json", **keys):
        pipeline = {"receivers": ["otlp"], "exporters": ["file"]}
        agent = make_agent(config={
            "exporters": {"file": {"path": str(tmp_path / name), **keys}},
            "service": {"pipelines": {signal: pipeline for signal in otlp.SIGNALS}}})
        agent.path = tmp_path / name
        return agent

    return make


def messages(path, content_type="application/json", framed=False, compressed=False):
    """Of (signal, message) pairs in a file; JSON tells the signal, protobuf does not."""
    data = pathlib.Path(path).read_bytes()
    bodies = []
    if framed:
        while data:
            length = int.from_bytes(data[:4], "big")
            assert len(data) >= 4 + length, "the last message is torn"
            bodies.append(data[4:4 + length])
            data = data[4 + length:]
    else:
        assert data == b"" or data.endswith(b"\n"), "the last line is torn"
        bodies = data.splitlines()
    if compressed:
        bodies = [zstandard.ZstdDecompressor().decompressobj().decompress(body) for body in bodies]
    if content_type == "application/json":
        key_of = {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}
        for body in bodies:
            signal = key_of[next(iter(json.loads(body)))]
            yield signal, otlp.parse(signal, body, content_type)
    else:
        yield from (("logs", otlp.parse("logs", body)) for body in bodies)


def ids_in(*paths, **options):
    return sorted(i for path in paths for signal, message in messages(path, **options)
                  for i in otlp.ids_of(signal, message))


@pytest.mark.parametrize("compressed", [False, True])
def test_json_of_all_signals_stands_in_one_file(compressed, make_file_agent):
    agent = make_file_agent(**({"compression": "zstd"} if compressed else {})).start()
    load = Load(agent, clients=6, items=20, limit=10).start().join()
    agent.wait_empty()
    assert ids_in(agent.path, framed=compressed, compressed=compressed) == sorted(load.acknowledged_ids())
    flow = agent.status()["signals"]["traces"]["exporters"]["file"]
    assert flow["state"] == "ok" and flow["delivered_items"] == len(load.acknowledged["traces"])


def test_protobuf_has_its_length_in_front(make_file_agent):
    agent = make_file_agent("data.pb", format="proto").start()
    load = Load(agent, clients=2, items=20, limit=10, signals=("logs",)).start().join()
    agent.wait_empty()
    assert ids_in(agent.path, content_type="application/x-protobuf", framed=True) == sorted(load.acknowledged_ids())


def test_a_restart_overwrites_or_appends_as_configured(make_file_agent):
    kept = []
    agent = make_file_agent(append=True)
    for _ in range(2):
        agent.start()
        kept += Load(agent, clients=1, items=5, limit=3, signals=("traces",)).start().join().acknowledged_ids()
        agent.wait_empty()
        assert agent.stop() == 0
    assert ids_in(agent.path) == sorted(kept)
    agent.config_file.write_text(agent.config_file.read_text().replace('"append": true', '"append": false'))
    agent.start()
    load = Load(agent, clients=1, items=5, limit=3, signals=("traces",)).start().join()
    agent.wait_empty()
    assert ids_in(agent.path) == sorted(load.acknowledged_ids())


def test_a_kill_loses_nothing_and_leaves_whole_messages(make_file_agent):
    agent = make_file_agent("data.pb", append=True, format="proto")
    acknowledged = set()
    for _ in range(4):
        agent.start()
        load = Load(agent, clients=4, items=20, padding=200, signals=("logs",)).start()
        wait_until(lambda: len(load.acknowledged["logs"]) > 400)
        agent.kill()
        load.stop()
        acknowledged |= set(load.acknowledged["logs"])
    agent.start()
    agent.wait_empty()
    assert acknowledged <= set(ids_in(agent.path, content_type="application/x-protobuf", framed=True))


def test_files_are_closed_at_their_size_and_the_oldest_go(make_file_agent):
    agent = make_file_agent(rotation={"max_megabytes": 1, "max_backups": 2}).start()
    Load(agent, clients=4, items=100, padding=2000, limit=10, signals=("logs",)).start().join()
    agent.wait_empty()
    files = sorted(agent.path.parent.glob("data*.json"))
    assert len(files) == 3 and files[-1] == agent.path
    for path in files:
        assert list(messages(path)), "each has whole lines"


def test_a_full_disk_is_waited_for(make_file_agent):
    agent = make_file_agent(append=True)
    agent.path.symlink_to("/dev/full")
    agent.start()
    load = Load(agent, clients=1, items=5, limit=5, signals=("traces",)).start().join()
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["file"]["state"] == "retrying")
    assert "No space left on device" in agent.status()["signals"]["traces"]["exporters"]["file"]["last_error"]
    agent.path.unlink()
    agent.wait_empty()
    assert ids_in(agent.path) == sorted(load.acknowledged_ids())


def test_the_directory_is_made_if_asked_for(make_file_agent):
    agent = make_file_agent("a/b/data.json", create_directory=True, directory_permissions="0700").start()
    load = Load(agent, clients=1, items=5, limit=2, signals=("traces",)).start().join()
    agent.wait_empty()
    assert ids_in(agent.path) == sorted(load.acknowledged_ids())
    assert (agent.path.parent.parent.stat().st_mode & 0o777) == 0o700
