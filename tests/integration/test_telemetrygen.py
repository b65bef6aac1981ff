"""telemetrygen, the load generator of the Collector's contributors, through the agent: what it says it sent has arrived."""

import subprocess

import pytest

import otlp
import toolchains

pytestmark = pytest.mark.long  # builds it with Go

WORKERS = 2
EACH = 500
# What one of its units is: a trace has a root and a child.
ITEMS = {"traces": 2 * WORKERS * EACH, "metrics": WORKERS * EACH, "logs": WORKERS * EACH}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("signal", otlp.SIGNALS)
def test_all_that_it_generates_arrives_once(signal, protocol, agent, upstream):
    where = [agent.grpc_endpoint] if protocol == "grpc" else [f"127.0.0.1:{agent.http_port}", "--otlp-http"]
    done = subprocess.run(
        [toolchains.telemetrygen(), signal, "--otlp-insecure", "--workers", str(WORKERS), f"--{signal}", str(EACH), "--rate",
         "0", "--telemetry-attributes", 'shop="north"', "--otlp-endpoint", *where],
        capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert agent.stop() == 0  # what it has acknowledged it delivers before it ends
    assert upstream.item_count() == upstream.item_count(signal) == ITEMS[signal]
    if signal == "traces":
        ids = {(span.trace_id, span.span_id) for span in otlp.spans(upstream.messages("traces"))}
        assert len(ids) == ITEMS["traces"]
    for _, item in otlp.items(signal, upstream.messages(signal)):
        assert b"shop" in item and b"north" in item
