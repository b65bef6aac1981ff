"""The power is cut: the buffer lies on a file system of its own, on a disk whose every write is remembered.

The agent runs under load once. Then the disk is put back to many moments of that run, each time with other parts of
what the drive had not flushed yet, the file system recovers as after a real cut, and an agent starts on it.
"""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

import pytest

import power_disk
from agent import Agent, wait_until
from load import Load
from upstream import Upstream

SEED = int(os.environ.get("HOLDFAST_SEED", "20240607"))
SERVER = pathlib.Path(power_disk.__file__)
SECOND = 1_000_000_000
# A cursor is synced once a second. The rest is for a machine that is busy with other things.
REPEATED_SECONDS_MAX = 1 + 4
INTERVAL_SECONDS = 1
FILE_SYSTEMS = {
    "ext4": (["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"], []),
    "ext4, data=writeback": (["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"], ["-o", "data=writeback"]),
    "xfs": (["mkfs.xfs", "-q"], []),
    "btrfs": (["mkfs.btrfs", "-q"], []),
}

pytestmark = pytest.mark.long


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"{command[0]} failed; this test needs root with CAP_SYS_ADMIN, /dev/fuse, loop devices and the "
                    f"file system in the kernel (in a container: --privileged): {done.stderr.strip()}")


@contextlib.contextmanager
def mounted(image, where, options=()):
    where.mkdir(parents=True, exist_ok=True)
    run("mount", "-o", "loop", *options, image, where)
    try:
        yield where
    finally:
        run("umount", where)


