"""`holdfast buffer …` on real buffers: beside a running agent, on a stopped one."""

import base64
import json
import os
import pty
import re
import signal
import struct
import subprocess

import pytest
from google.protobuf import json_format

import otlp
from agent import BINARY, ROOT, wait_until
from load import Load, new_ids
from tool import holdfast, ids_of, lines, requests_of, tool


def test_cat_prints_every_request_beside_the_agent_and_without_it(filled):
    agent, ids = filled
    for _ in ("beside it", "without it"):
        done = tool(agent, "cat")
        assert done.returncode == 0 and done.stderr == b"", done.stderr
        assert sorted(ids_of(done)) == ids
        if agent.running():
            assert agent.stop() == 0


def test_cat_picks_by_signal_number_time_and_count(stopped):
    agent, ids = stopped
    logs = requests_of(tool(agent, "cat", "--signal", "logs"))
    assert {name for name, _ in logs} == {"logs"} and logs
    assert requests_of(tool(agent, "cat", "--signal", "logs", "--limit", 3)) == logs[:3]
    first, rest = tool(agent, "cat", "--to", 1), tool(agent, "cat", "--from", 2)
    assert sorted(ids_of(first) + ids_of(rest)) == ids and ids_of(first) and ids_of(rest)
    assert lines(tool(agent, "cat", "--until", "1h")) == []
    assert sorted(ids_of(tool(agent, "cat", "--since", "1h", "--until", "2199-01-01T00:00:00Z"))) == ids
    wrong = tool(agent, "cat", "--since", "yesterday")
    assert wrong.returncode == 2 and b"yesterday" in wrong.stderr


def test_cat_pending_leaves_out_what_an_exporter_has_delivered(make_agent, upstream):
    agent = make_agent().start()
    delivered = Load(agent, clients=1, limit=3, signals=("traces",)).start().join().acknowledged_ids()
    assert upstream.wait_for(lambda u: len(u.received) and {i for r in u.received for i in r.ids} >= delivered)
    upstream.down()
    kept = Load(agent, clients=1, limit=3, signals=("traces",)).start().join().acknowledged_ids()
    assert agent.stop() == 0
    pending = tool(agent, "cat", "--pending", "otlp_http")
    assert pending.returncode == 0 and set(ids_of(pending)) == kept
    unknown = tool(agent, "cat", "--pending", "elsewhere")
    assert b"elsewhere" in unknown.stderr and b"otlp_http" in unknown.stderr


def test_export_to_a_pipe_that_closes_ends_quietly(filled):
    agent, _ = filled
    done = subprocess.run(f"{BINARY} buffer cat --directory {agent.buffer_directory} | head -n 1", shell=True,
                          capture_output=True, timeout=60)
    assert done.stdout.count(b"\n") == 1 and done.stderr == b""


@pytest.mark.parametrize("form", ["json", "proto"])
def test_what_is_exported_and_imported_is_delivered_as_it_came(stopped, make_agent, upstream, tmp_path, form):
    agent, ids = stopped
    folder = tmp_path / "export"
    folder.mkdir()
    done = tool(agent, "export", "--format", form, "--output", folder)
    assert done.returncode == 0, done.stderr
    files = sorted(folder.iterdir())
    ending = {"json": "jsonl", "proto": "pb"}[form]
    assert [file.name for file in files] == [f"{name}.{ending}" for name in ("logs", "metrics", "traces")]
    again = tool(agent, "export", "--format", form, "--output", folder)
    assert again.returncode == 1 and b"exists already" in again.stderr
    other = make_agent("other")
    other.buffer_directory.mkdir()
    for file in files:
        imported = holdfast("buffer", "import", "--config", other.config_file, "--signal", file.stem, file)
        assert imported.returncode == 0 and b" 0 bad" in imported.stdout, imported
    assert tool(other, "verify").returncode == 0
    before = {name: otlp.items(name, [m for n, m in requests_of(tool(agent, "cat")) if n == name])
              for name in otlp.SIGNALS}
    upstream.up()
    other.start()
    other.wait_empty()
    assert sorted(upstream.ids()) == ids
    for name in otlp.SIGNALS:
        assert otlp.items(name, upstream.messages(name)) == before[name]


def test_the_proto_form_is_a_length_of_four_bytes_big_endian_and_the_message(stopped):
    agent, ids = stopped
    exported = tool(agent, "export", "--format", "proto", "--signal", "traces").stdout
    found, at = [], 0
    while at < len(exported):
        [length] = struct.unpack_from(">I", exported, at)
        found += otlp.ids_of("traces", otlp.parse("traces", exported[at + 4:at + 4 + length]))
        at += 4 + length
    assert found and set(found) <= set(ids)
    unsaid = tool(agent, "export", "--format", "proto")
    assert unsaid.returncode == 2 and b"--signal" in unsaid.stderr


