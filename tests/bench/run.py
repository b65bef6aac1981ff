#!/usr/bin/env python3
"""Measures the whole process: CPU a span from socket to upstream, memory, disk a span held, latency.

Usage: run.py BUILD_DIRECTORY [--rounds N]. Needs nothing but Python's library. Everything listens on 127.0.0.1.
Prints a table; with --json FILE the figures too.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kib(pid, key):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    return 0


def wait_for(what, seconds=30):
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting for {what.__name__}")
        time.sleep(0.02)


class Agent:
    """The real binary with a configuration of its own; gone with its directory when the block ends."""

    def __init__(self, build, upstream, extra="", exporter=""):
        self.directory = tempfile.mkdtemp(prefix="holdfast-bench-", dir=os.environ.get("BENCH_TMP"))
        self.grpc, self.health = free_port(), free_port()
        config = f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{self.grpc}"}}}}}}}}
processors: {{batch: {{}}}}
exporters: {{otlp_http: {{endpoint: "http://127.0.0.1:{upstream}", {exporter}}}}}
extensions:
  health_check: {{endpoint: "127.0.0.1:{self.health}"}}
  disk_buffer: {{directory: "{self.directory}/buffer", {extra}}}
service:
  extensions: [health_check, disk_buffer]
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines: {{traces: {{receivers: [otlp], processors: [batch], exporters: [otlp_http]}}}}
"""
        path = self.directory + "/config.yaml"
        with open(path, "w") as file:
            file.write(config)
        self.process = subprocess.Popen([build + "/holdfast", "--config", path])
        wait_for(self.is_ready)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def status(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/status", timeout=5) as answer:
            return json.load(answer)

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.startswith(name + "{") and 'signal="traces"' in line)

    def pending(self):
        return self.metric("holdfast_buffer_stored_items")

    def segment_bytes(self):
        folder = self.directory + "/buffer/traces"
        return sum(os.stat(f"{folder}/{name}").st_size for name in os.listdir(folder)
                   if name.endswith((".wip", ".seg")))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.directory, ignore_errors=True)


def run_load(build, port, connections, requests, spans):
    done = subprocess.run([build + "/tests/bench/holdfast_load", f"127.0.0.1:{port}", str(connections), str(requests),
                           str(spans)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def start_sink(build, port):
    sink = subprocess.Popen([build + "/holdfast", "sink", "--endpoint", f"127.0.0.1:{port}", "--quiet"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sink_listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_for(sink_listens)
    return sink


def steady(build, connections, requests, spans):
    """Socket to upstream, gzip, durability batch: the agent's CPU for each span, everything delivered."""
    port = free_port()
    sink = start_sink(build, port)
    try:
        with Agent(build, port) as agent:
            pid = agent.process.pid
            rest = memory_kib(pid, "VmRSS")
            before = cpu_seconds(pid)
            load = run_load(build, agent.grpc, connections, requests, spans)

            def drained():
                return agent.pending() == 0

            wait_for(drained)
            cpu = cpu_seconds(pid) - before
            return {"us_per_span": cpu / load["spans"] * 1e6, "us_per_request": cpu / load["requests"] * 1e6,
                    "rest_mb": rest / 1024, "peak_mb": memory_kib(pid, "VmHWM") / 1024,
                    "spans_per_s": load["spans"] / load["seconds"], "p50_us": load["p50_us"],
                    "p99_us": load["p99_us"]}
    finally:
        sink.terminate()
        sink.wait()


def outage(build, requests, spans):
    """The upstream is down: CPU and disk for each span held, then CPU for each span drained."""
    port = free_port()
    with Agent(build, port, exporter="retry_on_failure: {initial_interval: 100ms, max_interval: 300ms}") as agent:
        pid = agent.process.pid
        before = cpu_seconds(pid)
        load = run_load(build, agent.grpc, 8, requests, spans)
        cpu_in = cpu_seconds(pid) - before
        held = agent.segment_bytes()
        before = cpu_seconds(pid)
        sink = start_sink(build, port)
        try:
            def drained():
                return agent.pending() == 0

            wait_for(drained, 60)
            cpu_out = cpu_seconds(pid) - before
        finally:
            sink.terminate()
            sink.wait()
        return {"in_us_per_span": cpu_in / load["spans"] * 1e6, "disk_b_per_span": held / load["spans"],
                "drain_us_per_span": cpu_out / load["spans"] * 1e6,
                "peak_mb": memory_kib(pid, "VmHWM") / 1024, "spans_per_s": load["spans"] / load["seconds"],
                "raw_b_per_span": load["body_bytes"] / spans}


def table(title, rounds):
    print(f"\n{title} (median of {len(rounds)}; minimum and maximum in brackets)")
    for key in rounds[0]:
        values = [result[key] for result in rounds]
        print(f"  {key:20} {statistics.median(values):12.2f}   [{min(values):.2f} {max(values):.2f}]")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("build")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--json")
    given = arguments.parse_args()
    build = os.path.abspath(given.build)
    results = {
        "steady, 512 spans a request, 8 connections": [steady(build, 8, 4000, 512) for _ in range(given.rounds)],
        "steady, 512 spans a request, 1 connection": [steady(build, 1, 2000, 512) for _ in range(given.rounds)],
        "steady, 1 span a request, 8 connections": [steady(build, 8, 20000, 1) for _ in range(given.rounds)],
        "outage and drain, 512 spans a request": [outage(build, 4000, 512) for _ in range(given.rounds)],
    }
    for title, rounds in results.items():
        table(title, rounds)
    if given.json:
        with open(given.json, "w") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
