"""An OTLP/HTTP upstream that reads strictly, remembers what it took, and misbehaves on request."""

import dataclasses
import itertools
import socket
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import zstandard

import otlp

SIGNAL_OF_PATH = {path: signal for signal, path in otlp.HTTP_PATHS.items()}


@dataclasses.dataclass
class Received:
    """One request that the upstream took."""

    signal: str
    headers: dict  # names as in Content-Type, however they came
    wire: bytes  # as it came; empty unless the upstream keeps it
    body: bytes  # without its coding; empty unless the upstream keeps it
    message: object  # the parsed Export*ServiceRequest; None unless the upstream keeps it
    ids: list  # see otlp.ids_of
    connection: int  # which connection it came on
    answered: bool = False  # was the 200 written?
    at_ns: int = dataclasses.field(default_factory=time.monotonic_ns)  # when it was read


def decode(wire, coding):
    """The body without its coding, read as strictly as the strictest receiver does."""
    if coding in ("", "identity"):
        return wire
    if coding == "gzip":
        inflater = zlib.decompressobj(31)
        body = inflater.decompress(wire) + inflater.flush()
        assert inflater.eof, "the gzip member has no end"
        assert inflater.unused_data == b"", "something follows the first gzip member"
        return body
    if coding in ("deflate", "zlib"):
        inflater = zlib.decompressobj(15)
        body = inflater.decompress(wire) + inflater.flush()
        assert inflater.eof and inflater.unused_data == b""
        return body
    if coding == "zstd":
        inflater = zstandard.ZstdDecompressor().decompressobj()
        body = inflater.decompress(wire)
        assert inflater.eof and inflater.unused_data == b"", "not one zstd frame"
        return body
    raise AssertionError(f"unexpected Content-Encoding {coding!r}")


class Upstream:
    """Listens on 127.0.0.1 while it is up. `behaviour` says what happens to the next request:

    "ok"              take it, answer 200
    an int            answer with that status; not taken
    "take_and_reset"  take it, then reset the connection: the sender cannot know
    "reset", "close"  end the connection without an answer; not taken
    "hang"            no answer until the behaviour changes or the upstream goes down; not taken
    a callable        of (signal, message) that returns one of the above
    """

    def __init__(self, keep=True, tls=None):
        self.keep = keep  # bodies and messages; ids are kept always
        self.tls = tls  # an ssl.SSLContext; None: plain
        self.behaviour = "ok"
        self.response_headers = {}
        self.success_body = b"\n\x00"  # of a 200 to protobuf
        self.json_success_body = b'{"partialSuccess":{}}'
        self.received = []
        self.statuses = []  # every status answered
        self.errors = []  # what a strict receiver would object to
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._connections = set()
        self.connection_numbers = itertools.count()
        self._server = None
        self._thread = None
        self.port = 0
        self.up()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def up(self):
        upstream = self

        class Handler(_Handler):
            owner = upstream

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                error = sys.exc_info()[1]  # connections that break are part of the tests
                if not isinstance(error, OSError):
                    upstream.object_to(f"{type(error).__name__}: {error}")

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def down(self):
        """Nothing listens any more, and every connection is gone."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server = None
        with self._changed:
            connections = list(self._connections)
            self._changed.notify_all()
        for connection in connections:
            reset(connection)

    def behave(self, behaviour):
        with self._changed:
            self.behaviour = behaviour
            self._changed.notify_all()

    def wait_for(self, condition, timeout=30):
        """Waits until condition(self) is true; it is looked at whenever something arrives."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout)

    # ---- what came, for the tests ----
    def requests(self, signal=None):
        with self._lock:
            return [r for r in self.received if signal is None or r.signal == signal]

    def messages(self, signal):
        return [r.message for r in self.requests(signal)]

    def ids(self):
        """Ids of all items taken, in order, repeated ones included."""
        return [i for r in self.requests() for i in r.ids]

    def item_count(self, signal=None):
        return sum(len(r.ids) for r in self.requests(signal))

    def unexplained_repeats(self):
        """Items that came again although the sender had read the answer: it had gone on to use that connection again.

        What an answer did not reach, because of this upstream or of the sender's end, may come again: it was in flight.
        """
        settled = set()
        last = {}
        unexplained = []
        for request in self.requests():
            before = last.get(request.connection)
            if before and before.answered:
                settled.update(before.ids)
            last[request.connection] = request
            unexplained += settled.intersection(request.ids)
        return unexplained

    def objections(self):
        with self._lock:
            return list(self.errors)

    # ---- for the handler ----
    def connected(self, connection):
        with self._lock:
            self._connections.add(connection)

    def disconnected(self, connection):
        with self._lock:
            self._connections.discard(connection)

    def object_to(self, what):
        with self._changed:
            self.errors.append(what)
            self._changed.notify_all()

    def answering(self, status):
        with self._changed:
            self.statuses.append(status)
            self._changed.notify_all()

    def take(self, received):
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()

    def hang(self):
        with self._changed:
            self._changed.wait_for(lambda: self.behaviour != "hang" or self._server is None)


def reset(connection):
    """Ends a connection with RST."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
    except OSError:
        pass


class _Handler(BaseHTTPRequestHandler):
    owner = None
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.owner.connected(self.connection)
        self.number = next(self.owner.connection_numbers)

    def finish(self):
        self.owner.disconnected(self.connection)
        super().finish()

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            return body if len(body) == length else None
        body = b""
        while True:
            size = int(self.rfile.readline(), 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def answer(self, status, body, content_type):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.owner.response_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.owner.answering(status)

    def do_POST(self):
        try:
            wire = self.read_body()
        except OSError:
            wire = None
        if wire is None:  # the client left in the middle of it
            self.close_connection = True
            return
        try:
            received = self.understand(wire)
        except Exception as error:  # whatever it is, the test shall see it
            self.owner.object_to(f"{self.path}: {type(error).__name__}: {error}")
            self.answer(400, b"cannot read this", "text/plain")
            return
        behaviour = self.owner.behaviour
        if callable(behaviour):
            behaviour = behaviour(received.signal, received.message)
        self.act(behaviour, received)

    def understand(self, wire):
        signal = SIGNAL_OF_PATH[self.path]
        content_type = self.headers["Content-Type"].split(";")[0]
        body = decode(wire, self.headers.get("Content-Encoding", ""))
        message = otlp.parse(signal, body, content_type)
        ids = otlp.ids_of(signal, message)
        if not self.owner.keep:
            wire, body, message = b"", b"", (message if callable(self.owner.behaviour) else None)
        return Received(signal, {name.title(): value for name, value in self.headers.items()}, wire, body, message, ids, self.number)

    def act(self, behaviour, received):
        if behaviour == "ok":
            self.owner.take(received)
            json = received.headers["Content-Type"].startswith("application/json")
            received.answered = True
            try:
                body = self.owner.json_success_body if json else self.owner.success_body
                self.answer(200, body, received.headers["Content-Type"])
            except OSError:
                received.answered = False
                self.close_connection = True
        elif isinstance(behaviour, int):
            self.answer(behaviour, b"no: as the test asked", "text/plain")
        elif behaviour in ("reset", "take_and_reset"):
            if behaviour == "take_and_reset":
                self.owner.take(received)
            self.close_connection = True
            reset(self.connection)
        elif behaviour == "close":
            self.close_connection = True
        elif behaviour == "hang":
            self.owner.hang()
            self.close_connection = True
        else:
            raise AssertionError(f"unknown behaviour {behaviour!r}")