def test_import_reads_a_mixed_file_from_standard_input_and_tells_bad_lines(make_agent):
    agent = make_agent()
    agent.buffer_directory.mkdir()
    good = {name: new_ids(2) for name in ("traces", "logs")}

    def line(name):
        document = json_format.MessageToDict(otlp.parse(name, otlp.make_request(name, good[name])))
        text = json.dumps(document)
        return re.sub(r'"(traceId|spanId)": "([^"]*)"', lambda m: f'"{m[1]}": "{base64.b64decode(m[2]).hex()}"', text)

    mixed = "\n".join([line("traces"), "not json", "", "{}", '{"resourceLogs":[{"resource":7}]}', line("logs"),
                       '{"resourceSpans":[', '{"something": "else"}'])
    done = tool(agent, "import", "-", input=mixed.encode())
    assert done.returncode == 1
    assert b"2 requests with 4 items stored, 4 bad, 1 without items, 0 not stored" in done.stdout, done
    assert [int(number) for number in re.findall(rb"^-:(\d+): ", done.stderr, re.MULTILINE)] == [2, 5, 7, 8]
    assert sorted(ids_of(tool(agent, "cat"))) == sorted(sum(good.values(), []))


def test_import_of_a_file_that_is_cut_off_keeps_what_is_whole(make_agent, tmp_path):
    agent = make_agent()
    agent.buffer_directory.mkdir()
    first, second = (otlp.make_request("logs", new_ids(3)) for _ in range(2))
    whole = b"".join(struct.pack(">I", len(body)) + body for body in (first, second))
    file = tmp_path / "cut.pb"
    file.write_bytes(whole[:-5])
    done = tool(agent, "import", "--signal", "logs", file)
    assert done.returncode == 1 and b"1 request with 3 items stored, 1 bad" in done.stdout
    assert f"{file}: message 2: cut off".encode() in done.stderr
    unsaid = tool(agent, "import", file)
    assert unsaid.returncode == 1 and b"--signal" in unsaid.stderr
    missing = tool(agent, "import", tmp_path / "nowhere")
    assert missing.returncode == 1 and b"nowhere" in missing.stderr


def test_import_into_a_full_buffer_stops_and_says_where(stopped, make_agent, tmp_path):
    agent, _ = stopped
    small = make_agent("small", buffer={"max_folder_size": "4MiB", "max_file_size": "256KiB", "min_free": "1MiB",
                                        "max_quarantine_size": "4KiB"})
    small.buffer_directory.mkdir()
    file = tmp_path / "large.pb"
    bodies = [otlp.make_request("logs", new_ids(1), padding=20_000, seed=n) for n in range(300)]
    bodies.insert(0, otlp.make_request("logs", new_ids(1), padding=6_000_000))  # larger than all of the folder
    file.write_bytes(b"".join(struct.pack(">I", len(body)) + body for body in bodies))
    done = holdfast("buffer", "import", "--config", small.config_file, "--signal", "logs", file)
    assert done.returncode == 1
    [stored, not_stored] = map(int, re.search(rb"^(\d+) requests .* (\d+) not stored", done.stdout).groups())
    assert 0 < stored < 300 and not_stored > 0
    assert f"{file}: message 1: the request is larger than".encode() in done.stderr and b" 1 bad, " in done.stdout
    assert f"the import ended at {file}: message {stored + 2}".encode() in done.stderr
    assert len(lines(tool(small, "cat"))) == stored, "nothing was pushed out for it"


def test_what_changes_a_buffer_refuses_beside_an_agent(filled, tmp_path):
    agent, ids = filled
    for arguments in (("repair",), ("purge", "--all", "--yes"), ("import", "/dev/null")):
        done = tool(agent, *arguments)
        assert done.returncode == 1 and b"an agent runs on" in done.stderr and b"stop it first" in done.stderr
    assert sorted(ids_of(tool(agent, "cat"))) == ids


def test_ls_shows_cursors_and_quarantine(make_agent, upstream):
    agent = make_agent().start()
    Load(agent, clients=1, limit=1, signals=("traces",)).start().join()
    assert upstream.wait_for(lambda u: u.received)
    upstream.behave(400)
    Load(agent, clients=1, limit=1, signals=("traces",)).start().join()
    wait_until(lambda: b"quarantine" in tool(agent, "ls").stdout, what="a quarantine in the list")
    listed = tool(agent, "ls").stdout.decode()
    assert re.search(r"^traces +cursor-otlp_http +delivered all before \d+$", listed, re.MULTILINE), listed
    assert re.search(r"^traces +quarantine +\d entr\w+, \d+ bytes$", listed, re.MULTILINE), listed


