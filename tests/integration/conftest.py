"""Fixtures of the integration tests: real agents, real upstreams, real sockets, everything below one temporary directory."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from agent import BINARY, Agent  # noqa: E402
from load import Load  # noqa: E402
from upstream import Upstream  # noqa: E402


def pytest_sessionstart(session):
    if not BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} is not there: ./dev build makes it", returncode=4)


@pytest.fixture
def upstream_class():
    """What start_upstream makes; tests of another protocol say which."""
    return Upstream


@pytest.fixture
def start_upstream(upstream_class):
    """Makes upstreams; afterwards none of them may have anything to object to in what it was sent."""
    made = []

    def start(**options):
        made.append(upstream_class(**options))
        return made[-1]

    yield start
    for upstream in made:
        upstream.down()
    assert [upstream.objections() for upstream in made] == [[] for _ in made]


@pytest.fixture
def upstream(start_upstream):
    return start_upstream()


@pytest.fixture
def make_agent(tmp_path, upstream, request):
    """Makes agents in front of `upstream` (or `upstream_url`); their log is shown when the test fails."""
    made = []

    def make(name="agent", upstream_url=None, **options):
        made.append(Agent(tmp_path / name, upstream_url or upstream.url, **options))
        return made[-1]

    yield make
    for agent in made:
        if agent.running():
            agent.kill()
        if agent.log_file.exists():
            print(f"---- log of {agent.directory.name}\n{agent.log()[-6000:]}")


@pytest.fixture
def agent(make_agent):
    return make_agent().start()


@pytest.fixture
def filled(make_agent, upstream):
    """A running agent with requests of all signals in its buffer, the upstream away: (agent, ids acknowledged)."""
    upstream.down()
    agent = make_agent().start()
    load = Load(agent, clients=6, items=7, padding=100, limit=12).start().join()
    return agent, sorted(load.acknowledged_ids())


@pytest.fixture
def stopped(filled):
    agent, ids = filled
    assert agent.stop() == 0
    return agent, ids
