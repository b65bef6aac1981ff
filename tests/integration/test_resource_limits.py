"""Limits of the process: open files, file size, memory. It waits, refuses, and goes on when there is room again."""

import os
import resource
import signal
import socket
import subprocess
import time

import pytest

from agent import BINARY, wait_until
from faults import assert_all_delivered, wait_until_taken
from load import Load


def open_files(agent):
    return len(os.listdir(f"/proc/{agent.process.pid}/fd"))


def limit(agent, what, soft):
    """Sets a soft limit of the running agent; returns what it was."""
    before, hard = resource.prlimit(agent.process.pid, what)
    resource.prlimit(agent.process.pid, what, (soft, hard))
    return before


def cpu_seconds(agent):
    with open(f"/proc/{agent.process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_free_descriptors_it_waits_and_heals(make_agent, upstream):
    agent = make_agent(buffer={"max_file_size": "32KiB"}).start()
    load = Load(agent, clients=6, items=10, padding=200, pause=0.002).start()
    wait_until_taken(load)
    before = limit(agent, resource.RLIMIT_NOFILE, 3)  # no new descriptor at all: no segment, no directory, no connection
    wait_until(lambda: load.refused > 20, 30, "refusals")
    knocking = []
    try:
        for _ in range(20):  # they reach the backlog of the listening socket and are not accepted
            knocking.append(socket.create_connection(("127.0.0.1", agent.http_port), timeout=5))
        used, began = cpu_seconds(agent), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 2)
        assert cpu_seconds(agent) - used < 1.2, "it spins"
    finally:
        for each in knocking:
            each.close()
    assert agent.running()
    limit(agent, resource.RLIMIT_NOFILE, before)
    wait_until_taken(load, 50)
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert len(agent.log()) < 100_000, "the fault floods the log"
    assert agent.stop() == 0


def test_more_connections_than_descriptors_lose_nothing(make_agent, upstream):
    agent = make_agent(buffer={"max_file_size": "32KiB"}).start()
    limit(agent, resource.RLIMIT_NOFILE, open_files(agent) + 20)
    load = Load(agent, clients=6, items=10, padding=200, pause=0.002).start()
    wait_until_taken(load)
    knocking = [socket.create_connection(("127.0.0.1", agent.http_port), timeout=5) for _ in range(60)]
    refused = load.refused
    wait_until(lambda: load.refused > refused, 30, "refusals")
    for each in knocking:
        each.close()
    wait_until_taken(load, 50)
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert agent.stop() == 0


@pytest.mark.parametrize("count", [10, 20, 40, 127])
def test_too_few_descriptors_to_start_are_said(count, make_agent):
    agent = make_agent()
    agent.prefix = ["prlimit", f"--nofile={count}", "--"]
    agent.spawn()
    assert agent.process.wait(20) == 1
    assert f"only {count} open files are allowed (RLIMIT_NOFILE" in agent.log()


def test_as_many_descriptors_as_are_needed_are_enough(make_agent, upstream):
    agent = make_agent(buffer={"max_file_size": "32KiB"})
    agent.prefix = ["prlimit", "--nofile=128", "--"]
    agent.start()
    load = Load(agent, clients=12, items=10, padding=200, limit=30).start().join()
    assert load.refused == 0
    assert_all_delivered(load, upstream)


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(make_agent):
    agent = make_agent()
    agent.prefix = ["prlimit", "--nofile=200:1000", "--"]
    agent.start()
    assert resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE) == (1000, 1000)


@pytest.mark.parametrize("file_bytes", [100, 5_000, 40_000])
def test_a_limit_of_the_file_size_refuses_or_makes_smaller_files(file_bytes, make_agent, upstream):
    agent = make_agent(buffer={"max_file_size": "256KiB"}).start()
    load = Load(agent, clients=6, items=10, padding=100, pause=0.002).start()
    wait_until_taken(load)
    before = limit(agent, resource.RLIMIT_FSIZE, file_bytes)
    if file_bytes < 1000:  # not even one request fits
        wait_until(lambda: load.refused > 20 or not agent.running(), 30, "refusals")
    else:
        wait_until_taken(load, 200)
    assert agent.running(), "SIGXFSZ ended the agent"
    limit(agent, resource.RLIMIT_FSIZE, before)
    wait_until_taken(load, 50)
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert agent.stop() == 0


def test_a_file_size_limit_leaves_a_backlog_readable_after_a_kill(make_agent, upstream):
    """Writes that the limit cut short lie in the files, and nothing after them was acknowledged there."""
    upstream.down()
    agent = make_agent(buffer={"max_file_size": "256KiB"})
    agent.start()
    limit(agent, resource.RLIMIT_FSIZE, 30_000)
    load = Load(agent, clients=6, items=10, padding=100, limit=60).start().join()
    assert len(load.acknowledged_ids()) > 1000
    agent.kill()
    agent.start()
    upstream.up()
    assert_all_delivered(load, upstream)
    agent.wait_empty()


def test_a_log_that_cannot_be_written_stops_nothing(make_agent, upstream):
    agent = make_agent()
    with open("/dev/full", "wb") as full:
        agent.process = subprocess.Popen([BINARY, "--config", agent.config_file], stdout=full, stderr=full)
    upstream.behave(503)
    load = Load(agent, clients=6, items=10, limit=20).start()
    load.join()
    upstream.behave("ok")
    assert_all_delivered(load, upstream)
    assert load.acknowledged_ids()
    agent.wait_empty()
    assert agent.stop() == 0


def test_a_log_whose_reader_went_away_stops_nothing(make_agent, upstream):
    agent = make_agent()
    reader, writer = os.pipe()
    agent.process = subprocess.Popen([BINARY, "--config", agent.config_file], stdout=writer, stderr=writer)
    os.close(writer)
    os.close(reader)
    load = Load(agent, clients=6, items=10, limit=20).start().join()
    upstream.down()
    more = Load(agent, clients=6, items=10, limit=20).start().join()
    assert more.acknowledged_ids()
    upstream.up()
    wanted = load.acknowledged_ids() | more.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids})
    assert agent.stop() == 0


def test_without_memory_the_agent_may_end_but_loses_nothing(make_agent, upstream):
    agent = make_agent(buffer={"max_file_size": "256KiB"}).start()
    load = Load(agent, clients=6, items=100, padding=1000, pause=0.002).start()
    wait_until_taken(load)
    for mebibytes in (64, 8, 1, 0):
        if not agent.running():
            break
        with open(f"/proc/{agent.process.pid}/statm", encoding="ascii") as statm:
            pages = int(statm.read().split()[0])
        limit(agent, resource.RLIMIT_AS, pages * resource.getpagesize() + (mebibytes << 20))
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1 or not agent.running())
    if agent.running():
        limit(agent, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        wait_until_taken(load)
        agent.kill()
    else:
        assert agent.process.returncode in (-signal.SIGABRT, -signal.SIGSEGV, 1), agent.log()[-2000:]
    agent.start()
    wait_until_taken(load)
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
