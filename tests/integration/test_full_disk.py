"""The buffer on a small tmpfs: full from the start, filling under load, and healing when there is room again."""

import pytest

import otlp
from agent import wait_until
from faults import MemoryDisk, assert_all_acknowledged_came, assert_all_delivered, wait_until_taken
from load import Load

MIB = 1 << 20


@pytest.fixture
def make_disk(tmp_path):
    made = []

    def make(size, options=""):
        made.append(MemoryDisk(tmp_path / f"disk{len(made)}", size, options))
        return made[-1]

    yield make
    for disk in made:
        disk.close()


@pytest.fixture
def agent_on(make_agent):
    """Makes agents whose buffer lies on a disk that they see and the test sees elsewhere."""

    def on(disk, **buffer):
        # A folder of this size keeps little in reserve, so that the small disk is not full of that.
        agent = make_agent(buffer={"directory": str(disk.inside / "buffer"), "max_file_size": "64KiB",
                                   "max_folder_size": "8MiB", **buffer})
        agent.prefix = disk.prefix
        agent.buffer_directory = disk.outside / "buffer"
        return agent

    return on


def refused_only(agent, limit=10):
    load = Load(agent, clients=6, items=10, padding=100, limit=limit).start().join()  # objects to other answers
    return load.acknowledged_ids() == set() and load.refused == 6 * limit


def taken_only(agent, limit=10):
    load = Load(agent, clients=6, items=10, padding=100, limit=limit).start().join()
    return load.refused == 0 and len(load.acknowledged_ids()) == 60 * limit


@pytest.mark.parametrize("min_free", ["0", "64KiB"])
def test_a_disk_that_is_full_from_the_start_refuses_and_heals(min_free, make_disk, agent_on, upstream):
    disk = make_disk(2 * MIB)
    agent = agent_on(disk, min_free=min_free).start()
    agent.stop()
    filler = disk.fill()
    agent.start()
    assert refused_only(agent)
    wait_until(lambda: agent.status()["signals"]["traces"]["full"], 10, "a buffer that says it is full")
    assert agent.metrics().total("holdfast_degraded", reason="buffer_full") == 1
    assert len(agent.log()) < 50_000, "a full disk floods the log"

    filler.unlink()
    wait_until(lambda: taken_only(agent, 1), 10, "room that is noticed")
    wait_until(lambda: agent.status()["health"] != "degraded" or "buffer_full" not in
               [reason["code"] for reason in agent.status()["reasons"]], 10, "a buffer that is not full")
    assert taken_only(agent)
    agent.wait_empty()


def test_a_disk_without_room_for_a_directory_is_said_at_the_start(make_disk, agent_on):
    disk = make_disk(64 * 1024, ",nr_inodes=2")
    (disk.outside / "buffer").mkdir()
    agent = agent_on(disk)
    agent.spawn()
    assert agent.process.wait(20) == 1
    assert str(disk.inside / "buffer") in agent.log() and "No space left" in agent.log()


@pytest.mark.parametrize("min_free", ["0", "256KiB"])
def test_a_disk_that_fills_under_load_refuses_drains_and_takes_again(min_free, make_disk, agent_on, upstream):
    upstream.down()
    disk = make_disk(3 * MIB)
    agent = agent_on(disk, min_free=min_free).start()
    load = Load(agent, clients=6, items=20, padding=200, pause=0.001).start()
    wait_until(lambda: load.refused > 100, 60, "a full disk")
    stored = len(load.acknowledged_ids())
    assert stored > 1000, "the disk was full too early to show anything"
    wait_until(lambda: agent.status()["health"] == "degraded", 10)

    upstream.up()  # what is delivered frees room while the load goes on
    wait_until(lambda: len(load.acknowledged_ids()) > 3 * stored, 60, "three disks' worth of data")
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert len(agent.log()) < 100_000, "a full disk floods the log"
    for signal in otlp.SIGNALS:  # written in place, so that no repeats follow from a full disk
        assert (agent.buffer_directory / signal / "cursor-otlp_http").stat().st_size == 1024
    assert upstream.unexplained_repeats() == []
    assert agent.stop() == 0


def test_a_restart_on_a_full_disk_drains_what_lies_there(make_disk, agent_on, upstream):
    upstream.down()
    disk = make_disk(3 * MIB)
    agent = agent_on(disk, min_free="0").start()
    load = Load(agent, clients=6, items=20, padding=200).start()
    wait_until(lambda: load.refused > 20, 60, "a full disk")
    load.stop()
    agent.kill()
    filler = disk.fill()
    agent.start()
    upstream.up()
    assert_all_delivered(load, upstream)
    agent.wait_empty()  # there was no room for a cursor, if it had none: deleting goes on all the same
    filler.unlink()
    assert agent.stop() == 0


def test_a_disk_without_inodes_refuses_and_heals(make_disk, agent_on, upstream):
    disk = make_disk(16 * MIB, ",nr_inodes=40")
    agent = agent_on(disk, min_free="0").start()
    assert taken_only(agent)
    agent.wait_empty()
    fillers = []
    try:
        for number in range(40):
            fillers.append(disk.outside / f"filler{number}")
            fillers[-1].touch()
    except OSError:
        fillers.pop()
    assert fillers
    assert refused_only(agent)
    for filler in fillers:
        filler.unlink()
    wait_until(lambda: taken_only(agent, 1), 10, "room that is noticed")
    load = Load(agent, clients=3, items=5, limit=20).start().join()
    assert_all_acknowledged_came(load, upstream)
    agent.wait_empty()


def test_a_disk_that_another_program_fills_and_frees_again_and_again(make_disk, agent_on, upstream):
    disk = make_disk(4 * MIB)
    agent = agent_on(disk, min_free="0").start()
    load = Load(agent, clients=6, items=10, padding=200, pause=0.002).start()
    for _ in range(5):
        refused = load.refused
        filler = disk.fill()
        wait_until(lambda: load.refused > refused + 5, 30, "refusals")
        filler.unlink()
        wait_until_taken(load, 20)
    load.stop()
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert agent.stop() == 0
