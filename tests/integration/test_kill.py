"""kill -9 at random moments under load, with an upstream that comes and goes: nothing acknowledged is lost."""

import collections
import os
import random
import threading

import pytest

from load import Load

SEED = int(os.environ.get("HOLDFAST_SEED", "20240607"))
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


def kill_rounds(rounds, make_agent, upstream):
    chance = random.Random(SEED)
    agent = make_agent(buffer={"max_file_size": "256KiB"}).start()
    load = Load(agent, clients=6, items=10, padding=20, pause=0.002).start()
    flapping = Flapping(upstream, random.Random(chance.random()))
    for _ in range(rounds):
        threading.Event().wait(chance.uniform(0.05, 1.2))  # a random moment is what this is about
        agent.kill()
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
