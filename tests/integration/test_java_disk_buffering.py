"""Directories that opentelemetry-java-contrib's disk-buffering wrote, drained by the real binary."""

import collections
import json
import os
import random
import shutil
import subprocess
import threading
import time

import pytest

import otlp
import toolchains
from agent import ROOT, wait_until
from load import new_ids
from test_outage import assert_all_accounted_for

GOLDEN = ROOT / "tests/golden/java-disk-buffering"
FOLDERS = {"traces": "spans", "metrics": "metrics", "logs": "logs"}
SEED = int(os.environ.get("HOLDFAST_SEED", "20261121"))
OLD_MS = 1_700_000_000_000


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def records_of(content):
    """The records of a file, as the library frames them."""
    at = 0
    while at < len(content):
        length = shift = 0
        while True:
            byte = content[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert at + length <= len(content), "a torn record"
        yield content[at:at + length]
        at += length


def put(root, signal, created_ms, content):
    """A file that was finished long ago, under its name from the first moment on."""
    folder = root / FOLDERS[signal]
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{created_ms}.tmp"
    unfinished.write_bytes(content)
    os.utime(unfinished, (OLD_MS / 1000, OLD_MS / 1000))
    return unfinished.rename(folder / str(created_ms))


def framed(signal, ids):
    request = otlp.make_request(signal, ids)
    return varint(len(request)) + request


def left(root):
    return [path for folder in FOLDERS.values() for path in (root / folder).glob("*")]


def wait_imported(root):
    wait_until(lambda: not left(root), timeout=60, what="an empty import directory")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "java"


def test_the_files_that_the_library_wrote_arrive_with_all_their_content(make_agent, upstream, root):
    shutil.copytree(GOLDEN, root)
    wanted = {signal: [] for signal in otlp.SIGNALS}
    for signal, folder in FOLDERS.items():
        for path in sorted((root / folder).iterdir()):
            os.utime(path, (OLD_MS / 1000, OLD_MS / 1000))
            wanted[signal] += [otlp.parse(signal, record) for record in records_of(path.read_bytes())]
    assert {signal: len(messages) for signal, messages in wanted.items()} == {"traces": 4, "metrics": 5, "logs": 4}

    agent = make_agent(buffer={"import_directories": [str(root)]}).start()
    wait_imported(root)
    for signal in otlp.SIGNALS:
        items = otlp.items(signal, wanted[signal])
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received if r.signal == signal) >= items.total())
        assert otlp.items(signal, upstream.messages(signal)) == items
    agent.wait_empty()

    status = agent.status()
    receiver = next(r for r in status["receivers"] if r["receiver"] == "disk_buffer")
    assert receiver["transport"] == "import"
    assert receiver["signals"]["metrics"]["requests"] == 5
    shown = {(each["directory"], each["signal"]): each for each in status["imports"]}
    assert {key: each["imported_files"] for key, each in shown.items()} == {
        (str(root / folder), signal): 2 for signal, folder in FOLDERS.items()}
    assert all(each["pending_files"] == 0 and each["last_error"] == "" for each in shown.values())
    assert agent.metrics().total("holdfast_import_files_total") == 6
    assert agent.metrics().total("otelcol_receiver_accepted_spans", receiver="disk_buffer", transport="import") == (
        otlp.items("traces", wanted["traces"]).total())
    assert_all_accounted_for(agent)


def test_the_library_is_killed_while_the_agent_drains(make_agent, upstream, root):
    """Version 1.53 appends to the numeric name. What the library called stored arrives, once."""
    agent = make_agent(buffer={"import_directories": [str(root)], "import_min_age": "1500ms"}).start()
    stored = collections.defaultdict(set)
    with subprocess.Popen(
            ["java", "-cp", toolchains.java_classpath("java-disk-buffering"), "Store", str(root), "1000000", "500"],
            stdout=subprocess.PIPE, text=True) as library:
        started = time.monotonic()
        for line in library.stdout:
            kind, item = line.split()
            stored[kind].add(item)
            # Until files have been closed and drained while it still writes.
            if len(stored["metric"]) >= 500 and upstream.ids() and time.monotonic() - started > 3:
                break
            assert time.monotonic() - started < 60
        library.kill()
        for line in library.stdout:
            if line.endswith("\n") and len(line.split()) == 2:
                stored[line.split()[0]].add(line.split()[1])

    wait_imported(root)
    agent.wait_empty()
    spans = [span.span_id.hex() for span in otlp.spans(upstream.messages("traces"))]
    bodies = [log.body.string_value for log in otlp.log_records(upstream.messages("logs"))]
    sums = [point.as_int for metric in otlp.metrics(upstream.messages("metrics")) for point in metric.sum.data_points]
    assert stored["span"] <= set(spans)
    assert {f"log {i}" for i in stored["log"]} <= set(bodies)
    assert {int(i) for i in stored["metric"]} <= set(sums)
    # One more of each may have been written before its line was.
    assert len(spans) == len(set(spans)) <= len(stored["span"]) + 1
    assert len(bodies) == len(set(bodies)) <= len(stored["log"]) + 1
    assert len(sums) == len(set(sums)) <= len(stored["metric"]) + 1


