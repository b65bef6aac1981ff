"""The same requests to the real Collector and to Holdfast: the same answers, or a difference on purpose that is listed.

The list is collector_differences.py.
"""

import json
import re

import pytest

import collector_differences
import collector_pair
import grpc_cases
import http_cases
import raw_http
from collector import holdfast, real_collector
from collector_differences import ANY

pytestmark = pytest.mark.long  # builds the Collector with Go

# Headers that say something to a client. The others are the servers' own business.
HEADERS = ("content-type", "www-authenticate", "retry-after", "allow", "vary", "location", "x-served-by", "content-encoding",
           "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
           "access-control-allow-credentials", "access-control-expose-headers", "access-control-max-age",
           "x-content-type-options")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(ports of the Collector, ports of Holdfast), both with the configuration of collector_pair.py."""
    running, ports = [], []
    for start in (real_collector, holdfast):
        ports.append(collector_pair.ports())
        directory = tmp_path_factory.mktemp(start.__name__)
        running.append(start(directory, collector_pair.document(ports[-1]), list(ports[-1].values())).start())
    yield ports
    statuses = [each.stop() for each in running]
    print(*(each.log()[-3000:] for each in running), sep="\n----\n")
    assert statuses == [0, 0]


def check(case, theirs, ours, table):
    """Fails unless the answers differ in exactly what the table says of this case."""
    found = {key: (theirs.get(key), ours.get(key)) for key in {*theirs, *ours} if theirs.get(key) != ours.get(key)}
    decisive = next((key for key in ("status", "code") if key in found), None)
    if decisive:
        found = {decisive: found[decisive]}
    listed = [each for pattern, (each, _) in table.items() if re.fullmatch(pattern, case)]
    assert len(listed) < 2, "listed twice"
    wanted = {key: found.get(key) if pair is ANY else pair for key, pair in (listed or [{}])[0].items()}
    assert found == {key: pair for key, pair in wanted.items() if pair}


def http_answer(port, wire):
    answer = raw_http.exchange(port, wire, collector_pair.FOLLOW_UP)
    headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
    return {"status": answer.status, **said(answer), "open": answer.open, "interim": answer.interim, **headers}


def said(answer):
    """A google.rpc.Status as code and message, whatever its encoding; any other body as it is."""
    if answer.status < 400 or answer.status == 415:
        return {"body": answer.body}
    if answer.headers.get("content-type") == "application/json":
        return json.loads(answer.body)
    if answer.headers.get("content-type") == "application/x-protobuf":
        assert answer.body[0] == 0x08 and answer.body[2] == 0x12 and answer.body[3] == len(answer.body) - 4 < 128
        return {"code": answer.body[1], "message": answer.body[4:].decode()}
    return {"body": answer.body}


@pytest.mark.parametrize("case", http_cases.CASES)
def test_the_same_answer_over_http(case, pair):
    receiver, wire = http_cases.CASES[case]
    theirs, ours = (http_answer(ports[f"{receiver}/http"], wire) for ports in pair)
    check(case, theirs, ours, collector_differences.HTTP)


@pytest.mark.parametrize("case", grpc_cases.CALLS)
def test_the_same_answer_over_grpc(case, pair):
    receiver, message, options = grpc_cases.CALLS[case]
    theirs, ours = (grpc_cases.call(ports[f"{receiver}/grpc"], message, **options) for ports in pair)
    check(case, theirs, ours, collector_differences.GRPC)


@pytest.mark.parametrize("case", grpc_cases.REQUESTS)
def test_the_same_answer_to_what_is_not_quite_grpc(case, pair):
    theirs, ours = (grpc_cases.curl(ports["plain/grpc"], *grpc_cases.REQUESTS[case]) for ports in pair)
    check(case, theirs, ours, collector_differences.GRPC)


def test_every_difference_that_is_listed_has_a_case():
    for table, cases in ((collector_differences.HTTP, http_cases.CASES),
                         (collector_differences.GRPC, {**grpc_cases.CALLS, **grpc_cases.REQUESTS})):
        assert [pattern for pattern in table if not any(re.fullmatch(pattern, case) for case in cases)] == []
