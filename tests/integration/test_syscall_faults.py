"""System calls of the running agent fail or kill it, by strace: what was answered 200 is delivered all the same."""

import itertools
import time

import pytest
import requests

from agent import wait_until
from faults import (CALLS, TRACEABLE, Injection, assert_all_acknowledged_came, assert_all_delivered, injecting_strace,
                    wait_for_answers, wait_for_end, wait_until_taken)
from load import Load

WRITING = [call for call in CALLS if call != "pread"]
# Small files, so that all calls happen often.
SMALL_FILES = {"max_file_size": "32KiB", "min_free": "0"}

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EMFILE")
# A kernel interrupts now and then, not for ever.
MOMENTS = {"once": ":when=3", "for a while": ":when=2..40", "from now on": ""}


def fault_while_running(make_agent, upstream, call, what):
    """The fault holds while there is load; then it is over, and the agent must be as good as new."""
    agent = make_agent(buffer=SMALL_FILES)
    agent.prefix = TRACEABLE
    agent.start()
    load = Load(agent, clients=6, items=5, padding=100, pause=0.002).start()
    wait_until_taken(load)
    with Injection(agent, call, what) as injection:
        wait_until(lambda: injection.injected() > 0 or not agent.running(), 20, "the fault")
        wait_for_answers(load, 60)
        upstream.down()  # so that what the fault left on the disk is read again after a restart
        wait_for_answers(load, 60)
        assert injection.injected() > 0
    assert agent.running(), "the fault ended the agent"
    wait_until_taken(load)
    load.stop()
    agent.kill()
    agent.start()
    upstream.up()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert len(agent.log()) < 200_000, "the fault flooded the log"
    assert agent.stop() == 0


@pytest.mark.parametrize("call,what", [
    ("fdatasync", "error=EIO"),
    ("fdatasync", "error=EINTR:when=3"),
    ("pwritev", "error=ENOSPC"),
    ("pwritev", "retval=0"),
    ("openat", "error=EMFILE"),
    ("rename", "error=EIO"),
    ("unlink", "error=EIO"),
    ("fsync", "error=EDQUOT"),
])
def test_a_failing_call_costs_nothing_acknowledged_and_heals(call, what, make_agent, upstream):
    fault_while_running(make_agent, upstream, call, what)


@pytest.mark.long
@pytest.mark.parametrize("call,error,moment", [
    (call, error, moment) for call, error, moment in itertools.product(WRITING, ERRORS, MOMENTS)
    if not (error == "EINTR" and moment == "from now on") and (error != "EMFILE" or call == "openat")
])
def test_every_call_fails_in_every_way(call, error, moment, make_agent, upstream):
    fault_while_running(make_agent, upstream, call, f"error={error}{MOMENTS[moment]}")


@pytest.mark.parametrize("call", ["fdatasync", "pwritev", "fsync", "openat"])
def test_while_nothing_can_be_stored_clients_are_told_to_come_again(call, make_agent, upstream):
    agent = make_agent(buffer=SMALL_FILES)
    agent.prefix = TRACEABLE
    agent.start()
    with Injection(agent, call, "error=EIO"):
        load = Load(agent, clients=6, items=5, limit=5).start().join()  # join() objects to any answer but these two
        assert load.acknowledged_ids() == set() and load.refused == 30
        assert agent.status()["health"] == "degraded"
    again = Load(agent, clients=6, items=5, limit=5).start().join()
    assert again.refused == 0 and len(again.acknowledged_ids()) == 150
    assert_all_delivered(again, upstream)


def backlog(agent, upstream):
    """Acknowledged data in several files of each signal, the last of them open."""
    upstream.down()
    load = Load(agent, clients=6, items=5, padding=100, limit=60).start().join()
    assert len(list(agent.buffer_directory.glob("*/*.seg"))) >= 6
    return load


def assert_delivered_or_in_quarantine(agent, loads, upstream):
    """What has not come lies in quarantine; put back, it comes."""
    wanted = {i for load in loads for i in load.acknowledged_ids()}
    upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids}, 15)
    lost = wanted - set(upstream.ids())
    aside = list(agent.buffer_directory.glob("*/quarantine/*.seg")) + list(agent.buffer_directory.glob("*/quarantine/*.wip"))
    assert not lost or aside, f"{len(lost)} acknowledged items are neither delivered nor in quarantine"
    if lost:
        agent.stop()
        for path in aside:
            path.rename(path.parents[1] / path.name)
        for cursor in agent.buffer_directory.glob("*/cursor-*"):
            cursor.unlink()
        agent.prefix = []
        agent.start()
    for load in loads:
        assert_all_acknowledged_came(load, upstream)


