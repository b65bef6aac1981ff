"""Directories that cannot be used, files that may not be touched, and who holds the directory.

Permission bits stand for owners here: without privileges a file that is closed to its owner fails as one of somebody
else's does, and no second user is needed.
"""

import os
import pathlib
import signal
import subprocess

import pytest

import otlp
from agent import BINARY, wait_until
from faults import (MemoryDisk, assert_all_acknowledged_came, assert_all_delivered, wait_until_taken,
                    without_privileges)
from load import Load


@pytest.fixture
def plain_agent(make_agent, tmp_path):
    """Makes agents without privileges; afterwards everything may be deleted again."""

    def make(**buffer):
        agent = make_agent(buffer={"max_file_size": "64KiB", **buffer})
        agent.prefix = without_privileges()
        return agent

    yield make
    for directory, _, _ in os.walk(tmp_path, onerror=lambda error: os.chmod(error.filename, 0o700)):
        os.chmod(directory, 0o700)
    for directory, _, _ in os.walk(tmp_path):
        os.chmod(directory, 0o700)


def refuses_to_start(agent, *words):
    agent.spawn()
    assert agent.process.wait(20) == 1, agent.log()
    said = agent.log()
    assert "cannot start" in said and "terminate called" not in said
    for word in words:
        assert word in said, said
    return said


# ---- a directory that cannot be used at all ----
def test_a_missing_directory_is_made_with_its_parents(plain_agent, tmp_path):
    agent = plain_agent(directory=str(tmp_path / "a/b/c"))
    agent.start()
    assert Load(agent, limit=1).start().join().refused == 0
    assert (tmp_path / "a/b/c").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("mode", [0o555, 0o000, 0o444, 0o666])
def test_a_directory_that_may_not_be_written_is_named(mode, plain_agent):
    agent = plain_agent()
    agent.buffer_directory.mkdir()
    agent.buffer_directory.chmod(mode)
    refuses_to_start(agent, str(agent.buffer_directory), "Permission denied", "disk_buffer.directory")


