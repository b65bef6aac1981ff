"""Profiles, the fourth signal: only where a pipeline takes them, byte for byte, and each request alone."""

import gzip
import json
import struct

import grpc
import pytest
import requests

import otlp
from agent import free_ports, wait_until
from collector import real_collector
from grpc_upstream import GrpcUpstream
from load import Load, new_ids
from segments import SIGNAL_TAGS
from tool import holdfast, tool

PROTOBUF = {"Content-Type": "application/x-protobuf"}
WITH_PROFILES = {"service": {"pipelines": {"profiles": {"receivers": ["otlp"], "exporters": ["otlp_http"]}}}}


def http_url(agent):
    return agent.http_url + otlp.HTTP_PATHS["profiles"]


def post(agent, body, **headers):
    return requests.post(http_url(agent), body, headers={**PROTOBUF, **headers}, timeout=10)


def call(agent, body, **options):
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        return channel.unary_unary(otlp.GRPC_METHODS["profiles"])(body, timeout=10, **options)


def send_all(agent, bodies):
    """One after the other, by every way in; the bytes that were sent, in order."""
    for number, body in enumerate(bodies):
        if number % 3 == 0:
            assert post(agent, body).content == b"\x0A\x00"
        elif number % 3 == 1:
            assert post(agent, gzip.compress(body), **{"Content-Encoding": "gzip"}).status_code == 200
        else:
            assert call(agent, body) == b"\x0A\x00"
    return bodies


def make_bodies(count, samples=3):
    return [otlp.make_request("profiles", new_ids(samples), padding=40, seed=n) for n in range(count)]


def bodies_of(upstream):
    return [request.body for request in upstream.requests("profiles")]


@pytest.fixture
def agent(make_agent):
    return make_agent(config=WITH_PROFILES).start()


@pytest.mark.parametrize("compression", ["gzip", "none", "zstd"])
def test_requests_arrive_one_by_one_as_they_were_sent(make_agent, upstream, compression):
    agent = make_agent(config=WITH_PROFILES, exporter={"compression": compression}).start()
    of_a_later_version = make_bodies(1)[0] + b"\xFA\x3E\x03new"  # field 1007
    sent = send_all(agent, [*make_bodies(11), of_a_later_version])
    assert upstream.wait_for(lambda u: len(u.received) >= len(sent))
    assert bodies_of(upstream) == sent
    agent.wait_empty()
    metrics = agent.metrics()
    for name in ("receiver_accepted", "exporter_sent"):
        assert metrics.total(f"otelcol_{name}_profile_samples") == 36


def test_requests_arrive_one_by_one_over_grpc(make_agent):
    upstream = GrpcUpstream()
    try:
        agent = make_agent(config={
            "exporters": {"otlp_grpc": {"endpoint": upstream.url, "tls": {"insecure": True}}},
            "service": {"pipelines": {"profiles": {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}}}}).start()
        sent = send_all(agent, make_bodies(6))
        assert upstream.wait_for(lambda u: len(u.received) >= len(sent))
        assert bodies_of(upstream) == sent
    finally:
        upstream.down()
    assert upstream.objections() == []


def test_an_endpoint_of_their_own_is_taken_as_it_is(make_agent, upstream):
    nowhere = {"endpoint": "http://127.0.0.1:9", "profiles_endpoint": upstream.url + otlp.HTTP_PATHS["profiles"]}
    agent = make_agent(config=WITH_PROFILES, exporter=nowhere).start()
    sent = send_all(agent, make_bodies(1))
    assert upstream.wait_for(lambda u: len(u.received) >= 1)
    assert bodies_of(upstream) == sent


def test_an_outage_and_a_kill_lose_nothing_and_join_nothing(agent, upstream):
    upstream.down()
    sent = send_all(agent, make_bodies(20))
    sent += send_all(agent, [otlp.make_request("profiles", new_ids(50), padding=4000), *make_bodies(1, samples=1)])
    agent.kill()
    [segment] = (agent.buffer_directory / "profiles").glob("*.wip")
    assert segment.read_bytes()[44] == SIGNAL_TAGS["profiles"]
    assert b"  22 records, 111 items" in tool(agent, "ls").stdout
    agent.start()
    upstream.up()
    assert upstream.wait_for(lambda u: len(u.received) >= len(sent))
    agent.wait_empty()
    assert bodies_of(upstream) == sent
    metrics = agent.metrics()
    assert metrics.total("holdfast_buffer_recovered_items", signal="profiles") == 60 + 51
    assert metrics.total("holdfast_delivered_items_total", signal="profiles") == 60 + 51


def test_one_that_is_refused_takes_none_along(agent, upstream):
    bodies = make_bodies(5, samples=1)
    poison = otlp.ids_of("profiles", otlp.parse("profiles", bodies[2]))
    upstream.behave(lambda signal, message: 413 if otlp.ids_of(signal, message) == poison else "ok")
    send_all(agent, bodies)
    wait_until(lambda: agent.metrics().total("holdfast_quarantined_items_total", signal="profiles") == 1)
    agent.wait_empty()
    assert bodies_of(upstream) == bodies[:2] + bodies[3:]
    upstream.behave("ok")
    replayed = holdfast("quarantine", "replay", "--config", agent.config_file, "--all")
    assert replayed.returncode == 0, replayed
    assert bodies_of(upstream)[-1] == bodies[2]


