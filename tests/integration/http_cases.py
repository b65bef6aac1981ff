"""Requests over HTTP that the real Collector and Holdfast are both sent: name, receiver (see test_collector_http.py), bytes."""

import gzip
import json
import zlib

import zstandard

import otlp
from raw_http import chunked, request

PROTO = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
SPAN = otlp.make_request("traces", [1])
TRACE_ID, SPAN_ID = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def post(body=SPAN, headers=None, path="/v1/traces", base=None, **options):
    return request("POST", path, body, {**(PROTO if base is None else base), **(headers or {})}, **options)


def post_json(document, **options):
    body = document if isinstance(document, bytes) else (
        document if isinstance(document, str) else json.dumps(document)).encode()
    return post(body, base=JSON, **options)


def spans(*each):
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(each)}]}]}


def span(**fields):
    return spans({"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "x", **fields})


def nested(*numbers, inside):
    """`inside`, in fields of these numbers, the outermost first."""
    for number in reversed(numbers):
        assert len(inside) < 128
        inside = bytes([number << 3 | 2, len(inside)]) + inside
    return inside


GOOD = {
    "protobuf": post(),
    "empty protobuf": post(b""),
    "json": post_json(span()),
    "empty json object": post_json({}),
    "metrics": post(otlp.make_request("metrics", [1]), path="/v1/metrics"),
    "logs": post(otlp.make_request("logs", [1]), path="/v1/logs"),
    "resource without spans": post(nested(1, inside=b"")),
    "ids all zero": post(nested(1, 2, 2, inside=b"\x0a\x10" + bytes(16) + b"\x12\x08" + bytes(8))),
    "ids absent": post(nested(1, 2, 2, inside=b"\x2a\x01x")),
    "unknown field": post(SPAN + b"\xfa\x7f\x01x"),
    "unknown field of a span": post(nested(1, 2, 2, inside=b"\xfa\x3f\x01x")),
    "invalid utf-8": post(nested(1, 2, 2, inside=b"\x2a\x02\xff\xfe")),
}

BAD_PROTOBUF = {
    "one byte": post(b"\x0a"),
    "cut short": post(SPAN[:-3]),
    "cut in a length": post(b"\x0a\xff"),
    "text": post(b"hello"),
    "json as protobuf": post(b'{"resourceSpans":[]}'),
    "trace id of 8 bytes": post(nested(1, 2, 2, inside=b"\x0a\x08" + bytes(8))),
    "trace id of 17 bytes": post(nested(1, 2, 2, inside=b"\x0a\x11" + bytes(17))),
    "span id of 4 bytes": post(nested(1, 2, 2, inside=b"\x12\x04" + bytes(4))),
    "parent id of 9 bytes": post(nested(1, 2, 2, inside=b"\x22\x09" + bytes(9))),
    "link's trace id of 3 bytes": post(nested(1, 2, 2, 13, inside=b"\x0a\x03abc")),
    "varint for a message": post(b"\x08\x01"),
    "group for a message": post(b"\x0b\x0c"),
    "string for a number": post(nested(1, 2, 2, inside=b"\x32\x01x")),
    "end of a group": post(b"\x0c"),
    "field number zero": post(b"\x02\x00"),
    "wire type 6": post(b"\x0e\x00"),
    "wire type 7 in an unknown field": post(b"\xff\x7f\x00"),
    "varint of eleven bytes": post(b"\xff" * 10 + b"\x01"),
    "length beyond 2^63": post(b"\x0a" + b"\xff" * 9 + b"\x01"),
    "unknown group": post(b"\xfb\x7f\xfc\x7f"),
    "unknown group without an end": post(b"\xfb\x7f"),
    "log record's trace id of 3 bytes": post(nested(1, 2, 2, inside=b"\x4a\x03abc"), path="/v1/logs"),
    "metrics cut short": post(otlp.make_request("metrics", [1])[:-2], path="/v1/metrics"),
}

JSON_BODIES = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "cut short": b'{"resourceSpans":[',
    "no json": b"hello",
    "a comma too many": b'{"resourceSpans":[],}',
    "something behind": b"{} {}",
    "unknown key": {"resourceSpans": [], "hello": {"a": [1, {"b": None}]}},
    "null list": {"resourceSpans": None},
    "number for a list": {"resourceSpans": 1},
    "numbers in a list": {"resourceSpans": [1]},
    "null in a list": {"resourceSpans": [None]},
    "snake case": {"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": TRACE_ID, "span_id": SPAN_ID}]}]}]},
    "trace id without hex": span(traceId="zz8efff798038103d269b633813fc60c"),
    "trace id too short": span(traceId="5b8e"),
    "trace id too long": span(traceId=TRACE_ID + "00"),
    "trace id of odd length": span(traceId=TRACE_ID[:-1]),
    "trace id empty": span(traceId=""),
    "trace id a number": span(traceId=12),
    "trace id in capitals": span(traceId=TRACE_ID.upper()),
    "span id too short": span(spanId="ee"),
    "parent id empty": span(parentSpanId=""),
    "time as text": span(startTimeUnixNano="1544712660000000000"),
    "time as a number": span(startTimeUnixNano=1544712660000000000),
    "time as a float": '{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":1.5e3}]}]}]}',
    "time as bad text": span(startTimeUnixNano="soon"),
    "negative time": span(startTimeUnixNano="-1"),
    "time too large": span(startTimeUnixNano="18446744073709551616"),
    "kind as a number": span(kind=2),
    "kind by name": span(kind="SPAN_KIND_SERVER"),
    "kind by a wrong name": span(kind="SERVER"),
    "kind out of range": span(kind=99),
    "name a number": span(name=5),
    "name null": span(name=None),
    "attribute values": span(attributes=[
        {"key": "a", "value": {"stringValue": "x"}}, {"key": "b", "value": {"boolValue": True}},
        {"key": "c", "value": {"intValue": "-5"}}, {"key": "d", "value": {"intValue": 7}},
        {"key": "e", "value": {"doubleValue": 1.5}}, {"key": "f", "value": {"doubleValue": "NaN"}},
        {"key": "g", "value": {"arrayValue": {"values": [{"intValue": 1}]}}},
        {"key": "h", "value": {"kvlistValue": {"values": [{"key": "i", "value": {}}]}}},
        {"key": "j", "value": {"bytesValue": "AAEC"}}]),
    "bytes without base64": span(attributes=[{"key": "a", "value": {"bytesValue": "***"}}]),
    "integer as a float": span(attributes=[{"key": "a", "value": {"intValue": 1.5}}]),
    "boolean as text": span(attributes=[{"key": "a", "value": {"boolValue": "true"}}]),
    "double as bad text": span(attributes=[{"key": "a", "value": {"doubleValue": "x"}}]),
    "two values": span(attributes=[{"key": "a", "value": {"stringValue": "x", "intValue": 1}}]),
    "twice the same key": b'{"resourceSpans":[],"resourceSpans":[]}',
    "invalid utf-8": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\xff"}]}]}]}',
    "a lone surrogate": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\\ud800"}]}]}]}',
    "control character": b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a\nb"}]}]}]}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "white space around": b" \n{}\n ",
    "status by name": span(status={"code": "STATUS_CODE_ERROR"}),
    "status as a number": span(status={"code": 2, "message": "no"}),
    "trace state and flags": span(traceState="a=b", flags=257, droppedAttributesCount=1),
}

