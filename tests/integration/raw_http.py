"""HTTP requests as bytes on a connection of their own, and what came back."""

import dataclasses
import http.client
import io
import socket


@dataclasses.dataclass
class Answer:
    """`status` 0: the connection ended without an answer. `open`: the connection took a further request."""

    status: int
    headers: dict  # names in small letters; of those that come more than once, all, joined by a comma
    body: bytes
    interim: bool = False  # was there a "100 Continue" before?
    open: bool = False


def request(method, path, body=b"", headers=None, version="HTTP/1.1"):
    """The bytes of a request; with Host and Content-Length unless `headers` has them (None: left out)."""
    fields = {"Host": "agent", "Content-Length": str(len(body)), **(headers or {})}
    lines = [f"{method} {path} {version}", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body, size=1000):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class _Socket:
    """What http.client.HTTPResponse needs of one: a file that stays when the response is over."""

    def __init__(self, file):
        self._file = file

    def makefile(self, *_):
        return self._file


class _Unclosed(io.BufferedReader):
    def close(self):
        pass


def exchange(port, wire, follow_up=None, timeout=10):
    """Sends `wire`, reads one answer, and sees whether `follow_up` is answered on the same connection."""
    method = wire.split(b" ", 1)[0].decode("latin-1")
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        file = _Unclosed(socket.SocketIO(connection, "rb"))
        try:
            connection.sendall(wire)
        except OSError:
            pass  # answered before it was all sent
        interim, answer = False, _read(file, method)
        if answer.status == 100:
            interim, answer = True, _read(file, method)
        answer.interim = interim
        if follow_up is not None and answer.status:
            try:
                connection.sendall(follow_up)
                answer.open = _read(file, "POST").status != 0
            except OSError:
                answer.open = False
        return answer


def _read(file, method):
    response = http.client.HTTPResponse(_Socket(file), method=method)
    try:
        # begin() passes over "100 Continue"; here it is told apart.
        line = file.peek(12)[:12]
        if line.endswith(b" 100"):
            while file.readline() not in (b"\r\n", b""):
                pass
            return Answer(100, {}, b"")
        response.begin()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return Answer(0, {}, b"")
    headers = {}
    for name, value in response.getheaders():
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return Answer(response.status, headers, body)
