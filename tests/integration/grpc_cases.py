"""Calls over gRPC that the real Collector and Holdfast are both sent: receiver (see collector_pair.py), and what call() takes."""

import base64
import subprocess

import grpc

import otlp
from http_cases import SPAN, nested

TRACES = otlp.GRPC_METHODS["traces"]


def call(port, message, method=TRACES, metadata=(), compression=grpc.Compression.NoCompression):
    """What a client is told: code, message, body, and the trailers that do not belong to gRPC itself."""
    # One connection for each: a server that ends one for what came on it shall not disturb the next.
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]) as channel:
        try:
            body, told = channel.unary_unary(method).with_call(message, timeout=10, metadata=metadata, compression=compression)
        except grpc.RpcError as error:
            body, told = b"", error
        trailers = sorted((name, value) for name, value in told.trailing_metadata() or ())
        return {"code": told.code().name, "message": told.details(), "body": body, "trailers": trailers}


def curl(port, *arguments):
    """The same for requests that no gRPC library sends: status and headers of an HTTP/2 answer."""
    done = subprocess.run(
        ["curl", "--silent", "--http2-prior-knowledge", "--max-time", "5", "--dump-header", "-", "--output", "-",
         *arguments, f"http://127.0.0.1:{port}{TRACES}"], capture_output=True, check=False)
    head = done.stdout.split(b"\r\n\r\n")[0].decode("latin-1").splitlines()
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    kept = {name: headers[name] for name in ("content-type", "grpc-status", "grpc-message") if name in headers}
    return {"exit": done.returncode, "status": head[0].split()[1] if head else "", **kept}


def token(value):
    return [("authorization", value)]


def basic(pair):
    return token("Basic " + base64.b64encode(pair).decode())


CALLS = {
    "a span": ("plain", SPAN, {}),
    "nothing": ("plain", b"", {}),
    "a span, gzip": ("plain", SPAN, {"compression": grpc.Compression.Gzip}),
    "a span, deflate": ("plain", SPAN, {"compression": grpc.Compression.Deflate}),
    "metrics": ("plain", otlp.make_request("metrics", [1]), {"method": otlp.GRPC_METHODS["metrics"]}),
    "logs": ("plain", otlp.make_request("logs", [1]), {"method": otlp.GRPC_METHODS["logs"]}),
    "metadata": ("plain", SPAN, {"metadata": [("x-key", "a"), ("x-key", "b"), ("x-bytes-bin", b"\0\1")]}),
    "much metadata": ("plain", SPAN, {"metadata": [("x-key", "a" * 7000)]}),
    "one byte": ("plain", b"\x0a", {}),
    "cut short": ("plain", SPAN[:-3], {}),
    "text": ("plain", b"hello", {}),
    "trace id of 8 bytes": ("plain", nested(1, 2, 2, inside=b"\x0a\x08" + bytes(8)), {}),
    "varint for a message": ("plain", b"\x08\x01", {}),
    "bad bytes, gzip": ("plain", b"\x0a", {"compression": grpc.Compression.Gzip}),
    "unknown method": ("plain", SPAN, {"method": TRACES + "s"}),
    "unknown service": ("plain", SPAN, {"method": "/a.B/Export"}),
    "method without a service": ("plain", SPAN, {"method": "/Export"}),
    "profiles": ("plain", SPAN, {"method": "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"}),
    "health of gRPC": ("plain", b"", {"method": "/grpc.health.v1.Health/Check"}),
    "too large": ("small", otlp.make_request("traces", [1], padding=1 << 20), {}),
    "too large when inflated": ("small", otlp.make_request("traces", [1], padding=10) + b"\xfa\x7f\x80\x80\x60" + bytes(
        3 << 19), {"compression": grpc.Compression.Gzip}),
    "just right": ("small", otlp.make_request("traces", [1], padding=(1 << 20) - 1000), {}),
    "token": ("token", SPAN, {"metadata": token("Bearer secret")}),
    "no token": ("token", SPAN, {}),
    "wrong token": ("token", SPAN, {"metadata": token("Bearer wrong")}),
    "empty token": ("token", SPAN, {"metadata": token("")}),
    "wrong token, bad bytes": ("token", b"\x0a", {"metadata": token("Bearer wrong")}),
    "no token, unknown method": ("token", SPAN, {"method": "/a.B/Export"}),
    "password": ("basic", SPAN, {"metadata": basic(b"alice:wonder")}),
    "no password": ("basic", SPAN, {}),
    "wrong password": ("basic", SPAN, {"metadata": basic(b"alice:wonders")}),
    "password without a colon": ("basic", SPAN, {"metadata": basic(b"alice")}),
}

_GRPC = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
REQUESTS = {
    "GET": ["-X", "GET", *_GRPC],
    "no content type": ["-X", "POST", "-H", "content-type:", "-H", "te: trailers"],
    "application/json": ["-X", "POST", "-H", "content-type: application/json", "-H", "te: trailers"],
    "application/grpc-web": ["-X", "POST", "-H", "content-type: application/grpc-web", "-H", "te: trailers"],
    "unknown message encoding": ["-X", "POST", *_GRPC, "-H", "grpc-encoding: br", "--data-binary", "@-"],
    "bad timeout": ["-X", "POST", *_GRPC, "-H", "grpc-timeout: soon"],
}