def test_json_means_what_it_says_and_comes_out_of_the_buffer_again(agent, upstream):
    body = otlp.make_request("profiles", new_ids(4))
    upstream.down()
    assert post(agent, body).status_code == 200
    agent.stop()
    line = tool(agent, "cat", "--signal", "profiles").stdout
    document = json.loads(line)
    profile = document["resourceProfiles"][0]["scopeProfiles"][0]["profiles"][0]
    wanted = otlp.parse("profiles", body)
    assert profile["profileId"] == wanted.resource_profiles[0].scope_profiles[0].profiles[0].profile_id.hex()
    assert otlp.parse("profiles", line, "application/json") == wanted
    agent.start()
    answer = requests.post(http_url(agent), line, headers={"Content-Type": "application/json"}, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"partialSuccess": {}})
    upstream.up()
    assert upstream.wait_for(lambda u: len(u.received) >= 2)
    assert [request.message for request in upstream.requests("profiles")] == [wanted, wanted]


@pytest.mark.parametrize("form", ["json", "proto"])
def test_export_and_import_keep_requests_apart(make_agent, upstream, tmp_path, form):
    sent = make_bodies(4)
    first = make_agent("first", upstream_url="http://127.0.0.1:9", config=WITH_PROFILES).start()
    send_all(first, sent)
    assert first.stop() == 0
    exported = tool(first, "export", "--format", form, "--output", tmp_path)
    assert exported.returncode == 0, exported
    second = make_agent("second", config=WITH_PROFILES)
    second.buffer_directory.mkdir()
    options = [] if form == "json" else ["--signal", "profiles"]
    imported = tool(second, "import", *options, tmp_path / f"profiles.{'jsonl' if form == 'json' else 'pb'}")
    assert imported.stdout.startswith(b"4 requests with 12 items stored, 0 bad"), imported
    second.start()
    assert upstream.wait_for(lambda u: len(u.received) >= 4)
    assert [request.message for request in upstream.requests("profiles")] == [otlp.parse("profiles", b) for b in sent]


def test_without_a_pipeline_nobody_knows_of_them(make_agent):
    agent = make_agent().start()
    body = otlp.make_request("profiles", [1])
    answer = post(agent, body)
    assert (answer.status_code, answer.content) == (404, b"404 page not found\n")
    with pytest.raises(grpc.RpcError) as refused:
        call(agent, body)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert refused.value.details() == (
        "unknown service opentelemetry.proto.collector.profiles.v1development.ProfilesService")
    Load(agent, clients=2, items=2, limit=2).start().join()
    assert "profile" not in requests.get(agent.health_url("/metrics"), timeout=10).text
    assert "profile" not in json.dumps(agent.status())
    assert not (agent.buffer_directory / "profiles").exists()


def test_bad_bytes_are_refused_in_the_collectors_words(agent):
    bad = otlp.parse("profiles", otlp.make_request("profiles", [1]))
    bad.resource_profiles[0].scope_profiles[0].profiles[0].profile_id = b"four"
    answer = post(agent, bad.SerializeToString())
    assert answer.status_code == 400 and b"unmarshal: invalid ProfileID length" in answer.content
    with pytest.raises(grpc.RpcError) as refused:
        call(agent, struct.pack("BB", 0x10, 1))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "proto: wrong wireType = 0 for field Dictionary"


def started_collector(tmp_path, name, upstream_url, compression):
    """The real Collector, started, with a pipeline of profiles, and the URL of its receiver."""
    [port] = free_ports(1)
    runner = real_collector(tmp_path / name, {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlp_http": {"endpoint": upstream_url, "compression": compression}},
        "service": {"telemetry": {"metrics": {"level": "none"}},
                    "pipelines": {"profiles": {"receivers": ["otlp"], "exporters": ["otlp_http"]}}},
    }, [port], ["--feature-gates=service.profilesSupport"])
    return runner.start(), f"http://127.0.0.1:{port}"


@pytest.mark.long
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_between_two_collectors_each_sample_still_leads_to_its_function(make_agent, upstream, tmp_path, compression):
    """In whatever order, and whatever the Collectors have made of the dictionary."""
    bodies = make_bodies(30)
    behind, behind_url = started_collector(tmp_path, "behind", upstream.url, compression)
    agent = make_agent(upstream_url=behind_url, config=WITH_PROFILES).start()
    ahead, ahead_url = started_collector(tmp_path, "ahead", agent.http_url, compression)
    try:
        for body in bodies:
            answer = requests.post(ahead_url + otlp.HTTP_PATHS["profiles"], body, headers=PROTOBUF, timeout=10)
            assert answer.status_code == 200
        wanted = sorted(i for body in bodies for i in otlp.ids_of("profiles", otlp.parse("profiles", body)))
        assert upstream.wait_for(lambda u: sum(len(r.ids) for r in u.received) >= len(wanted))
        assert ahead.stop() == agent.stop() == behind.stop() == 0
        assert sorted(upstream.ids()) == wanted
    finally:
        ahead.kill()
        behind.kill()
