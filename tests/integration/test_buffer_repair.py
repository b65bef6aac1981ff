"""`holdfast buffer repair` and `purge`: what they keep, what they say, and what a kill leaves."""

import json
import re
import struct
import subprocess
import time

import pytest

from agent import BINARY, wait_until
from load import Load
from tool import holdfast, ids_of, lines, tool


def files_of(directory):
    return {path.relative_to(directory): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def damage(agent):
    """Breaks a payload, a header, a segment's header, leaves a torn tail and litter; returns the items that it cost."""
    [file] = sorted((agent.buffer_directory / "traces").glob("*.seg"))
    content = bytearray(file.read_bytes())
    heads = [m.start() for m in re.finditer(b"HFRC", content)]
    items = [struct.unpack_from("<I", content, head + 32)[0] for head in heads]
    content[heads[1] + 80] ^= 1
    content[heads[2] + 20] ^= 1
    content[30] ^= 1
    file.write_bytes(content)
    (file.parent / (file.name + ".tmp")).write_bytes(b"litter")
    [logs] = sorted((agent.buffer_directory / "logs").glob("*.seg"))
    whole = logs.read_bytes()
    logs.unlink()
    logs.with_suffix(".wip").write_bytes(whole[:-64] + b"HFRC torn")
    [metrics] = sorted((agent.buffer_directory / "metrics").glob("*.seg"))
    return items[1] + items[2], metrics


def test_repair_keeps_all_that_is_whole_puts_damage_aside_and_has_nothing_to_do_again(stopped, upstream):
    agent, ids = stopped
    lost, metrics = damage(agent)
    broken = metrics.read_bytes().replace(b"HFRC", b"XXXX").replace(b"HOLDFAST", b"DESTROYD")
    metrics.write_bytes(broken)
    before = files_of(agent.buffer_directory)
    assert tool(agent, "verify").returncode == 1
    readable = sorted(ids_of(tool(agent, "cat")))
    dry = tool(agent, "repair", "--dry-run")
    assert dry.returncode == 0 and dry.stdout.count(b"would: ") >= 6, dry
    assert files_of(agent.buffer_directory) == before, "--dry-run changes nothing"
    done = tool(agent, "repair")
    assert done.returncode == 0, done
    assert done.stdout.replace(b"repaired", b"").split() != dry.stdout.split()
    verified = tool(agent, "verify")
    assert verified.returncode == 0, verified.stdout
    assert sorted(ids_of(tool(agent, "cat"))) == readable
    assert len(ids) - len(readable) >= lost
    entries = [json.loads(line) for line in lines(
        holdfast("quarantine", "ls", "--json", "--directory", agent.buffer_directory))]
    assert [e["reason"] for e in entries if e["signal"] == "traces"] == ["corrupt"] * 3
    assert (metrics.parent / "quarantine" / metrics.name).read_bytes() == broken
    assert not list(agent.buffer_directory.rglob("*.tmp")) and not list(agent.buffer_directory.rglob("*.wip"))
    # All damaged bytes are there.
    file = next(name for name in before if name.parts[0] == "traces" and name.suffix == ".seg")
    for entry in entries:
        if entry["signal"] == "traces":
            raw = holdfast("quarantine", "show", "--raw", "--directory", agent.buffer_directory, entry["id"])
            assert raw.stdout in before[file] and len(raw.stdout) == entry["bytes"] >= 64
    repaired = files_of(agent.buffer_directory)
    again = tool(agent, "repair")
    assert again.returncode == 0 and b" 0 repaired, 0 bytes" in again.stdout
    assert files_of(agent.buffer_directory) == repaired, "the second time nothing is done"
    upstream.up()
    agent.start()
    agent.wait_empty()
    assert sorted(upstream.ids()) == readable
    assert agent.metrics().total("holdfast_dropped_items_total") == 0


def test_repair_killed_at_any_of_its_calls_leaves_the_old_or_the_new(stopped):
    agent, _ = stopped
    damage(agent)
    before = files_of(agent.buffer_directory)
    readable = sorted(ids_of(tool(agent, "cat")))
    kills = 0
    for call in ("pwritev", "fdatasync", "rename", "fsync", "unlink"):
        for number in range(1, 20):
            for path in agent.buffer_directory.rglob("*"):
                if path.is_file():
                    path.unlink()
            for name, content in before.items():
                (agent.buffer_directory / name).write_bytes(content)
            killed = subprocess.run(
                ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                 f"inject={call}:signal=KILL:when={number}", BINARY, "buffer", "repair", "--directory",
                 agent.buffer_directory], capture_output=True, timeout=60)
            if killed.returncode == 0:
                break
            kills += 1
            assert sorted(ids_of(tool(agent, "cat"))) == readable, (call, number)
            assert tool(agent, "repair").returncode == 0
            assert tool(agent, "verify").returncode == 0
            assert sorted(ids_of(tool(agent, "cat"))) == readable, (call, number)
        else:
            pytest.fail(f"{call}: no end of it")
    assert kills >= 10


def test_purge_tells_what_is_lost_asks_and_deletes(make_agent, upstream):
    agent = make_agent().start()
    delivered = Load(agent, clients=1, limit=2, items=5, signals=("traces",)).start().join().acknowledged_ids()
    assert upstream.wait_for(lambda u: {i for r in u.received for i in r.ids} >= delivered)
    upstream.down()
    kept = Load(agent, clients=2, limit=2, items=5, signals=("traces", "logs")).start().join()
    agent.stop()
    asked = tool(agent, "purge", "--all")
    assert asked.returncode == 2 and b"--yes" in asked.stderr
    assert re.search(rb"^traces: .*, 10 of them not delivered \(10 by otlp_http\)$", asked.stdout, re.MULTILINE), asked
    assert re.search(rb"^logs: .* 10 items, 10 of them not delivered", asked.stdout, re.MULTILINE)
    assert tool(agent, "purge").returncode == 2
    assert tool(agent, "purge", "--before", "1h", "--yes").stdout.endswith(b"nothing to purge\n")
    traces = tool(agent, "purge", "--signal", "traces", "--all", "--yes")
    assert traces.returncode == 0 and b"10 of them not delivered" in traces.stdout
    assert sorted(ids_of(tool(agent, "cat"))) == sorted(kept.acknowledged["logs"])
    everything = tool(agent, "purge", "--before", "2199-01-01T00:00:00Z", "--yes")
    assert everything.returncode == 0 and agent.segment_files() == []
    # Numbers are not used again: what comes now is not taken for delivered.
    agent.start()
    fresh = Load(agent, clients=1, limit=1, signals=("traces",)).start().join().acknowledged_ids()
    upstream.up()
    agent.wait_empty()
    assert set(upstream.ids()) == delivered | fresh


def test_purge_cuts_a_segment_between_its_records(make_agent, upstream):
    upstream.down()
    agent = make_agent().start()
    old = Load(agent, clients=1, limit=1, signals=("logs",)).start().join().acknowledged_ids()
    between = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    wait_until(lambda: time.time() > time.mktime(time.strptime(between, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone,
               what="the next second")
    new = Load(agent, clients=1, limit=1, signals=("logs",)).start().join().acknowledged_ids()
    agent.stop()
    assert len(agent.segment_files()) == 1
    done = tool(agent, "purge", "--before", between, "--yes")
    assert done.returncode == 0, done
    assert set(ids_of(tool(agent, "cat"))) == new and old.isdisjoint(new)
    assert tool(agent, "verify").returncode == 0
    upstream.up()
    agent.start()
    agent.wait_empty()
    assert set(upstream.ids()) == new