@pytest.mark.parametrize("mode", [0o555, 0o666])
def test_a_parent_that_may_not_be_written_or_entered_is_named(mode, plain_agent, tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(mode)
    refuses_to_start(plain_agent(directory=str(parent / "buffer")), str(parent / "buffer"), "Permission denied")


def test_a_file_in_the_directorys_place_is_named(plain_agent, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    refuses_to_start(plain_agent(directory=str(tmp_path / "file")), str(tmp_path / "file"), "Not a directory")
    refuses_to_start(plain_agent(directory=str(tmp_path / "file/below")), str(tmp_path / "file"), "Not a directory")
    assert (tmp_path / "file").read_text() == "not a directory"


def test_a_file_in_a_signals_place_is_named(plain_agent):
    agent = plain_agent()
    agent.buffer_directory.mkdir()
    (agent.buffer_directory / "metrics").write_text("not a directory")
    refuses_to_start(agent, str(agent.buffer_directory / "metrics"), "Not a directory")


def test_a_signals_directory_of_somebody_else_is_named(plain_agent):
    agent = plain_agent()
    (agent.buffer_directory / "logs").mkdir(parents=True)
    (agent.buffer_directory / "logs").chmod(0)
    refuses_to_start(agent, str(agent.buffer_directory / "logs"), "Permission denied")


def test_a_lock_file_of_somebody_else_is_named(plain_agent):
    agent = plain_agent()
    agent.buffer_directory.mkdir()
    (agent.buffer_directory / "LOCK").touch()
    (agent.buffer_directory / "LOCK").chmod(0)
    refuses_to_start(agent, str(agent.buffer_directory / "LOCK"), "Permission denied")


def test_a_read_only_file_system_is_named(make_agent, tmp_path):
    disk = MemoryDisk(tmp_path / "disk", 1 << 20)
    agent = make_agent(buffer={"directory": str(disk.inside / "buffer"), "min_free": "0", "max_file_size": "64KiB",
                               "max_folder_size": "8MiB"})
    agent.prefix = disk.prefix
    try:
        (disk.outside / "buffer").mkdir()
        disk.remount("ro")
        refuses_to_start(agent, str(disk.inside / "buffer"), "Read-only file system")
        disk.remount("rw")
        agent.start()
        assert Load(agent, limit=2).start().join().refused == 0
    finally:
        agent.kill()
        disk.close()


# ---- a directory that becomes unusable while the agent runs ----
def test_a_directory_that_loses_its_permissions_under_load_refuses_and_heals(plain_agent, upstream):
    agent = plain_agent(max_file_age_for_write="200ms").start()
    load = Load(agent, clients=6, items=10, padding=100, pause=0.002).start()
    wait_until_taken(load)
    folders = [agent.buffer_directory / name for name in otlp.SIGNALS]
    for folder in folders:
        folder.chmod(0o500)
    wait_until(lambda: load.refused > 50, 30, "refusals")
    assert agent.status()["health"] == "degraded"
    for folder in folders:
        folder.chmod(0o750)
    wait_until_taken(load, 50)
    load.stop()
    assert_all_delivered(load, upstream)
    assert agent.stop() == 0
    agent.start()
    agent.wait_empty()


def test_a_directory_that_is_moved_away_under_load_refuses_until_it_is_back(plain_agent, upstream):
    agent = plain_agent(max_file_age_for_write="200ms").start()
    load = Load(agent, clients=6, items=10, pause=0.002).start()
    wait_until_taken(load)
    aside = agent.directory / "aside"
    agent.buffer_directory.rename(aside)
    wait_until(lambda: load.refused > 50, 30, "refusals")
    aside.rename(agent.buffer_directory)
    wait_until_taken(load, 50)
    load.stop()
    assert_all_delivered(load, upstream)
    assert agent.stop() == 0


# ---- single files ----
def backlog(agent, upstream, limit=30):
    """Acknowledged data in several files, with a cursor that exists, and the agent stopped."""
    first = Load(agent.start(), clients=3, items=10, limit=2).start().join()
    assert_all_delivered(first, upstream)
    agent.wait_empty()
    upstream.down()
    load = Load(agent, clients=3, items=10, padding=300, limit=limit).start().join()
    assert agent.stop() == 0
    return load


def files(agent, pattern):
    return sorted(agent.buffer_directory.glob(pattern))


def test_one_segment_that_may_not_be_read_costs_itself_alone(plain_agent, upstream):
    agent = plain_agent()
    load = backlog(agent, upstream)
    victim = files(agent, "traces/*.seg")[0]
    victim.chmod(0)
    agent.start()
    upstream.up()
    others = {i for signal in ("metrics", "logs") for i in load.acknowledged[signal]}
    assert upstream.wait_for(lambda u: others <= {i for r in u.received for i in r.ids})
    wait_until(lambda: agent.status()["signals"]["traces"]["exporters"]["otlp_http"]["pending_items"] == 0)
    assert victim.name in agent.log()
    assert Load(agent, limit=2).start().join().refused == 0
    assert agent.stop() == 0

    # Nothing is wiped: it waits where the operator finds it, and comes back whole when it is put back readable.
    kept = files(agent, f"traces/**/{victim.name}")
    assert len(kept) == 1
    kept[0].chmod(0o640)
    kept[0].rename(victim)
    for cursor in files(agent, "traces/cursor-*"):
        cursor.unlink()
    agent.start()
    assert_all_acknowledged_came(load, upstream)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_cursor_of_somebody_else_repeats_rather_than_blocks(mode, plain_agent, upstream):
    agent = plain_agent()
    load = backlog(agent, upstream)
    cursors = files(agent, "*/cursor-*")
    assert len(cursors) == 3
    for cursor in cursors:
        cursor.chmod(mode)
    agent.start()
    upstream.up()
    assert_all_acknowledged_came(load, upstream)
    assert "cursor" in agent.log()
    again = Load(agent, limit=3).start().join()
    assert again.refused == 0
    assert_all_acknowledged_came(again, upstream)
    assert agent.stop() == 0
    agent.start()
    assert Load(agent, limit=3).start().join().refused == 0


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_quarantine_of_somebody_else_blocks_nothing(mode, plain_agent, upstream):
    agent = plain_agent()
    load = backlog(agent, upstream)
    for signal_name in otlp.SIGNALS:
        quarantine = agent.buffer_directory / signal_name / "quarantine"
        quarantine.mkdir(exist_ok=True)
        quarantine.chmod(mode)
    agent.start()
    poison = load.acknowledged["logs"][0]
    upstream.behave(lambda signal_name, message: 400 if poison in otlp.ids_of(signal_name, message) else "ok")
    upstream.up()
    wanted = load.acknowledged_ids() - set(load.acknowledged["logs"][:10])
    assert upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids}), agent.log()
    wait_until(lambda: agent.metrics().total(
        "holdfast_dropped_items_total", signal="logs", reason="quarantine_failed") == 10, 10, "a loss that is counted")
    agent.wait_empty()


