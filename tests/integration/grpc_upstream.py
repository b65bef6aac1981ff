"""An OTLP/gRPC upstream on grpcio: strict, remembers what it took, and misbehaves on request."""

import concurrent.futures
import threading

import grpc

import otlp
from upstream import Received, Upstream

RETRY_INFO_TYPE = b"type.googleapis.com/google.rpc.RetryInfo"


def retry_info(seconds):
    """A google.rpc.Status with a RetryInfo of that many seconds (fewer than 128), as trailers carry it."""
    info = bytes([0x0A, 2, 0x08, seconds])
    detail = b"\x0A" + bytes([len(RETRY_INFO_TYPE)]) + RETRY_INFO_TYPE + b"\x12" + bytes([len(info)]) + info
    return (("grpc-status-details-bin", b"\x1A" + bytes([len(detail)]) + detail),)


class GrpcUpstream(Upstream):
    """As Upstream, but over gRPC. `behaviour` may be "ok", "hang", "take_and_hang", a grpc.StatusCode, (StatusCode,
    trailing metadata), or a callable of (signal, message) that returns one of them."""

    def __init__(self, keep=True, tls=None):
        self.message_bytes_max = -1  # of requests that come in; from the next up() on
        super().__init__(keep, tls)  # tls: grpc.ServerCredentials

    @property
    def url(self):
        return f"127.0.0.1:{self.port}"

    def up(self):
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(16), handlers=[_Handlers(self)],
            options=[("grpc.max_receive_message_length", self.message_bytes_max), ("grpc.so_reuseport", 0)])
        address = f"127.0.0.1:{self.port}"
        self.port = (self._server.add_secure_port(address, self.tls) if self.tls else
                     self._server.add_insecure_port(address))
        self._server.start()

    def down(self):
        if self._server is None:
            return
        server, self._server = self._server, None
        with self._changed:
            self._changed.notify_all()
        server.stop(0).wait()

    def serve(self, signal, wire, context):
        try:
            message = otlp.parse(signal, wire)
            ids = otlp.ids_of(signal, message)
        except Exception as error:  # whatever it is, the test shall see it
            self.object_to(f"{signal}: {type(error).__name__}: {error}")
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "cannot read this")
        behaviour = self.behaviour(signal, message) if callable(self.behaviour) else self.behaviour
        trailers = ()
        if isinstance(behaviour, tuple):
            behaviour, trailers = behaviour
        if isinstance(behaviour, grpc.StatusCode):
            self.answering(behaviour.name)
            context.set_trailing_metadata(trailers)
            context.abort(behaviour, "no: as the test asked")
        if behaviour in ("ok", "take_and_hang"):
            received = Received(signal, dict(context.invocation_metadata()), b"", wire if self.keep else b"",
                                message if self.keep else None, ids, context.peer())
            # Before the answer leaves: whoever sees it must find the items here.
            received.answered = behaviour == "ok"
            self.take(received)
        if behaviour in ("hang", "take_and_hang"):
            over = threading.Event()
            context.add_callback(over.set)
            over.wait(60)
            context.abort(grpc.StatusCode.CANCELLED, "gone")
        assert behaviour == "ok", f"unknown behaviour {behaviour!r}"
        return b"\x0A\x00"


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, upstream):
        self._upstream = upstream

    def service(self, details):
        for signal, method in otlp.GRPC_METHODS.items():
            if details.method == method:
                return grpc.unary_unary_rpc_method_handler(
                    lambda wire, context, signal=signal: self._upstream.serve(signal, wire, context))
        self._upstream.object_to(f"unknown method {details.method}")
        return None
