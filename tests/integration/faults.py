"""Ways to make the machine fail around a real agent: system calls, memory file systems, permissions.

Each needs as few rights as it can; what cannot be done on this machine fails the test with what is missing.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from agent import wait_until

# What the buffer does to its disk, by what it is for; the names differ between architectures ("?": may not exist).
CALLS = {
    "fdatasync": "fdatasync",
    "fsync": "fsync",
    "pwritev": "pwritev",
    "pread": "pread64",
    "openat": "openat",
    "rename": "?rename,?renameat,?renameat2",
    "unlink": "?unlink,?unlinkat",
}

# A tracer may attach to what allows it, also where only a parent may trace (Yama).
TRACEABLE = [sys.executable, "-c", (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])")]


def injecting_strace(call, what, paths=()):
    """A prefix for Agent: faults from its first system call on, in calls on `paths` only if there are any.

    `what` is strace's, counted for each thread.
    """
    filters = [word for path in paths for word in ("-P", str(path))]
    return ["strace", "-D", "-f", "-o", "/dev/null", "-e", f"trace={CALLS[call]}", "-e", f"inject={CALLS[call]}:{what}",
            *filters, "--"]


class Injection:
    """Faults in the system calls of a running agent, from __enter__ to __exit__; the agent goes on after both.

    Calls are counted for each thread. `what` is strace's: "error=EIO", "error=ENOSPC:when=2", "signal=KILL:when=3".
    """

    def __init__(self, agent, call, what):
        self._agent = agent
        self._filter = ["-e", f"trace={CALLS[call]}", "-e", f"inject={CALLS[call]}:{what}"]
        self._strace = None
        self._said = None
        self._trace = None

    def __enter__(self):
        self._said = tempfile.TemporaryFile("w+")
        self._trace = tempfile.NamedTemporaryFile("r", errors="replace")
        self._strace = subprocess.Popen(
            ["strace", "-f", "-o", self._trace.name, *self._filter, "-p", str(self._agent.process.pid)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said)
        wait_until(self._attached, 10, "strace on all threads")
        return self

    def _attached(self):
        self._said.seek(0)
        said = self._said.read()
        assert self._strace.poll() is None or not self._agent.running(), (
            f"strace cannot trace the agent; this test needs the right to ptrace its own children: {said}")
        return self._strace.poll() is not None or "attached" in said

    def injected(self):
        """How many calls have been hit by now."""
        self._trace.seek(0)
        return self._trace.read().count("(INJECTED)")

    def delayed(self):
        """How many calls have been held up by now."""
        self._trace.seek(0)
        return self._trace.read().count("(DELAYED)")

    def __exit__(self, *_):
        if self._strace.poll() is None:
            self._strace.send_signal(signal.SIGINT)  # strace lets go of all threads
        self._strace.wait(20)
        self._said.close()
        self._trace.close()


class MemoryDisk:
    """A tmpfs of `size` bytes that only agents with `prefix` see, at `inside`; the test sees it at `outside`.

    It lives in a mount namespace of its own, which a plain user may make as well where user namespaces are allowed.
    """

    def __init__(self, directory, size, options=""):
        self.inside = pathlib.Path(directory)
        self.inside.mkdir(parents=True, exist_ok=True)
        space = ["--mount"] if os.geteuid() == 0 and _works(["unshare", "--mount", "true"]) else ["--mount", "--map-root-user"]
        mount = f'mount -t tmpfs -o size={size}{options} holdfast-test "$0" && echo done && exec sh'
        self._holder = subprocess.Popen(["unshare", *space, "sh", "-c", mount, self.inside], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self._holder.stdout.readline() != "done\n":
            pytest.fail("no tmpfs can be mounted: this test needs CAP_SYS_ADMIN or user namespaces "
                        f"(sysctl kernel.unprivileged_userns_clone=1): {self._holder.stderr.read()}")
        pid = self._holder.pid
        user = ["--user", "--preserve-credentials"] if "--map-root-user" in space else []
        self.prefix = ["nsenter", "--target", str(pid), *user, "--mount", "--"]
        self.outside = pathlib.Path(f"/proc/{pid}/root{self.inside}")

    def remount(self, option):
        """"ro" or "rw"."""
        self._holder.stdin.write(f"mount -o remount,bind,{option} '{self.inside}' && echo done || exit\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == "done\n", self._holder.stderr.read()

    def free_bytes(self):
        room = os.statvfs(self.outside)
        return room.f_bavail * room.f_frsize

    def fill(self, leave=0, name="filler"):
        """Takes all room but `leave` bytes; returns the file that took it."""
        filler = self.outside / name
        with open(filler, "wb", buffering=0) as file:
            while (room := self.free_bytes() - leave) > 0:
                try:
                    file.write(bytes(min(room, 1 << 16)))
                except OSError:
                    break
        return filler

    def close(self):
        self._holder.stdin.close()
        self._holder.wait(10)
        self._holder.stdout.close()
        self._holder.stderr.close()


def _works(command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def without_privileges():
    """A prefix for Agent under which permission bits hold, for root as well."""
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]
    if not _works([*prefix, "true"]):
        pytest.fail("setpriv cannot drop capabilities: as root this test needs CAP_SETPCAP")
    return prefix


def wait_for_end(agent, timeout=30):
    """Waits for an agent that will end by itself; returns its status, or None when it has not."""
    try:
        return agent.process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None


def wait_for_answers(load, count, timeout=30):
    """`count` more requests answered, one way or the other."""

    def answered():
        return len(load.acknowledged_ids()) // load.items + load.refused

    wanted = answered() + count
    wait_until(lambda: answered() >= wanted, timeout, f"{count} more answers")


def wait_until_taken(load, count=10, timeout=30):
    """`count` more requests acknowledged: the agent takes data."""
    wanted = len(load.acknowledged_ids()) + count * load.items
    wait_until(lambda: len(load.acknowledged_ids()) >= wanted, timeout, f"{count} more acknowledged requests")


def assert_all_acknowledged_came(load, upstream, timeout=60):
    wanted = load.acknowledged_ids()
    came = set()
    deadline = time.monotonic() + timeout
    while not wanted <= came and time.monotonic() < deadline:
        before = len(upstream.requests())
        upstream.wait_for(lambda u: len(u.received) > before, 1)
        came = set(upstream.ids())
    lost = wanted - came
    assert not lost, f"{len(lost)} of {len(wanted)} acknowledged items never came: {sorted(lost)[:5]}"
    return came


def assert_all_delivered(load, upstream, timeout=60):
    """Everything acknowledged comes, and nothing that this load did not send."""
    came = assert_all_acknowledged_came(load, upstream, timeout)
    assert came <= load.sent_ids() | load.refused_ids, "something came that nobody sent"