@contextlib.contextmanager
def remembering_disk(base, directory, options=()):
    """The file system of image `base`, on a disk that remembers; yields where it is mounted.

    Afterwards `base` is as it was, and `directory`/journal has all that was written.
    """
    served = directory / "served"
    served.mkdir(parents=True)
    power_disk.copy_sparse(base, directory / "image")
    server = subprocess.Popen([sys.executable, SERVER, directory / "image", served, directory / "journal"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if server.stdout.readline() != "mounted\n":
            pytest.fail("a power cut needs root with CAP_SYS_ADMIN, /dev/fuse and loop devices (in a container: "
                        f"--privileged): {server.stderr.read()}")
        try:
            with mounted(served / "disk.img", directory / "mounted", options) as where:
                yield where
        finally:
            run("umount", served)
        assert server.wait(20) == 0, server.stderr.read()
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        server.stdout.close()
        server.stderr.close()


class Moody:
    """Makes an upstream take data, not take it, and take it again, so that there are deliveries and a backlog."""

    def __init__(self, upstream, chance, moods):
        self._upstream = upstream
        self._chance = chance
        self._moods = moods
        upstream.behave(moods[0])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self._chance.uniform(0.2, 0.8)):
            self._upstream.behave(self._chance.choice(self._moods))

    def stop(self):
        self._stop.set()
        self._thread.join()


class PowerCut:
    """One run under load on a remembering disk, and looks at what cuts at its moments would have left."""

    def __init__(self, directory, file_system, durability):
        self.directory = directory
        self.make_file_system, self.options = FILE_SYSTEMS[file_system]
        self.buffer = {"durability": durability, "sync_interval": f"{INTERVAL_SECONDS}s", "max_file_size": "64KiB",
                       "max_file_age_for_write": "1s", "min_free": "0"}
        self.chance = random.Random(SEED)
        self.upstream = Upstream(keep=False)
        self.load = None
        self.base = directory / "base"
        self.entries = []

    def live(self, seconds, moods=("ok", 503)):
        """Makes the file system, and runs the agent on it under load."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.base, "wb") as image:
            image.truncate(512 << 20)
        run(*self.make_file_system, self.base)
        with remembering_disk(self.base, self.directory / "run", self.options) as where:
            agent = self.agent_on(where, "first", self.upstream).start()
            try:
                moody = Moody(self.upstream, self.chance, moods)
                self.load = Load(agent, clients=6, items=5, padding=100, pause=0.002).start()
                began = time.monotonic()
                wait_until(lambda: time.monotonic() - began > seconds, seconds + 5)
                self.load.stop()
                moody.stop()
                agent.kill()
            finally:
                if agent.running():
                    agent.kill()
        self.entries = list(power_disk.read_journal(self.directory / "run/journal"))
        self.upstream.down()
        assert len(self.load.acknowledged_at) > 100, "too little load to show anything"
        flushes = sum(entry.kind == b"F" for entry in self.entries)
        assert flushes > (50 if self.buffer["durability"] == "batch" else 5), "hardly a flush reached the disk"

    def agent_on(self, where, name, upstream):
        return Agent(self.directory / name, upstream.url, buffer={**self.buffer, "directory": str(where / "buffer")})

    def moments(self, count):
        """Places in the journal, half of them right behind a flush: that is when an answer goes out."""
        acknowledged_from = self.load.acknowledged_at[0][0]
        places = [i for i, entry in enumerate(self.entries) if entry.at_ns > acknowledged_from]
        flushes = [i + 1 for i in places[:-1] if self.entries[i].kind == b"F"]
        return [self.chance.choice(places if n % 2 else flushes) for n in range(count)]

    def at_ns(self, moment):
        return self.entries[moment].at_ns

    def delivered_before(self, at_ns):
        return {i for request in self.upstream.requests() if request.at_ns <= at_ns for i in request.ids}

    def image_after_a_cut(self, moment):
        path = self.directory / "cut"
        manner = power_disk.write_image_after_a_cut(self.base, self.entries[:moment], path, self.chance)
        return path, f"cut at {moment} of {len(self.entries)}, unflushed: {manner}, seed {SEED}"

    def check_recovery(self, image, moment, what, second=None, second_at_ns=0):
        """An agent on `image` delivers all that it must, repeats no more than it may, and takes requests.

        `second` is a load that ran on the disk after this cut, until the power failed again at `second_at_ns`.
        """
        at_ns = self.at_ns(moment)
        before = self.delivered_before(at_ns)
        promised = {"batch": at_ns, "interval": at_ns - int((INTERVAL_SECONDS + 2) * SECOND), "none": 0}
        wanted = acknowledged_before(self.load, promised[self.buffer["durability"]]) - before
        sent = self.load.sent_ids() | self.load.refused_ids
        if second:
            wanted |= acknowledged_before(second, second_at_ns)
            sent |= second.sent_ids() | second.refused_ids
        upstream = Upstream(keep=False)
        with mounted(image, self.directory / "mounted", self.options) as where:
            agent = self.agent_on(where, "second", upstream).start()
            try:
                upstream.wait_for(lambda u: wanted <= {i for r in u.received for i in r.ids}, 10)
                came = set(upstream.ids())
                assert not wanted - came, (
                    f"{len(wanted - came)} of {len(wanted)} acknowledged items are lost: {what}\n{agent.log()[-3000:]}")
                assert came <= sent, f"something came that nobody sent: {what}"
                settled = self.delivered_before(at_ns - REPEATED_SECONDS_MAX * SECOND)
                assert not came & settled, f"{len(came & settled)} items came again that were settled long ago: {what}"
                again = Load(agent, clients=3, items=5, limit=2).start().join()
                assert again.refused == 0, what
                more = again.acknowledged_ids()
                assert upstream.wait_for(lambda u: more <= {i for r in u.received for i in r.ids}), what
                assert agent.stop() == 0
            finally:
                if agent.running():
                    agent.kill()
                upstream.down()
        return len(wanted)


def acknowledged_before(load, at_ns):
    return {i for at, ids in load.acknowledged_at if at <= at_ns for i in ids}


@pytest.fixture
def directory(tmp_path):
    """Images and journals are large: they go as soon as they have served."""
    yield tmp_path / "power"
    shutil.rmtree(tmp_path / "power", ignore_errors=True)


def cut_often(directory, file_system, durability, seconds, cuts, moods=("ok", 503)):
    cut = PowerCut(directory, file_system, durability)
    cut.live(seconds, moods)
    looked_for = 0
    for moment in cut.moments(cuts):
        image, what = cut.image_after_a_cut(moment)
        looked_for += cut.check_recovery(image, moment, what)
    assert looked_for > 0 or durability == "none", "nothing had to survive: the cuts show nothing"


@pytest.mark.parametrize("file_system", FILE_SYSTEMS)
def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(file_system, directory):
    cut_often(directory, file_system, "batch", 12, 25 if file_system == "ext4" else 10)


def test_a_power_cut_costs_at_most_the_interval(directory):
    cut_often(directory, "ext4", "interval", 12, 15, moods=[503])


def test_a_power_cut_without_durability_still_starts(directory):
    cut_often(directory, "ext4", "none", 8, 10)


def test_the_power_fails_again_while_the_agent_recovers(directory):
    cut = PowerCut(directory, "ext4", "batch")
    cut.live(6)
    for number, moment in enumerate(cut.moments(8)):
        image, what = cut.image_after_a_cut(moment)
        refusing = Upstream(keep=False)  # nothing leaves between the cuts, so all must be there after the second
        refusing.behave(503)
        second = cut.directory / f"second{number}"
        with remembering_disk(image, second, cut.options) as where:
            agent = cut.agent_on(where, f"recovering{number}", refusing).start()
            load = Load(agent, clients=3, items=5, limit=20).start().join()
            agent.kill()
        refusing.down()
        entries = list(power_disk.read_journal(second / "journal"))
        again = cut.chance.randrange(len(entries))
        twice = cut.directory / "twice"
        manner = power_disk.write_image_after_a_cut(image, entries[:again], twice, cut.chance)
        cut.check_recovery(twice, moment, f"{what}; again at {again} of {len(entries)}, unflushed: {manner}",
                           load, entries[again].at_ns)
