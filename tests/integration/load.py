"""Load whose every item can be recognised again, and that knows which items the agent acknowledged."""

import http.client
import itertools
import threading
import time

import grpc

import otlp

_numbers = itertools.count(1)


def new_ids(count):
    """Numbers that no other request of this run has."""
    first = next(_numbers) << 20
    return list(range(first, first + count))


class Load:
    """Clients over HTTP and gRPC in turn that send as fast as they are answered, one request at a time each.

    A request that is refused is not sent again, so `acknowledged` is exactly what the agent must not lose. Items of
    requests without any answer are in `uncertain`: they may be stored or not.
    """

    def __init__(self, agent, clients=6, items=20, padding=0, signals=otlp.SIGNALS, pause=0.0, limit=None):
        self.agent = agent
        self.items = items
        self.padding = padding
        self.pause = pause
        self.limit = limit  # requests of each client; None: until stop()
        self.acknowledged = {signal: [] for signal in signals}
        self.acknowledged_at = []  # (monotonic ns, ids) of each acknowledged request
        self.refused = 0
        self.refused_ids = set()
        self.uncertain = {signal: [] for signal in signals}
        self.unexpected = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(list(signals)[i % len(signals)], i // len(signals) % 2), daemon=True)
            for i in range(clients)
        ]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stop.set()
        return self.join()

    def join(self, timeout=60):
        for thread in self._threads:
            thread.join(timeout)
            assert not thread.is_alive(), "a client got no answer"
        assert not self.unexpected, self.unexpected[:5]
        return self

    def acknowledged_ids(self):
        with self._lock:
            return {i for ids in self.acknowledged.values() for i in ids}

    def sent_ids(self):
        with self._lock:
            return {i for group in (self.acknowledged, self.uncertain) for ids in group.values() for i in ids}

    def _run(self, signal, over_grpc):
        client = (_GrpcClient if over_grpc else _HttpClient)(self.agent)
        for number in itertools.count():
            if self._stop.is_set() or number == self.limit:
                break
            ids = new_ids(self.items)
            answer = client.send(signal, otlp.make_request(signal, ids, self.padding, ids[0]))
            with self._lock:
                if answer == "stored":
                    self.acknowledged[signal] += ids
                    self.acknowledged_at.append((time.monotonic_ns(), ids))
                elif answer == "refused":
                    self.refused += 1
                    self.refused_ids.update(ids)
                elif answer == "unknown":
                    self.uncertain[signal] += ids
                else:
                    self.unexpected.append(answer)
            # Not in the way of an agent that is being restarted, nor of one that asks for patience.
            self._stop.wait(self.pause if answer == "stored" else 0.05)
        client.close()


class _HttpClient:
    def __init__(self, agent):
        self._connection = http.client.HTTPConnection("127.0.0.1", agent.http_port, timeout=30)

    def send(self, signal, body):
        try:
            self._connection.request(
                "POST", f"/v1/{signal}", body, {"Content-Type": "application/x-protobuf"})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return "unknown"
        if answer.status == 200:
            return "stored"
        if answer.status == 503 and answer.getheader("Retry-After"):
            return "refused"
        return f"HTTP {answer.status} {text!r}"

    def close(self):
        self._connection.close()


class _GrpcClient:
    def __init__(self, agent):
        # Without a bound on its backoff a channel would sit out a restart of the agent.
        self._channel = grpc.insecure_channel(agent.grpc_endpoint, options=[
            ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 50), ("grpc.enable_retries", 0)])
        self._calls = {signal: self._channel.unary_unary(method) for signal, method in otlp.GRPC_METHODS.items()}

    def send(self, signal, body):
        try:
            self._calls[signal](body, timeout=30)
            return "stored"
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                details = dict(error.trailing_metadata() or ())
                return "refused" if "grpc-status-details-bin" in details else "unknown"
            if error.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL):
                return "unknown"
            return f"gRPC {error.code()} {error.details()}"

    def close(self):
        self._channel.close()
