"""Clients that must not notice a reload, for the tests of it."""

import http.client
import socket

import otlp
from agent import wait_until
from load import new_ids


class Client:
    """One HTTP connection that must outlive what happens around it."""

    def __init__(self, port, host="127.0.0.1"):
        self.connection = http.client.HTTPConnection(host, port, timeout=20)
        self.connection.connect()
        self.socket = self.connection.sock

    def send(self, signal_name="traces", count=5, padding=0, stays=True):
        """The status and the ids."""
        ids = new_ids(count)
        self.connection.request("POST", f"/v1/{signal_name}", otlp.make_request(signal_name, ids, padding, ids[0]),
                                {"Content-Type": "application/x-protobuf"})
        answer = self.connection.getresponse()
        answer.read()
        assert not stays or self.connection.sock is self.socket, "the connection was made anew"
        return answer.status, ids


def grpc_send(channel, signal_name="traces", count=5, padding=0):
    ids = new_ids(count)
    channel.unary_unary(otlp.GRPC_METHODS[signal_name])(
        otlp.make_request(signal_name, ids, padding, ids[0]), timeout=20)
    return ids


def wait_delivered(upstream, ids, what="delivery"):
    wait_until(lambda: set(ids) <= set(upstream.ids()), 20, what)


def changed(agent, change):
    document = agent.document()
    change(document)
    return document


def connects(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 5).close()
        return True
    except ConnectionRefusedError:
        return False