def test_sigint_ends_a_tool_cleanly(make_agent):
    agent = make_agent()
    agent.buffer_directory.mkdir()
    body = otlp.make_request("logs", new_ids(3))
    running = subprocess.Popen(
        [BINARY, "buffer", "import", "--directory", agent.buffer_directory, "--signal", "logs", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdin.write(struct.pack(">I", len(body)) + body)
    running.stdin.flush()
    wait_until(lambda: (agent.buffer_directory / "logs").is_dir(), what="an open log")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    assert running.returncode == 130 and b"interrupted" in err
    [stored] = re.findall(rb"^(\d) requests? with", out)
    assert len(lines(tool(agent, "cat"))) == int(stored)


def test_a_terminal_gets_a_progress_bar_and_a_question(stopped):
    agent, ids = stopped
    [logs] = (agent.buffer_directory / "logs").glob("*.seg")
    content = logs.read_bytes()
    for number in range(60):  # enough to take longer than the bar waits
        (logs.parent / f"{10**9 + number:020}-{number:013}.seg").write_bytes(content * 40)
    master, terminal = pty.openpty()
    running = subprocess.Popen([BINARY, "buffer", "verify", "--directory", agent.buffer_directory],
                               stdin=terminal, stdout=subprocess.PIPE, stderr=terminal)
    running.communicate(timeout=120)
    os.write(terminal, b"end")
    assert re.search(rb"\rverify \[#* *\] +\d+ %  [\d.]+ of [\d.]+ MiB", os.read(master, 65536))
    for path in logs.parent.glob("00000000001*.seg"):
        path.unlink()
    for answer, left in ((b"n\n", ids), (b"y\n", [])):
        running = subprocess.Popen([BINARY, "buffer", "purge", "--all", "--directory", agent.buffer_directory],
                                   stdin=terminal, stdout=subprocess.PIPE, stderr=terminal)
        os.write(master, answer)
        running.communicate(timeout=60)
        assert running.returncode == 0 and sorted(ids_of(tool(agent, "cat"))) == left
    os.close(master)
    os.close(terminal)


def test_what_root_makes_belongs_to_the_owner_of_the_directory(make_agent):
    agent = make_agent()
    agent.buffer_directory.mkdir()
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    os.chown(agent.buffer_directory, owner, -1)
    body = otlp.make_request("logs", new_ids(1))
    outside = agent.directory / "outside"
    outside.write_text("not the agent's")
    (agent.buffer_directory / "link").symlink_to(outside)
    done = tool(agent, "import", "--signal", "logs", "-", input=struct.pack(">I", len(body)) + body)
    assert done.returncode == 0, done
    made = [path for path in agent.buffer_directory.rglob("*") if path.name != "link"]
    assert len(made) >= 3 and {path.stat().st_uid for path in made} == {owner}
    assert outside.stat().st_uid == os.geteuid()


def hexed(node):
    """Python's protobuf JSON with ids as OTLP has them."""
    if isinstance(node, list):
        return [hexed(element) for element in node]
    if not isinstance(node, dict):
        return node
    return {key: base64.b64decode(value).hex() if key in otlp.HEX_KEYS else hexed(value) for key, value in node.items()}


@pytest.mark.parametrize("name", otlp.SIGNALS)
def test_what_the_sdks_sent_is_printed_as_pythons_protobuf_prints_it(make_agent, tmp_path, name):
    agent = make_agent()
    agent.buffer_directory.mkdir()
    bodies = [path.read_bytes() for path in sorted((ROOT / "tests/golden/payloads").rglob(f"{name}-*.pb"))]
    assert len(bodies) >= 6
    imported = tool(agent, "import", "--signal", name, "-",
                    input=b"".join(struct.pack(">I", len(body)) + body for body in bodies))
    assert imported.returncode == 0, imported
    printed = lines(tool(agent, "cat"))
    found = [json.loads(line) for line in printed]
    expected = [hexed(json_format.MessageToDict(otlp.parse(name, body), use_integers_for_enums=True)) for body in bodies]
    for document in expected:
        assert document in found
    assert len(found) == len(expected)
    # And back again, byte for byte what was stored.
    again = make_agent("again")
    again.buffer_directory.mkdir()
    assert tool(again, "import", "-", input="\n".join(printed).encode()).returncode == 0
    first, second = (tool(each, "export", "--signal", name).stdout for each in (agent, again))
    assert first == second