def test_directories_with_the_names_of_files_are_left_alone(plain_agent, upstream):
    agent = plain_agent()
    load = backlog(agent, upstream)
    strangers = []
    for signal_name in otlp.SIGNALS:
        folder = agent.buffer_directory / signal_name
        for name in (f"{7:020}-{1_700_000_000_000:013}.seg", f"{1 << 40:020}-{1_700_000_000_000:013}.wip", "cursor-other"):
            (folder / name).mkdir()
            strangers.append(folder / name)
        (folder / "a-link.seg").symlink_to("/dev/zero")
        (folder / f"{9:020}-{1_700_000_000_000:013}.seg").symlink_to("/dev/zero")
        os.mkfifo(folder / f"{8:020}-{1_700_000_000_000:013}.wip")
    agent.start()
    upstream.up()
    assert_all_acknowledged_came(load, upstream)
    assert all(stranger.is_dir() for stranger in strangers)
    assert agent.stop() == 0


def test_a_cursor_that_is_a_directory_does_not_block_the_start(plain_agent, upstream):
    agent = plain_agent()
    load = backlog(agent, upstream)
    for cursor in files(agent, "*/cursor-otlp_http"):
        cursor.unlink()
        cursor.mkdir()
    agent.start()
    upstream.up()
    assert_all_acknowledged_came(load, upstream)
    assert Load(agent, limit=2).start().join().refused == 0


# ---- who holds the directory ----
def run_beside(agent, make_agent):
    second = make_agent("second", buffer={"directory": str(agent.buffer_directory)})
    return subprocess.run([BINARY, "--config", second.config_file], capture_output=True, text=True, timeout=20)


def test_a_second_process_ends_at_once_and_the_first_one_does_not_notice(make_agent, upstream):
    agent = make_agent(buffer={"max_file_size": "64KiB"}).start()
    load = Load(agent, clients=6, items=10, pause=0.002).start()
    wait_until_taken(load)
    for _ in range(5):
        done = run_beside(agent, make_agent)
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert f"the buffer directory {agent.buffer_directory} is in use by another holdfast process" in said
        wait_until_taken(load)
    load.stop()
    assert load.refused == 0
    assert_all_delivered(load, upstream)
    agent.wait_empty()
    assert upstream.unexplained_repeats() == []
    assert agent.metrics().total("holdfast_buffer_write_errors_total") == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_the_lock_goes_with_the_process_however_it_ends(number, make_agent):
    agent = make_agent().start()
    agent.process.send_signal(number)
    assert agent.process.wait(15) == (0 if number == signal.SIGTERM else -number)
    agent.start()
    assert Load(agent, limit=1).start().join().refused == 0


def test_a_lock_file_that_was_left_behind_locks_nobody_out(make_agent):
    agent = make_agent()
    agent.buffer_directory.mkdir()
    pathlib.Path(agent.buffer_directory / "LOCK").write_text("99999\n")
    agent.start()
    assert Load(agent, limit=1).start().join().refused == 0
