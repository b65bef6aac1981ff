"""The real binary under test: its configuration, its process, and what its health port and directory say."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import requests

import otlp

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("HOLDFAST_BINARY", ROOT / "build/dev/holdfast"))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(condition, timeout=30, what="the condition"):
    """Polls until condition() is true and returns its value; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come about within {timeout} s"
        threading.Event().wait(0.02)


def merge(base, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


class Agent:
    """One agent with its own ports and directory. Starting it again after its end is a restart on the same buffer.

    `prefix` is a command that runs the binary in some other way (strace, prlimit, nsenter …) and must become it by exec,
    so that `process` is the agent itself.
    """

    def __init__(self, directory, upstream_url, buffer=None, exporter=None, config=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.buffer_directory = self.directory / "buffer"
        self.grpc_port, self.http_port, self.health_port = free_ports(3)
        self.config_file = self.directory / "config.yaml"
        self.log_file = self.directory / "agent.log"
        self.process = None
        self.prefix = []
        self.arguments = []
        pipeline = {"receivers": ["otlp"], "exporters": ["otlp_http"]}
        document = {
            "receivers": {"otlp": {"protocols": {
                "grpc": {"endpoint": self.grpc_endpoint},
                "http": {"endpoint": f"127.0.0.1:{self.http_port}"},
            }}},
            "exporters": {"otlp_http": {
                "endpoint": upstream_url,
                "timeout": "5s",
                "retry_on_failure": {"initial_interval": "50ms", "max_interval": "300ms"},
                **(exporter or {}),
            }},
            "extensions": {
                "health_check": {"endpoint": f"127.0.0.1:{self.health_port}"},
                "disk_buffer": {"directory": str(self.buffer_directory), **(buffer or {})},
            },
            "service": {
                "extensions": ["health_check", "disk_buffer"],
                "pipelines": {name: dict(pipeline) for name in otlp.SIGNALS},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        # JSON is YAML, so this needs no YAML library.
        self.config_file.write_text(json.dumps(merge(document, config or {}), indent=2))

    # ---- process ----
    @property
    def grpc_endpoint(self):
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self):
        return f"http://127.0.0.1:{self.http_port}"

    def spawn(self):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, BINARY, "--config", self.config_file, *self.arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self, timeout=20):
        self.spawn()

        def ready():
            assert self.process.poll() is None, f"the agent ended with {self.process.returncode}:\n{self.log()}"
            try:
                return requests.get(self.health_url("/"), timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(ready, timeout, "a ready agent")
        return self

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self, timeout=10):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.terminate()
        return self.process.wait(timeout)

    # ---- configuration ----
    def document(self):
        return json.loads(self.config_file.read_text())

    def write_config(self, text):
        """All at once, as by an editor that renames."""
        beside = self.config_file.with_suffix(".new")
        beside.write_text(text if isinstance(text, str) else json.dumps(text, indent=2))
        beside.rename(self.config_file)

    def await_reload(self, before, timeout=20):
        """The `configuration` of /status after a reload more than in `before`."""

        def count(configuration):
            return configuration["reloads_taken"] + configuration["reloads_refused"]

        def reloaded():
            configuration = self.status()["configuration"]
            return configuration if count(configuration) > count(before) else None

        return wait_until(reloaded, timeout, "a reload")

    def reload(self, config=None, timeout=20):
        """SIGHUP with this configuration; returns the `configuration` of /status after it."""
        before = self.status()["configuration"]
        if config is not None:
            self.write_config(config)
        self.process.send_signal(signal.SIGHUP)
        return self.await_reload(before, timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_file.read_text(errors="replace")

    # ---- health port ----
    def health_url(self, path):
        return f"http://127.0.0.1:{self.health_port}{path}"

    def status(self):
        answer = requests.get(self.health_url("/status"), timeout=10)
        assert answer.status_code == 200
        return answer.json()

    def metrics(self):
        answer = requests.get(self.health_url("/metrics"), timeout=10)
        assert answer.status_code == 200
        return Metrics(answer.text)

    # ---- resources ----
    def rss_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def allocated_bytes(self, signal_name):
        """What the file system gave to one signal's folder."""
        total = 0
        for directory, _, names in os.walk(self.buffer_directory / signal_name):
            for name in names:
                try:
                    total += os.lstat(os.path.join(directory, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total

    def segment_files(self):
        return sorted(
            str(path.relative_to(self.buffer_directory))
            for pattern in ("*/*.seg", "*/*.wip") for path in self.buffer_directory.glob(pattern))

    def wait_empty(self, timeout=60):
        """All is delivered, and the files that held it are gone, the one that was being written included."""
        try:
            wait_until(lambda: not self.segment_files(), timeout, "a buffer without files")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.segment_files()}\n{self.log()[-4000:]}") from None


class Metrics:
    """A scrape in Prometheus' text format."""

    LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                match = self.LINE.match(line)
                assert match, f"not a sample: {line!r}"
                self.samples.append((match[1], dict(self.LABEL.findall(match[2] or "")), float(match[3])))
        self.names = {name for name, _, _ in self.samples}

    def total(self, name, **labels):
        """The sum over all samples of `name` that have these labels. The name must exist."""
        assert name in self.names, f"no metric {name}; there are {sorted(self.names)}"
        wanted = labels.items()
        return sum(value for each, has, value in self.samples if each == name and wanted <= has.items())
