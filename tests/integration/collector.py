"""The real OpenTelemetry Collector, and Holdfast, with one configuration file each way."""

import json
import pathlib
import signal
import socket
import subprocess

import toolchains
from agent import BINARY, wait_until


class Runner:
    """A program that takes `--config FILE` as the Collector does; its receivers' ports say that it is up."""

    def __init__(self, binary, directory, document, ports, arguments=()):
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.config_file = directory / "config.yaml"
        # JSON is YAML, so this needs no YAML library.
        self.config_file.write_text(document if isinstance(document, str) else json.dumps(document, indent=2))
        self.log_file = directory / "log"
        self.command = [binary, "--config", self.config_file, *arguments]
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "STATE_DIRECTORY": str(directory / "state")}
        self.ports = ports
        self.process = None

    def start(self, timeout=30):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

        def listening():
            assert self.process.poll() is None, f"{self.command[0]} ended with {self.process.returncode}:\n{self.log()}"
            return all(_connects(port) for port in self.ports)

        wait_until(listening, timeout, f"{self.command[0]} on its ports")
        return self

    def stop(self, timeout=20):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self):
        return self.log_file.read_text(errors="replace")


def _connects(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def real_collector(directory, document, ports, arguments=()):
    return Runner(toolchains.collector(), directory, document, ports, arguments)


def holdfast(directory, document, ports, arguments=()):
    return Runner(BINARY, directory, document, ports, arguments)
