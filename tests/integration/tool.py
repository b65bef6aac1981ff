"""The offline commands of the real binary, and what they print."""

import json
import subprocess

import otlp
from agent import BINARY


def holdfast(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=60, **options)


def tool(agent, command, *arguments, **options):
    return holdfast("buffer", command, "--directory", agent.buffer_directory, *arguments, **options)


def lines(done):
    return [line for line in done.stdout.decode().splitlines() if line]


def signal_of_line(line):
    [key] = json.loads(line)
    return {"resourceSpans": "traces", "resourceMetrics": "metrics", "resourceLogs": "logs"}[key]


def requests_of(done):
    """(signal, message) of each line of OTLP/JSON."""
    return [(signal_of_line(line), otlp.parse(signal_of_line(line), line, "application/json")) for line in lines(done)]


def ids_of(done):
    return [number for name, message in requests_of(done) for number in otlp.ids_of(name, message)]
