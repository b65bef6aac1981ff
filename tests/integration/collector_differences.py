"""Where Holdfast answers otherwise than the real Collector, on purpose: a table for HTTP and one for gRPC.

pattern of cases (see http_cases.py, grpc_cases.py): (what differs: (the Collector's, ours), why). ANY: it may.
If the status or the code differs, only that is named: the rest of the answer follows from it.
"""

ANY = object()

_PARSER = "Each parser has its own words for what is wrong; status and code are the same."
_CHALLENGE = "RFC 9110, 11.6.1: a 401 says which credentials are wanted. The Collector says nothing."
_SMUGGLING = "RFC 9112, 6.1 and 2.2: what a proxy might read in another way is refused."
_SERVER = "Go's words for broken HTTP, or its leniency with it; no client sends such requests."

HTTP = {
    r"json: (?!null|something behind|time as a float|invalid utf-8|byte order mark).*": ({"message": ANY}, _PARSER),
    r"json: null": ({"status": (200, 400)}, "null is no request; the Collector takes it as an empty one."),
    r"json: something behind": ({"status": (200, 400)}, "The Collector drops what follows in silence: that would be a loss."),
    r"json: time as a float": ({"status": (400, 200)}, "Protobuf's JSON allows 1.5e3 for 1500."),
    r"json: invalid utf-8": ({"status": (200, 400)}, "RFC 8259: JSON is UTF-8. In protobuf it is taken, as by the Collector."),
    r"json: byte order mark": ({"status": (500, 400)}, "It is the client's mistake; the Collector fails while it quotes the byte."),
    r"protobuf: json as protobuf": ({"message": ANY}, "Go reads the length of a group's field before it misses the group."),
    r"coding: (raw deflate|gzip .*(?<!, and text)|zstd .*|zlib .*|lz4 .*|x-snappy.*)": ({"message": ANY}, _PARSER),
    r"coding: gzip that is none, and text": (
        {"status": (400, 415)}, "The content type is judged before the body is read."),
    r"type: application/x-protobuf; a": ({"status": (415, 200)}, "Parameters of a content type are not looked at."),
    r"path: (bad escape|a star)": ({"status": (400, 404)}, "There is nothing at such a path, whatever is wrong with it."),
    r"size: too large(?! on an unknown path).*": ({"open": (True, False)}, "The rest of what is too large is not waited for."),
    r"token: (?!right|empty).*": ({"www-authenticate": (None, "Bearer")}, _CHALLENGE),
    r"token: empty": ({"www-authenticate": (None, "Bearer"), "message": ANY}, _CHALLENGE + " An empty header counts as none."),
    r"basic: (none|wrong|no |another).*": (
        {"www-authenticate": (None, 'Basic realm="holdfast", charset="UTF-8"')}, _CHALLENGE),
    r"http: (chunked and a length|line feeds alone)": ({"status": (200, 400)}, _SMUGGLING),
    r"http: HTTP/1.2": ({"status": (200, 400)}, _SERVER),
    r"http: HTTP/[23].*": ({"status": (505, 400)}, _SERVER),
    r"http: unknown transfer coding": ({"status": (501, 400)}, _SERVER),
    r"http: host with a space": ({"status": (400, 200)}, _SERVER),
    r"http: (two transfer codings|header with a space before its colon|two hosts)": ({"body": ANY}, _SERVER),
    r"http: expects something else": ({"body": ANY, "content-type": ANY}, _SERVER),
    r"http: chunked with a wrong size": ({"message": ANY}, _SERVER),
    r"http: expects 100-continue": (
        {"interim": (True, False)}, "RFC 9110, 10.1.1: not sent where the body is there already, as in this case."),
}

_UNDECODABLE = "INVALID_ARGUMENT says whose fault it is, as over HTTP. To a client of OTLP both mean: do not send that again."
_CORE = "gRPC's C++ library answers such requests before we see them. No gRPC client sends them."

GRPC = {
    r"one byte|cut short|text|trace id of 8 bytes|varint for a message|bad bytes, gzip": (
        {"code": ("INTERNAL", "INVALID_ARGUMENT")}, _UNDECODABLE),
    r"wrong token, bad bytes": (
        {"code": ("INTERNAL", "UNAUTHENTICATED")}, "Credentials are looked at before the message."),
    r"empty token": ({"message": ANY}, "An empty header counts as none."),
    r"too large": ({"message": ANY}, "The words of gRPC's C++ library; the code is the same."),
    r"a span, deflate": ({"code": ("UNIMPLEMENTED", "OK")}, "gRPC's C++ library inflates it; Go's does not know it."),
    r"GET": ({"status": ("405", "200")}, _CORE),
    r"no content type|application/json|application/grpc-web": ({"status": ("415", "200")}, _CORE),
    r"unknown message encoding": ({"grpc-status": ("12", "13"), "grpc-message": ANY}, _CORE),
    r"bad timeout": ({"status": ("400", "200")}, _CORE),
}