PATHS = {
    "trailing slash": post(path="/v1/traces/"),
    "unknown": post(path="/v1/trace"),
    "root": post(path="/"),
    "root by GET": request("GET", "/", headers={"Content-Length": None}),
    "two slashes": post(path="//v1/traces"),
    "two slashes inside": post(path="/v1//traces"),
    "dots": post(path="/v1/../v1/traces"),
    "query": post(path="/v1/traces?a=b"),
    "capitals": post(path="/V1/TRACES"),
    "escaped": post(path="/v1/%74races"),
    "escaped slash": post(path="/v1%2Ftraces"),
    "bad escape": post(path="/v1/%zz"),
    "whole address": post(path="http://agent/v1/traces"),
    "fragment": post(path="/v1/traces#a"),
    "a star": post(path="*"),
    "profiles": post(path="/v1development/profiles"),
    "unknown by GET": request("GET", "/metrics", headers={"Content-Length": None}),
}

METHODS = {method: request(method, "/v1/traces", b"", PROTO)
           for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO", "post")}
METHODS["GET with a body"] = request("GET", "/v1/traces", SPAN, PROTO)
METHODS["HEAD elsewhere"] = request("HEAD", "/v1/elsewhere", headers={"Content-Length": None})

CONTENT_TYPES = {name: post(base={"Content-Type": name}) for name in (
    "text/plain", "application/protobuf", "application/grpc", "application/x-protobuf; charset=utf-8",
    "Application/X-Protobuf", "application/x-protobuf;", "application/x-protobuf; a", " application/x-protobuf ",
    "application/x-protobuf, application/json", "*/*", "application/octet-stream", "", ";", "application")}
CONTENT_TYPES["none"] = post(base={})
CONTENT_TYPES["json with parameters"] = post_json("{}", headers={"Content-Type": "application/json;charset=UTF-8"})
CONTENT_TYPES["json in capitals"] = post_json("{}", headers={"Content-Type": "APPLICATION/JSON"})

_gzip = gzip.compress(SPAN, mtime=0)
_raw = zlib.compressobj(wbits=-15)
_raw_deflate = _raw.compress(SPAN) + _raw.flush()


def coded(coding, body, **options):
    return post(body, {"Content-Encoding": coding}, **options)


CODINGS = {
    "gzip": coded("gzip", _gzip),
    "gzip json": post(gzip.compress(b"{}"), {"Content-Encoding": "gzip"}, base=JSON),
    "zstd": coded("zstd", zstandard.compress(SPAN)),
    "zlib": coded("zlib", zlib.compress(SPAN)),
    "deflate": coded("deflate", zlib.compress(SPAN)),
    "raw deflate": coded("deflate", _raw_deflate),
    "identity": coded("identity", SPAN),
    "empty value": coded("", SPAN),
    "capitals": coded("GZIP", _gzip),
    "br": coded("br", SPAN),
    "none": coded("none", SPAN),
    "two at once": coded("gzip, gzip", gzip.compress(_gzip)),
    "x-gzip": coded("x-gzip", _gzip),
    "gzip that is none": coded("gzip", SPAN),
    "gzip of nothing": coded("gzip", b""),
    "gzip cut short": coded("gzip", _gzip[:-9]),
    "gzip with a wrong checksum": coded("gzip", _gzip[:-8] + b"\0\0\0\0" + _gzip[-4:]),
    "gzip with something behind": coded("gzip", _gzip + b"hello"),
    "gzip of two members": coded("gzip", gzip.compress(SPAN, mtime=0) + gzip.compress(SPAN, mtime=0)),
    "zstd that is none": coded("zstd", SPAN),
    "zstd of nothing": coded("zstd", b""),
    "zstd cut short": coded("zstd", zstandard.compress(SPAN)[:-3]),
    "zlib that is none": coded("zlib", SPAN),
    "snappy that is none": coded("snappy", SPAN),
    "x-snappy-framed that is none": coded("x-snappy-framed", SPAN),
    "lz4 that is none": coded("lz4", SPAN),
    "gzip of bad protobuf": coded("gzip", gzip.compress(b"\x0a")),
    "br on an unknown path": coded("br", SPAN, path="/v1/trace"),
    "br by GET": request("GET", "/v1/traces", b"", {**PROTO, "Content-Encoding": "br"}),
    "br and text": post(SPAN, {"Content-Encoding": "br", "Content-Type": "text/plain"}),
    "gzip that is none, and text": post(SPAN, {"Content-Encoding": "gzip", "Content-Type": "text/plain"}),
}

LARGE = otlp.make_request("traces", [1], padding=3000)

# The receiver "small" takes 2,000 bytes.
SIZES = {
    "too large": post(LARGE),
    "too large, chunked": post(chunked(LARGE), {"Content-Length": None, "Transfer-Encoding": "chunked"}),
    "too large as gzip": coded("gzip", gzip.compress(LARGE)),
    "too large when inflated": coded("gzip", gzip.compress(otlp.make_request("traces", range(1, 200)))),
    "too large when zstd is inflated": coded("zstd", zstandard.compress(otlp.make_request("traces", range(1, 200)))),
    "too large json": post_json(span(name="x" * 3000)),
    "too large on an unknown path": post(LARGE, path="/v1/trace"),
    "just right": post(otlp.make_request("traces", [1], padding=1800)),
}

PROTOCOL = {
    "HTTP/1.0": post(version="HTTP/1.0"),
    "HTTP/1.0 without host": post(headers={"Host": None}, version="HTTP/1.0"),
    "HTTP/1.0 kept alive": post(headers={"Connection": "keep-alive"}, version="HTTP/1.0"),
    "HTTP/1.1 to be closed": post(headers={"Connection": "close"}),
    "HTTP/1.1 without host": post(headers={"Host": None}),
    "HTTP/1.2": post(version="HTTP/1.2"),
    "HTTP/2.0": post(version="HTTP/2.0"),
    "HTTP/3.7": post(version="HTTP/3.7"),
    "no version": b"POST /v1/traces\r\n\r\n",
    "not http": b"hello\r\n\r\n",
    "chunked": post(chunked(SPAN, 10), {"Content-Length": None, "Transfer-Encoding": "chunked"}),
    "chunked with an extension and trailers": post(
        b"%x;a=b\r\n%s\r\n0\r\nX-T: 1\r\n\r\n" % (len(SPAN), SPAN),
        {"Content-Length": None, "Transfer-Encoding": "chunked"}),
    "chunked with a wrong size": post(b"zz\r\nabc\r\n0\r\n\r\n", {"Content-Length": None, "Transfer-Encoding": "chunked"}),
    "chunked and a length": post(chunked(SPAN), {"Content-Length": "5", "Transfer-Encoding": "chunked"}),
    "unknown transfer coding": post(headers={"Transfer-Encoding": "gzip"}),
    "two transfer codings": post(chunked(SPAN), {"Content-Length": None, "Transfer-Encoding": "gzip, chunked"}),
    "no length": post(b"", headers={"Content-Length": None}),
    "length no number": post(b"", headers={"Content-Length": "many"}),
    "negative length": post(b"", headers={"Content-Length": "-1"}),
    "two lengths": post(b"", headers={"Content-Length": "0\r\nContent-Length: 1"}),
    "the same length twice": post(headers={"Content-Length": f"{len(SPAN)}\r\nContent-Length: {len(SPAN)}"}),
    "expects 100-continue": post(headers={"Expect": "100-continue"}),
    "expects 100-continue on an unknown path": post(headers={"Expect": "100-continue"}, path="/v1/trace"),
    "expects something else": post(headers={"Expect": "tea"}),
    "header without a colon": post(headers={"Host": "agent\r\nhello"}),
    "header with a space before its colon": post(headers={"X-A ": "b"}),
    "folded header": post(headers={"X-A": "b\r\n c"}),
    "control character in a header": post(headers={"X-A": "b\x01c"}),
    "empty header name": post(headers={"": "b"}),
    "large header": post(headers={"X-A": "b" * 20_000}),
    "header beyond a megabyte": post(headers={"X-A": "b" * 1_100_000}),
    "line feeds alone": post().replace(b"\r\n", b"\n", 5),
    "host with a space": post(headers={"Host": "a b"}),
    "two hosts": post(headers={"Host": "a\r\nHost: b"}),
    "empty host": post(headers={"Host": ""}),
    "upgrade": post(headers={"Connection": "Upgrade", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}),
    "accepts json": post(headers={"Accept": "application/json"}),
    "accepts gzip": post(headers={"Accept-Encoding": "gzip"}),
}

ORIGIN, STRANGER = {"Origin": "https://shop.example.com"}, {"Origin": "https://evil.example.org"}


def preflight(origin, method="POST", wanted=None, path="/v1/traces"):
    headers = {**origin, "Access-Control-Request-Method": method, "Content-Length": None}
    return request("OPTIONS", path, headers={**headers, **({"Access-Control-Request-Headers": wanted} if wanted else {})})


# The receivers "small" and "basic" take pages of https://*.example.com.
CORS = {
    "preflight": preflight(ORIGIN),
    "preflight with headers": preflight(ORIGIN, wanted="content-type,x-key"),
    "preflight with a header not allowed": preflight(ORIGIN, wanted="x-other"),
    "preflight of a stranger": preflight(STRANGER),
    "preflight for PUT": preflight(ORIGIN, method="PUT"),
    "preflight for GET": preflight(ORIGIN, method="GET"),
    "preflight elsewhere": preflight(ORIGIN, path="/elsewhere"),
    "options without a method": request("OPTIONS", "/v1/traces", headers={**ORIGIN, "Content-Length": None}),
    "options without an origin": request("OPTIONS", "/v1/traces", headers={
        "Access-Control-Request-Method": "POST", "Content-Length": None}),
    "post": post(headers=ORIGIN),
    "post of a stranger": post(headers=STRANGER),
    "post of origin null": post(headers={"Origin": "null"}),
    "refused post": post(b"\x0a", headers=ORIGIN),
    "post elsewhere": post(headers=ORIGIN, path="/elsewhere"),
    "put": request("PUT", "/v1/traces", b"", {**PROTO, **ORIGIN}),
    "text": post(base={"Content-Type": "text/plain"}, headers=ORIGIN),
}


def authorized(value, **options):
    return post(headers={"Authorization": value}, **options)


# "Bearer secret" for the receiver "token", alice:wonder for "basic".
TOKEN = {
    "right": authorized("Bearer secret"),
    "none": post(),
    "wrong": authorized("Bearer wrong"),
    "scheme in small letters": authorized("bearer secret"),
    "no scheme": authorized("secret"),
    "another scheme": authorized("Basic c2VjcmV0"),
    "empty": authorized(""),
    "none, unknown path": post(path="/v1/trace"),
    "none, GET": request("GET", "/v1/traces", b"", PROTO),
    "none, text": post(base={"Content-Type": "text/plain"}),
    "none, json": post_json("{}"),
    "none, br": coded("br", SPAN),
    "right, bad body": authorized("Bearer secret", body=b"\x0a"),
    "options": request("OPTIONS", "/v1/traces", headers={"Content-Length": None}),
}
BASIC = {
    "right": authorized("Basic YWxpY2U6d29uZGVy"),
    "none": post(),
    "wrong": authorized("Basic YWxpY2U6d29uZGVyeA=="),
    "no base64": authorized("Basic ***"),
    "no colon": authorized("Basic YWxpY2U="),
    "another scheme": authorized("Bearer secret"),
    "scheme in small letters": authorized("basic YWxpY2U6d29uZGVy"),
    "none, from a page": post(headers=ORIGIN),
    "preflight": preflight(ORIGIN, wanted="authorization"),
}

GROUPS = {
    "good": ("plain", GOOD), "protobuf": ("plain", BAD_PROTOBUF),
    "json": ("plain", {name: post_json(body) for name, body in JSON_BODIES.items()}),
    "path": ("plain", PATHS), "method": ("plain", METHODS), "type": ("plain", CONTENT_TYPES),
    "coding": ("plain", CODINGS), "http": ("plain", PROTOCOL), "plain cors": ("plain", CORS),
    "size": ("small", SIZES), "cors": ("small", CORS),
    "token": ("token", TOKEN), "basic": ("basic", BASIC),
}
CASES = {f"{group}: {name}": (receiver, wire) for group, (receiver, cases) in GROUPS.items() for name, wire in cases.items()}
