"""The configuration that the real Collector and Holdfast both run while they are compared."""

import otlp
from agent import free_ports
from raw_http import request

# Is the connection still there? A good request with its own credentials, whatever the receiver.
FOLLOW_UP = request("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf"})

RECEIVERS = ("plain", "small", "token", "basic")


def ports():
    names = [f"{receiver}/{protocol}" for receiver in RECEIVERS for protocol in ("grpc", "http")]
    return dict(zip(names, free_ports(len(names))))


def document(ports):
    def protocols(receiver, grpc=None, http=None, **both):
        return {"protocols": {
            "grpc": {"endpoint": f"127.0.0.1:{ports[receiver + '/grpc']}", **both, **(grpc or {})},
            "http": {"endpoint": f"127.0.0.1:{ports[receiver + '/http']}", **both, **(http or {})}}}

    cors = {"allowed_origins": ["https://*.example.com"], "allowed_headers": ["X-Key"], "max_age": 600}
    return {
        "receivers": {
            "otlp/plain": protocols("plain"),
            "otlp/small": protocols("small", grpc={"max_recv_msg_size_mib": 1}, http={
                "max_request_body_size": 2000, "response_headers": {"X-Served-By": "agent"},
                "cors": {**cors, "exposed_headers": ["X-Served-By"]}}),
            "otlp/token": protocols("token", auth={"authenticator": "bearertokenauth"}),
            "otlp/basic": protocols("basic", auth={"authenticator": "basicauth"}, http={"cors": cors}),
        },
        "exporters": {"nop": None},
        "extensions": {"bearertokenauth": {"token": "secret"}, "basicauth": {"htpasswd": {"inline": "alice:wonder"}}},
        "service": {
            "extensions": ["bearertokenauth", "basicauth"],
            "pipelines": {
                signal: {"receivers": [f"otlp/{each}" for each in RECEIVERS], "exporters": ["nop"]} for signal in otlp.SIGNALS},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
        },
    }
