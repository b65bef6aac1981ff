"""A Debian 12 with a real systemd in a container of systemd-nspawn, on a network of its own. Needs root.

Its root is made once, in build/debian-root, by debootstrap, with what the package depends on; a machine writes to an
overlay over it, so each one is new.
"""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import pytest

from agent import ROOT, wait_until

DEBIAN_ROOT = ROOT / "build" / "debian-root"
MIRROR = "http://deb.debian.org/debian"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
NSPAWN = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe"]
CLONE_NEWNET = 0x40000000
POWER_OFF = signal.SIGRTMIN + 4  # as systemd(1) takes it


def run(*command, timeout=600):
    """Runs on this machine; a failure fails the test with all that it said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                          env=ENVIRONMENT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}; this test needs root, with "
                    f"CAP_SYS_ADMIN in a container\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def debian_root(dependencies):
    """The root directory of a Debian with systemd, and with what a Depends field asks for."""
    stamp = DEBIAN_ROOT / "etc" / "made-for"
    fingerprint = hashlib.sha256(dependencies.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != fingerprint:
        shutil.rmtree(DEBIAN_ROOT, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=systemd,dbus", "bookworm", DEBIAN_ROOT, MIRROR, timeout=1800)
        run(*NSPAWN, "--resolv-conf=copy-host", f"--directory={DEBIAN_ROOT}", "apt-get", "-qq", "--no-install-recommends",
            "satisfy", dependencies, timeout=1800)
        run(*NSPAWN, f"--directory={DEBIAN_ROOT}", "apt-get", "clean")
        stamp.write_text(fingerprint)
    return DEBIAN_ROOT


class Machine:
    """Runs from boot() to close(). The directory `share` of this machine is its /share, to be read."""

    def __init__(self, root, directory, share):
        self.root = pathlib.Path(directory) / "root"
        self._share = share
        layers = [pathlib.Path(directory) / name for name in ("upper", "work", "root")]
        for layer in layers:
            layer.mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={root},upperdir={layers[0]},workdir={layers[1]}", self.root)
        self._log = open(pathlib.Path(directory) / "machine.log", "wb")
        self._container = None

    def boot(self):
        self._container = subprocess.Popen(
            [*NSPAWN, "--boot", "--private-network", "--machine=holdfast-test", f"--directory={self.root}",
             f"--bind-ro={self._share}:/share"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        wait_until(self._is_up, 60, "a machine that is up")

    def _is_up(self):
        assert self._container.poll() is None, f"the machine has ended: {pathlib.Path(self._log.name).read_text()}"
        return self._leader() and self.run("systemctl", "is-system-running", check=False).stdout.strip() == "running"

    def _leader(self):
        """The process id of the machine's systemd, as this machine sees it."""
        pid = self._container.pid
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()

    def run(self, *command, check=True, timeout=120):
        """Runs in the machine, as root."""
        done = subprocess.run(["nsenter", f"--target={self._leader()}", "--all", "--", *map(str, command)],
                              capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def says(self, *command):
        return self.run(*command).stdout.strip()

    @contextlib.contextmanager
    def network(self):
        """Within it, this thread, and those that it starts, have the machine's network."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(file):
            if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

        thread = threading.get_native_id()
        with open(f"/proc/self/task/{thread}/ns/net") as ours, open(f"/proc/{self._leader()}/ns/net") as theirs:
            enter(theirs)
            try:
                yield
            finally:
                enter(ours)

    def power_off(self):
        os.kill(int(self._leader()), POWER_OFF)
        self._container.wait(60)

    def close(self):
        if self._container is not None and self._container.poll() is None:
            os.kill(int(self._leader()), signal.SIGKILL)
            self._container.wait(60)
        run("umount", self.root)
        self._log.close()
