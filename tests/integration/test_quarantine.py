"""What an upstream refuses: found in few posts, looked at, sent again, thrown away; with the real binary."""

import json
import math
import struct
import subprocess

import pytest
import requests

import otlp
from agent import BINARY, wait_until
from load import new_ids


def holdfast(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=60, **options)


def post(agent, signal, body):
    answer = requests.post(f"{agent.http_url}/v1/{signal}", body,
                           headers={"Content-Type": "application/x-protobuf"}, timeout=30)
    assert answer.status_code == 200, answer.text


def quarantined(agent, *options):
    done = holdfast("quarantine", "ls", "--directory", agent.buffer_directory, "--json", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def refusing(poison):
    """An upstream's behaviour: 400 for every body with one of these items."""
    return lambda signal, message: 400 if poison.intersection(otlp.ids_of(signal, message)) else "ok"


@pytest.fixture
def poisoned(make_agent, upstream):
    """An agent whose upstream has refused two of its requests: (agent, ids of the good, bodies of the bad by id)."""
    agent = make_agent().start()
    good = new_ids(3)
    bad = {number: otlp.make_request("traces", [number], seed=number) for number in new_ids(2)}
    upstream.behave(refusing(set(bad)))
    for number in good:
        post(agent, "traces", otlp.make_request("traces", [number]))
    for body in bad.values():
        post(agent, "traces", body)
    wait_until(lambda: len(quarantined(agent)) == 2, what="two requests in quarantine")
    agent.wait_empty()
    return agent, good, bad


@pytest.mark.parametrize("poison_at", [(0,), (5000,), (8191,), (17, 4100)])
def test_poison_in_a_merged_body_of_8192_costs_itself_alone_in_few_posts(make_agent, upstream, poison_at):
    count = 8192
    ids = new_ids(count)
    poison = {ids[at] for at in poison_at}
    agent = make_agent(config={"processors": {"batch": {"send_batch_size": count, "timeout": "200ms"}},
                               "service": {"pipelines": {"traces": {"processors": ["batch"]}}}})
    agent.buffer_directory.mkdir()
    bodies = [otlp.make_request("traces", [number]) for number in ids]
    imported = holdfast("buffer", "import", "--config", agent.config_file, "--signal", "traces", "-",
                        input=b"".join(struct.pack(">I", len(body)) + body for body in bodies))
    assert imported.returncode == 0, imported
    posts = []

    def behaviour(signal, message):
        there = otlp.ids_of(signal, message)
        posts.append(len(there))
        return 400 if poison.intersection(there) else "ok"

    upstream.behave(behaviour)
    agent.start()
    agent.wait_empty()
    assert max(posts) == count, "all of them were merged into one body"
    assert sorted(upstream.ids()) == sorted(set(ids) - poison), "everything else was delivered exactly once"
    assert len(posts) <= len(poison) * (2 * math.ceil(math.log2(count)) + 1)
    entries = quarantined(agent)
    assert sorted(entry["items"] for entry in entries) == [1] * len(poison)
    for entry in entries:
        shown = holdfast("quarantine", "show", "--directory", agent.buffer_directory, "--raw", entry["id"])
        assert set(otlp.ids_of("traces", otlp.parse("traces", shown.stdout))) <= poison
    assert agent.metrics().total("holdfast_quarantined_items_total") == len(poison)


def test_ls_says_what_when_why_and_for_whom(poisoned):
    agent, _, bad = poisoned
    for entry, body in zip(quarantined(agent), bad.values(), strict=True):
        assert entry["signal"] == "traces" and entry["exporter"] == "otlp_http" and entry["reason"] == "rejected"
        assert entry["status"] == 400 and "as the test asked" in entry["message"]
        assert entry["items"] == 1 and entry["bytes"] == len(body) and entry["time"].endswith("Z")
    table = holdfast("quarantine", "ls", "--directory", agent.buffer_directory)
    assert table.returncode == 0 and b"2 entries with 2 items" in table.stderr
    lines = table.stdout.decode().splitlines()
    assert lines[0].split() == ["SIGNAL", "ID", "TIME", "EXPORTER", "REASON", "STATUS", "ITEMS", "BYTES", "MESSAGE"]
    assert [line.split()[1] for line in lines[1:]] == [entry["id"] for entry in quarantined(agent)]
    assert quarantined(agent, "--signal", "logs") == []


def test_show_prints_the_request_as_json_or_as_it_came(poisoned):
    agent, _, bad = poisoned
    for entry, body in zip(quarantined(agent), bad.values(), strict=True):
        shown = holdfast("quarantine", "show", "--directory", agent.buffer_directory, entry["id"])
        assert shown.returncode == 0 and b"as the test asked" in shown.stderr
        assert otlp.parse("traces", shown.stdout, "application/json") == otlp.parse("traces", body)
        by_number = holdfast("quarantine", "show", "--directory", agent.buffer_directory, "--raw", entry["seq"])
        assert body in by_number.stdout
    everything = holdfast("quarantine", "show", "--directory", agent.buffer_directory, "--all")
    assert len(everything.stdout.splitlines()) == 2


def test_replay_delivers_what_is_taken_now_and_leaves_the_rest(poisoned, upstream):
    agent, good, bad = poisoned
    still_bad, mended = list(bad)
    before = quarantined(agent)
    dry = holdfast("quarantine", "replay", "--config", agent.config_file, "--all", "--dry-run")
    assert dry.returncode == 0 and dry.stdout.count(b"would send") == 2 and upstream.url.encode() in dry.stdout
    assert quarantined(agent) == before
    upstream.behave(refusing({still_bad}))
    done = holdfast("quarantine", "replay", "--config", agent.config_file, "--all")
    assert done.returncode == 1 and b"1 entry delivered, 1 left" in done.stderr
    assert done.stdout.count(b"delivered traces") == 1 and b"HTTP 400" in done.stdout
    assert sorted(upstream.ids()) == sorted([*good, mended])
    assert [entry["id"] for entry in quarantined(agent)] == [before[0]["id"]]
    # As the agent sends: the same coding, the same bytes.
    assert upstream.requests("traces")[-1].headers["Content-Encoding"] == "gzip"
    assert upstream.requests("traces")[-1].body == bad[mended]
    upstream.behave("ok")
    done = holdfast("quarantine", "replay", "--directory", agent.buffer_directory, "--endpoint", upstream.url, "--all")
    assert done.returncode == 0, done
    assert quarantined(agent) == [] and still_bad in upstream.ids()


def test_replay_to_an_upstream_that_is_away_keeps_all_and_tries_once(poisoned, upstream):
    agent, _, _ = poisoned
    upstream.down()
    done = holdfast("quarantine", "replay", "--config", agent.config_file, "--all")
    assert done.returncode == 1 and done.stdout.count(b"not tried") == 1, done.stdout
    assert len(quarantined(agent)) == 2


def test_replay_refuses_what_is_no_request(poisoned):
    agent, _, _ = poisoned
    folder = agent.buffer_directory / "traces" / "quarantine"
    (folder / "00000000000000000900-000064-.rec").write_bytes(
        b'{"seq":900,"request":64,"items":3,"exporter":"","reason":"corrupt","status":0,"message":"x","unix_ms":1,'
        b'"bytes":4}\n\x00\x01ab')
    (folder / "00000000000000000901-000000-otlp_http.rec").write_bytes(
        b'{"seq":901,"request":0,"items":3,"exporter":"otlp_http","reason":"rejected","status":400,"message":"x",'
        b'"unix_ms":1,"bytes":400}\n\x00\x01ab')
    (folder / "00000000000000000902-000000-otlp_http.rec").write_bytes(b"no line of JSON")
    (folder / "00000000000000000903-0000000000001.seg").write_bytes(b"a whole file")
    done = holdfast("quarantine", "replay", "--config", agent.config_file, 900, 901, 902, 903)
    said = done.stdout.decode().splitlines()
    assert done.returncode == 1 and len(said) == 4 and all(line.startswith("left traces") for line in said)
    assert "(corrupt)" in said[0] and "cut off" in said[1] and "(unreadable)" in said[2] and "(segment)" in said[3]
    shown = holdfast("quarantine", "show", "--directory", agent.buffer_directory, 900)
    assert shown.stdout.decode() == f"00000000  00 01 61 62 {'   ' * 4} {'   ' * 8} |..ab|\n"


def test_discard_asks_and_then_deletes(poisoned):
    agent, _, _ = poisoned
    first, second = quarantined(agent)
    asked = holdfast("quarantine", "discard", "--directory", agent.buffer_directory, first["id"])
    assert asked.returncode == 2 and b"--yes" in asked.stderr and len(quarantined(agent)) == 2
    done = holdfast("quarantine", "discard", "--directory", agent.buffer_directory, first["id"], "--yes")
    assert done.returncode == 0 and first["id"].encode() in done.stdout
    assert quarantined(agent) == [second]
    nothing = holdfast("quarantine", "discard", "--directory", agent.buffer_directory, first["id"], "--yes")
    assert nothing.returncode == 1 and b"no entry" in nothing.stderr
    unsaid = holdfast("quarantine", "discard", "--directory", agent.buffer_directory, "--yes")
    assert unsaid.returncode == 2 and b"--all" in unsaid.stderr


def test_a_number_of_two_signals_asks_which(poisoned, upstream):
    agent, _, _ = poisoned
    upstream.behave(400)
    post(agent, "logs", otlp.make_request("logs", new_ids(1)))
    [log] = wait_until(lambda: quarantined(agent, "--signal", "logs"), what="a log in quarantine")
    folder = agent.buffer_directory / "traces" / "quarantine"
    [trace, *_] = quarantined(agent, "--signal", "traces")
    (folder / trace["id"]).rename(folder / log["id"])
    content = (folder / log["id"]).read_bytes()
    (folder / log["id"]).write_bytes(content.replace(b'"seq":%d,' % trace["seq"], b'"seq":%d,' % log["seq"]))
    arguments = ("quarantine", "discard", "--directory", agent.buffer_directory, "--yes", log["seq"])
    asked = holdfast(*arguments)
    assert asked.returncode == 1 and b"--signal" in asked.stderr
    assert holdfast(*arguments, "--signal", "logs").returncode == 0
    assert quarantined(agent, "--signal", "logs") == []
