"""A directory of ten thousand segments: what a start costs, and that all of it comes."""

import dataclasses
import os
import pathlib
import re
import shutil
import socket
import statistics
import time

import pytest

import otlp
import segments
from load import Load, new_ids

SEGMENTS = 10_000
# More than a start on an empty directory. Work is bounded as processor time, which other programs on the machine hardly
# change; the clock on the wall only by far.
START_CPU_SECONDS_MAX = 0.4
START_SECONDS_MAX = 5
MEMORY_MIB_MAX = 20

pytestmark = pytest.mark.long


def seconds_to_start(agent):
    """From the spawn to the first answer of the health port."""
    began = time.monotonic()
    agent.spawn()
    while True:
        try:
            with socket.create_connection(("127.0.0.1", agent.health_port), timeout=30) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
                return time.monotonic() - began
        except ConnectionError:
            assert agent.running(), agent.log()


def peak_memory_mib(agent):
    status = pathlib.Path(f"/proc/{agent.process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024


def cpu_seconds(agent):
    fields = pathlib.Path(f"/proc/{agent.process.pid}/stat").read_text(encoding="ascii").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Cost:
    """Of a start: median seconds by the clock, median seconds of processor, largest peak of memory."""

    seconds: float
    cpu_seconds: float
    mebibytes: float


def cost_of_a_start(agent, count=5):
    """The agent runs afterwards."""
    seconds, cpu, memory = [], [], []
    for _ in range(count):
        if agent.running():
            agent.kill()
        seconds.append(seconds_to_start(agent))
        cpu.append(cpu_seconds(agent))
        memory.append(peak_memory_mib(agent))
    return Cost(statistics.median(seconds), statistics.median(cpu), max(memory))


def with_a_large_attribute(ids, padding):
    """A request whose last `padding` bytes are zeros, the attribute of one more item."""
    request = otlp.parse("logs", otlp.make_request("logs", ids))
    last = request.resource_logs[0].scope_logs[0].log_records.add()
    last.attributes.add(key="zeros").value.bytes_value = bytes(padding)
    body = request.SerializeToString()
    assert body.endswith(bytes(padding))
    return body


@pytest.fixture
def agent_with(make_agent):
    """Makes agents whose many files go as soon as the test ends."""
    made = []

    def make(name, **options):
        made.append(make_agent(name, **options))
        return made[-1]

    yield make
    for agent in made:
        if agent.running():
            agent.kill()
        shutil.rmtree(agent.buffer_directory, ignore_errors=True)


def fill(agent, payload_of):
    directory = agent.buffer_directory / "logs"
    directory.mkdir(parents=True, exist_ok=True)
    created = time.time_ns() - 3600 * 10**9
    for seq in range(1, SEGMENTS + 1):
        payload, items = payload_of(seq)
        segments.write_segment(directory, "logs", seq, created + seq, payload, items)
    return directory


def test_a_start_on_ten_thousand_segments_of_ten_gigabytes(agent_with, upstream):
    upstream.down()
    empty = cost_of_a_start(agent_with("empty"))
    agent = agent_with("full", buffer={"max_folder_size": "20GiB", "min_free": "0"})
    payload = segments.Payload(with_a_large_attribute(new_ids(3), 1 << 20))
    directory = fill(agent, lambda seq: (payload, 4))
    assert sum(path.stat().st_size for path in directory.iterdir()) > 10 * 10**9

    full = cost_of_a_start(agent)
    print(f"empty {empty}\nfull  {full}")
    status = agent.status()["signals"]["logs"]
    assert status["segments"] == SEGMENTS
    assert status["exporters"]["otlp_http"]["pending_items"] == 4 * SEGMENTS
    assert Load(agent, limit=2).start().join().refused == 0
    assert full.cpu_seconds - empty.cpu_seconds < START_CPU_SECONDS_MAX
    assert full.seconds - empty.seconds < START_SECONDS_MAX
    assert full.mebibytes - empty.mebibytes < MEMORY_MIB_MAX


def test_ten_thousand_segments_come_in_order_and_go(agent_with, upstream):
    upstream.down()
    agent = agent_with("full", buffer={"min_free": "0"})
    wanted = []

    def one(_):
        ids = new_ids(2)
        wanted.extend(ids)
        return segments.Payload(otlp.make_request("logs", ids)), 2

    fill(agent, one)
    agent.start()
    upstream.up()
    assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(wanted), 120)
    assert upstream.ids() == wanted
    agent.wait_empty()
    assert agent.metrics().total("holdfast_dropped_items_total") == 0
    assert agent.stop() == 0