def kill_rounds(rounds, make_agent, upstream, root):
    chance = random.Random(SEED)
    wanted = set()
    agent = make_agent(buffer={"import_directories": [str(root)], "max_file_size": "64KiB"})
    name = OLD_MS
    for _ in range(rounds):
        for _ in range(120):
            for signal in otlp.SIGNALS:
                ids = [new_ids(3) for _ in range(chance.randint(1, 6))]
                wanted.update(i for each in ids for i in each)
                put(root, signal, name := name + 1, b"".join(framed(signal, each) for each in ids))
        ids = [new_ids(20) for _ in range(1500)]  # more than one group
        wanted.update(i for each in ids for i in each)
        put(root, "logs", name := name + 1, b"".join(framed("logs", each) for each in ids))
        agent.spawn()
        before = len(left(root))
        wait_until(lambda: len(left(root)) < before, what="a first file that is gone")
        threading.Event().wait(chance.uniform(0, 0.15))  # a random moment is what this is about
        agent.kill()
    agent.start()
    wait_imported(root)
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids}, 60), "items were lost"
    agent.wait_empty()
    assert set(upstream.ids()) == wanted
    assert agent.metrics().total("holdfast_import_quarantined_total") == 0
    assert_all_accounted_for(agent)


def test_six_kills_of_the_agent_while_it_imports_lose_nothing(make_agent, upstream, root):
    kill_rounds(6, make_agent, upstream, root)


@pytest.mark.long
def test_forty_kills_of_the_agent_while_it_imports_lose_nothing(make_agent, upstream, root):
    kill_rounds(40, make_agent, upstream, root)


def test_ten_thousand_small_files_go_through_in_bounded_memory_in_order(make_agent, upstream, root):
    wanted = [new_ids(1)[0] for _ in range(10_000)]
    for i, number in enumerate(wanted):
        put(root, "traces", OLD_MS + i, framed("traces", [number]))
    agent = make_agent(buffer={"import_directories": {"traces": [str(root / "spans")]}}).start()
    wait_imported(root)
    assert upstream.wait_for(lambda u: u.received and sum(len(r.ids) for r in u.received) >= len(wanted))
    assert upstream.ids() == wanted
    assert agent.rss_mib() < 40
    assert agent.metrics().total("holdfast_import_files_total", signal="traces") == 10_000


def test_a_file_is_taken_at_the_configured_age_and_not_before(make_agent, upstream, root):
    agent = make_agent(buffer={"import_directories": [str(root)], "import_min_age": "2s"}).start()
    folder = root / "logs"  # appears after the start
    folder.mkdir(parents=True)
    written = time.time()
    path = folder / str(int(written * 1000))
    ids = new_ids(2)
    path.write_bytes(framed("logs", ids))
    wait_until(lambda: not path.exists(), what="the file's end")
    assert 1.9 < time.time() - written < 10
    assert upstream.wait_for(lambda u: len(u.received) > 0)
    assert upstream.ids() == ids
    agent.wait_empty()


def test_torn_tail_is_in_quarantine_and_what_came_before_arrives(make_agent, upstream, root):
    agent = make_agent(buffer={"import_directories": [str(root)]}).start()
    good, torn = new_ids(5), framed("metrics", new_ids(5))[:-3]
    path = put(root, "metrics", OLD_MS, framed("metrics", good) + torn)
    wait_imported(root)
    assert upstream.wait_for(lambda u: len(u.received) > 0)
    assert upstream.ids() == good
    line, rest = next((agent.buffer_directory / "metrics/quarantine").iterdir()).read_bytes().split(b"\n", 1)
    head = json.loads(line)
    assert rest == torn
    assert head["reason"] == "corrupt"
    assert head["message"] == f"{path} at byte {len(framed('metrics', good))}: the file ends inside a record"
    assert "data_quarantined" in [reason["code"] for reason in agent.status()["reasons"]]
    assert agent.metrics().total("otelcol_receiver_failed_metric_points", receiver="disk_buffer") == 1


@pytest.mark.parametrize("overflow", ["reject", "drop_oldest"])
def test_an_outage_leaves_in_the_directory_what_the_buffer_has_no_room_for(overflow, make_agent, upstream, root):
    upstream.down()
    wanted = []
    for i in range(12):
        ids = new_ids(100)
        wanted += ids
        request = otlp.make_request("logs", ids, padding=2_000, seed=i)
        put(root, "logs", OLD_MS + i, varint(len(request)) + request)
    agent = make_agent(buffer={"import_directories": [str(root)], "overflow": overflow,
                               "max_folder_size": "1MiB", "max_file_size": "128KiB"}).start()
    wait_until(lambda: "the import waits: the buffer has no room" in agent.log(), what="a full buffer")
    assert 0 < len(left(root)) < 12
    assert agent.allocated_bytes("logs") <= 1 << 20
    upstream.up()
    wait_imported(root)
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(wanted), 60)
    assert sorted(upstream.ids()) == sorted(wanted)
    assert agent.metrics().total("holdfast_dropped_items_total") == 0
    assert_all_accounted_for(agent)


def test_an_agent_that_is_asked_to_end_while_it_imports_ends_and_loses_nothing(make_agent, upstream, root):
    wanted = set()
    for i in range(2_000):
        ids = new_ids(2)
        wanted.update(ids)
        put(root, "logs", OLD_MS + i, framed("logs", ids))
    agent = make_agent(buffer={"import_directories": [str(root)]}).start()
    assert agent.stop() == 0
    agent.start()
    wait_imported(root)
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert sorted(upstream.ids()) == sorted(wanted), "an orderly end repeats nothing"