@pytest.mark.parametrize("error", ["EIO", "ENOMEM", "ESTALE"])
def test_files_that_cannot_be_read_for_a_while_are_kept(error, make_agent, upstream):
    """A controller that is reset, a path that fails over: what cannot be read now may be read later."""
    agent = make_agent(buffer=SMALL_FILES)
    agent.prefix = TRACEABLE
    load = backlog(agent.start(), upstream)
    with Injection(agent, "pread", f"error={error}") as injection:
        upstream.up()
        wait_until(lambda: injection.injected() >= 18, 60, "repeated attempts to read")
    again = Load(agent, clients=6, items=5, limit=2).start().join()
    assert again.refused == 0
    assert_delivered_or_in_quarantine(agent, [load, again], upstream)


@pytest.mark.parametrize("call", CALLS)
def test_a_start_on_a_failing_disk_succeeds_and_loses_nothing(call, make_agent, upstream):
    agent = make_agent(buffer=SMALL_FILES)
    load = backlog(agent.start(), upstream)
    agent.kill()
    # A directory that cannot be listed is an unusable one, and ends the start.
    paths = [path for path in agent.buffer_directory.glob("**/*") if path.is_file() or call != "openat"]
    paths.remove(agent.buffer_directory / "LOCK")
    agent.prefix = injecting_strace(call, "error=EIO:when=1..30", paths)
    agent.start()
    upstream.up()
    taken = Load(agent, clients=6, items=5, pause=0.01).start()
    wait_until_taken(taken, 20)
    taken.stop()
    assert_delivered_or_in_quarantine(agent, [load, taken], upstream)


@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
def test_a_disk_that_hangs_holds_up_answers_and_nothing_else(call, make_agent, upstream):
    agent = make_agent(buffer=SMALL_FILES)
    agent.prefix = TRACEABLE
    agent.start()
    load = Load(agent, clients=6, items=5, padding=100, pause=0.002).start()
    wait_until_taken(load)
    with Injection(agent, call, "delay_enter=1500000") as injection:
        for _ in range(2):
            hits = injection.delayed()
            wait_until(lambda: injection.delayed() > hits, 30, "a call that hangs")
            began = time.monotonic()
            for path in ("/", "/status", "/metrics"):
                assert requests.get(agent.health_url(path), timeout=5).status_code == 200
            assert time.monotonic() - began < 1.2, "the health port hangs with the disk"
        assert load.refused == 0
    wait_until_taken(load, 50)
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert agent.stop() == 0


def kill_at(agent, load, call, number):
    """Starts the agent to be killed when a thread of it begins its `number`-th `call`, and starts it again."""
    agent.prefix = injecting_strace(call, f"signal=KILL:when={number}")
    agent.spawn()
    status = wait_for_end(agent, 20)
    assert status == -9, f"{call} {number} did not come (status {status})\n{agent.log()[-2000:]}"
    agent.prefix = []
    agent.start()
    wait_until_taken(load, 5)
    agent.kill()


def kills_at(make_agent, upstream, call, numbers):
    agent = make_agent(buffer={**SMALL_FILES, "max_file_age_for_write": "300ms"}).start()
    load = Load(agent, clients=6, items=5, padding=200, pause=0.002).start()
    wait_until_taken(load)
    agent.kill()
    for number in numbers:
        kill_at(agent, load, call, number)
    agent.start()
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert upstream.unexplained_repeats() == []
    assert agent.stop() == 0


@pytest.mark.parametrize("call,numbers", [
    ("fdatasync", (1, 2, 3)), ("pwritev", (1, 2)), ("fsync", (1, 2)), ("rename", (1, 2)), ("unlink", (1, 2))])
def test_killed_at_the_first_calls_loses_nothing(call, numbers, make_agent, upstream):
    kills_at(make_agent, upstream, call, numbers)


@pytest.mark.long
@pytest.mark.parametrize("call", [call for call in WRITING if call != "openat"])
def test_killed_at_each_of_the_first_twenty_calls_loses_nothing(call, make_agent, upstream):
    kills_at(make_agent, upstream, call, range(1, 21))
