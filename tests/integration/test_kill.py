"""The process dies in every way and state under load, with an upstream that comes and goes: nothing acknowledged is lost."""

import collections
import itertools
import os
import random
import signal
import threading

import pytest

from faults import TRACEABLE, Injection, assert_all_delivered, wait_until_taken
from load import Load

SEED = int(os.environ.get("HOLDFAST_SEED", "20240607"))
WINDOWED = {"drain": "windowed", "max_file_age_for_write": "200ms", "min_file_age_for_read": "300ms"}
BEHAVIOURS = ["ok", "ok", "ok", 503, 429, 502, "reset", "close", "take_and_reset", "down"]


class Flapping:
    """Changes the upstream's mind several times a second until it is told to be good."""

    def __init__(self, upstream, chance):
        self._upstream = upstream
        self._chance = chance
        self._stop = threading.Event()
        self._down = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self._chance.uniform(0.05, 0.3)):
            self._become(self._chance.choice(BEHAVIOURS))

    def _become(self, behaviour):
        if behaviour == "down":
            if not self._down:
                self._upstream.down()
            self._down = True
            return
        if self._down:
            self._upstream.up()
        self._down = False
        self._upstream.behave(behaviour)

    def stop(self):
        self._stop.set()
        self._thread.join()
        self._become("ok")


def pause(seconds):
    threading.Event().wait(seconds)  # a random moment is what this is about


def die_at_once(agent, chance):
    """The kinds of end that a process does not see coming."""
    agent.process.send_signal(chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS]))
    agent.process.wait()


def die_while_stopping(agent, chance):
    agent.terminate()
    pause(chance.uniform(0, 0.3))
    agent.kill()


def die_while_starting(agent, chance):
    agent.kill()
    for _ in range(3):
        agent.spawn()
        pause(chance.uniform(0, 0.08))
        agent.kill()


def kill_rounds(rounds, make_agent, upstream, end=lambda agent, _: agent.kill(), **buffer):
    chance = random.Random(SEED)
    agent = make_agent(buffer={"max_file_size": "256KiB", **buffer}).start()
    load = Load(agent, clients=6, items=10, padding=20, pause=0.002).start()
    flapping = Flapping(upstream, random.Random(chance.random()))
    for _ in range(rounds):
        pause(chance.uniform(0.05, 1.2))
        end(agent, chance)
        agent.start()
    flapping.stop()
    load.stop()

    acknowledged, sent = load.acknowledged_ids(), load.sent_ids()
    assert len(acknowledged) > 100 * rounds, "too little load to show anything"
    assert upstream.wait_for(
        lambda u: acknowledged <= {i for r in u.received for i in r.ids}, 60), missing(acknowledged, upstream)
    agent.wait_empty()
    assert set(upstream.ids()) <= sent, "something came that nobody sent"
    assert upstream.unexplained_repeats() == []
    assert agent.stop() == 0


def missing(acknowledged, upstream):
    lost = acknowledged - set(upstream.ids())
    return f"{len(lost)} of {len(acknowledged)} acknowledged items never came (seed {SEED}): {sorted(lost)[:5]}"


def test_five_kills_under_load_with_a_flapping_upstream(make_agent, upstream):
    kill_rounds(5, make_agent, upstream)


@pytest.mark.long
def test_fifty_kills_under_load_with_a_flapping_upstream(make_agent, upstream):
    kill_rounds(50, make_agent, upstream)


ENDS = {"signals": die_at_once, "while stopping": die_while_stopping, "while starting": die_while_starting}
DURABILITIES = ("batch", "interval", "none")


@pytest.mark.parametrize("how", ENDS)
def test_a_process_that_dies_in_any_state_loses_nothing(how, make_agent, upstream):
    kill_rounds(4, make_agent, upstream, ENDS[how])


@pytest.mark.parametrize("durability", ["interval", "none"])
def test_kills_cost_nothing_at_weaker_durability(durability, make_agent, upstream):
    kill_rounds(4, make_agent, upstream, durability=durability, **WINDOWED)


@pytest.mark.long
@pytest.mark.parametrize("how,durability,drain", list(itertools.product(ENDS, DURABILITIES, ("live", "windowed"))))
def test_twenty_deaths_of_each_kind_under_load(how, durability, drain, make_agent, upstream):
    kill_rounds(20, make_agent, upstream, ENDS[how], durability=durability, **(WINDOWED if drain == "windowed" else {}))


def kills_while_draining(rounds, make_agent, upstream):
    """A backlog goes out batch by batch, and each time the agent dies after another one."""
    chance = random.Random(SEED)
    upstream.down()
    agent = make_agent(buffer={"max_file_size": "64KiB"}, config={
        "processors": {"batch": {"send_batch_size": 200}},
        "service": {"pipelines": {name: {"processors": ["batch"]} for name in ("traces", "metrics", "logs")}},
    }).start()
    load = Load(agent, clients=6, items=20, padding=50, limit=150).start().join()
    upstream.up()
    for _ in range(rounds):
        came = len(upstream.requests()) + chance.randrange(1, 4)
        upstream.wait_for(lambda u: len(u.received) >= came, 5)
        agent.kill()
        agent.start()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert upstream.unexplained_repeats() == []
    repeated = len(upstream.ids()) - len(set(upstream.ids()))
    assert repeated <= (rounds + 1) * 3 * 220, "more than what was in flight came again"


def test_three_kills_while_a_backlog_drains(make_agent, upstream):
    kills_while_draining(3, make_agent, upstream)


@pytest.mark.long
def test_twenty_kills_while_a_backlog_drains(make_agent, upstream):
    kills_while_draining(20, make_agent, upstream)


@pytest.mark.parametrize("what", ["error=EIO", "signal=KILL:when=2"])
@pytest.mark.parametrize("call", ["pwritev", "fdatasync", "rename", "unlink"])
def test_disk_faults_during_a_graceful_stop_lose_nothing(call, what, make_agent, upstream):
    upstream.behave("hang")
    agent = make_agent(buffer={"max_file_size": "32KiB", "min_free": "0"})
    agent.prefix = TRACEABLE
    agent.start()
    load = Load(agent, clients=6, items=10, padding=100).start()
    wait_until_taken(load, 100)
    with Injection(agent, call, what):
        upstream.behave("ok")  # there is much to deliver, delete and seal within the grace
        agent.terminate()
        status = agent.process.wait(15)
    assert status in (0, -signal.SIGKILL)
    if what.startswith("error"):
        assert status == 0, "a fault of the disk is no reason not to stop"
    load.stop()
    agent.start()
    assert_all_delivered(load, upstream)
    agent.wait_empty()


def test_a_kill_while_the_whole_backlog_waits(make_agent, upstream):
    upstream.down()
    agent = make_agent(buffer={"max_file_size": "128KiB"}).start()
    load = Load(agent, clients=6, items=20, padding=100, limit=30).start().join()
    agent.kill()
    agent.start()
    agent.kill()
    agent.start()
    upstream.up()
    wanted = load.acknowledged_ids()
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids}), missing(wanted, upstream)
    agent.wait_empty()
    assert collections.Counter(upstream.ids()) == collections.Counter(wanted)
