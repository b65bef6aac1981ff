"""Bodies that the agent merges from fragments are ordinary: one gzip member, read the same way by every reader."""

import gzip
import shutil
import subprocess

import pytest
import requests

import otlp
import toolchains
from agent import wait_until
from load import new_ids

REQUESTS = 40
GO_PROGRAM = """// Inflates one gzip member to standard output; bytes after it are an error.
package main

import ("bufio"; "compress/gzip"; "io"; "os")

func check(err error) { if err != nil { panic(err) } }

func main() {
	file, err := os.Open(os.Args[1])
	check(err)
	input := bufio.NewReader(file)
	reader, err := gzip.NewReader(input)
	check(err)
	reader.Multistream(false)
	_, err = io.Copy(os.Stdout, reader)
	check(err)
	if _, err := input.ReadByte(); err != io.EOF { panic("bytes follow the first member") }
}
"""


def send_while_down(agent, upstream, requests_count=REQUESTS):
    """Sends when nobody takes it, so that the agent merges; returns the ids sent, in order."""
    upstream.down()
    sent = []
    for number in range(requests_count):
        if number == 1:  # what the agent has tried to send once stays a batch of its own
            wait_until(lambda: agent.metrics().total("holdfast_exporter_attempts_total") >= 1, what="an attempt")
        ids = new_ids(1 + number % 7)
        answer = requests.post(f"{agent.http_url}/v1/traces", otlp.make_request("traces", ids, number * 3, number),
                               headers={"Content-Type": "application/x-protobuf"}, timeout=10)
        assert answer.status_code == 200
        sent += ids
    return sent


@pytest.fixture
def merged(agent, upstream):
    """The largest body that the agent made of many requests."""
    sent = send_while_down(agent, upstream)
    upstream.up()
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(sent))
    assert upstream.ids() == sent, "order holds"
    largest = max(upstream.requests(), key=lambda r: len(r.ids))
    assert len(largest.message.resource_spans) >= REQUESTS - 1, "requests were not merged"
    assert largest.headers["Content-Encoding"] == "gzip"
    return largest


def test_many_requests_become_one_gzip_member_that_all_readers_agree_on(merged, tmp_path):
    file = tmp_path / "merged.gz"
    file.write_bytes(merged.wire)
    go_program = tmp_path / "gunzip.go"
    go_program.write_text(GO_PROGRAM)
    programs = toolchains.node_programs()
    read = {
        "Python's gzip": gzip.decompress(merged.wire),
        "gzip": toolchains.run("gzip", "-dc", file),
        "Go": toolchains.run("go", "run", go_program, file),
        "Java": toolchains.run("java", "-cp", toolchains.java_classpath(), "Gunzip", file),
        "Node": toolchains.run("node", programs / "gunzip.js", file),
    }
    # merged.body is zlib's reading, which insists on a single member with nothing behind it.
    assert {reader: body == merged.body for reader, body in read.items()} == dict.fromkeys(read, True)


def test_gzip_finds_no_fault(merged, tmp_path):
    file = tmp_path / "merged.gz"
    file.write_bytes(merged.wire)
    assert shutil.which("gzip")
    done = subprocess.run(["gzip", "-tv", file], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and "trailing garbage" not in done.stderr, done.stderr


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate", "zlib", "zstd"])
def test_merged_bodies_in_every_coding_hold_what_was_sent(compression, make_agent, upstream):
    agent = make_agent(exporter={"compression": compression}).start()
    sent = send_while_down(agent, upstream)
    upstream.up()
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(sent))
    assert upstream.ids() == sent
    expected = {"none": None, "zlib": "zlib"}.get(compression, compression)
    codings = {r.headers.get("Content-Encoding") for r in upstream.requests()}
    assert codings == {expected} or compression == "zlib" and codings <= {"zlib", "deflate"}
