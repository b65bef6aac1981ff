"""OTLP messages for the tests: parsing, taking apart into items, and requests whose items can be told apart."""

import base64
import collections
import json
import random

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SIGNALS = ("traces", "metrics", "logs")  # of which every agent of the tests has a pipeline; profiles have their own tests
ITEM_NOUNS = {
    "traces": "spans", "metrics": "metric_points", "logs": "log_records", "profiles": "profile_samples"}
HTTP_PATHS = {
    "traces": "/v1/traces", "metrics": "/v1/metrics", "logs": "/v1/logs", "profiles": "/v1development/profiles"}
REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
    "profiles": ExportProfilesServiceRequest,
}
GRPC_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "profiles": "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
}
HEX_KEYS = {"traceId", "spanId", "parentSpanId", "profileId"}


def parse(signal, body, content_type="application/x-protobuf"):
    request = REQUESTS[signal]()
    if content_type == "application/x-protobuf":
        request.ParseFromString(body)
        return request
    assert content_type == "application/json", f"unexpected Content-Type {content_type!r}"
    document = json.loads(body, parse_int=str)
    return json_format.ParseDict(_protobuf_json(document), request, ignore_unknown_fields=True)


def _protobuf_json(node):
    """OTLP/JSON as protobuf's own JSON: ids are base64 there, and enumerations numbers."""
    if isinstance(node, list):
        return [_protobuf_json(element) for element in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for key, value in node.items():
        if key in HEX_KEYS and isinstance(value, str):
            value = base64.b64encode(bytes.fromhex(value)).decode()
        elif key in ("kind", "code", "severityNumber", "aggregationTemporality") and isinstance(value, str):
            value = int(value)
        result[key] = _protobuf_json(value)
    return result


def _points(metric):
    data = getattr(metric, metric.WhichOneof("data"))
    return data, data.data_points


def _flat(signal, request):
    """(resource and scope, item) pairs of a request, both as deterministic bytes."""

    def frozen(message):
        return message.SerializeToString(deterministic=True)

    groups = {"traces": "resource_spans", "metrics": "resource_metrics", "logs": "resource_logs"}[signal]
    scopes = {"traces": "scope_spans", "metrics": "scope_metrics", "logs": "scope_logs"}[signal]
    for group in getattr(request, groups):
        for scope in getattr(group, scopes):
            origin = (frozen(group.resource), group.schema_url, frozen(scope.scope), scope.schema_url)
            if signal == "traces":
                yield from ((origin, frozen(span)) for span in scope.spans)
            elif signal == "logs":
                yield from ((origin, frozen(record)) for record in scope.log_records)
            else:
                for metric in scope.metrics:
                    shell = type(metric)()
                    shell.CopyFrom(metric)
                    data, points = _points(shell)
                    points = [frozen(point) for point in points]
                    del data.data_points[:]
                    yield from (((origin, frozen(shell)), point) for point in points)


def items(signal, requests):
    """Every item of `requests` with its resource, scope and (for metrics) stream: a multiset to compare with."""
    return collections.Counter(pair for request in requests for pair in _flat(signal, request))


def spans(requests):
    return [s for r in requests for group in r.resource_spans for scope in group.scope_spans for s in scope.spans]


def metrics(requests):
    return [m for r in requests for group in r.resource_metrics for scope in group.scope_metrics for m in scope.metrics]


def log_records(requests):
    return [l for r in requests for group in r.resource_logs for scope in group.scope_logs for l in scope.log_records]


def samples(requests):
    return [s for r in requests for group in r.resource_profiles for scope in group.scope_profiles
            for profile in scope.profiles for s in profile.samples]


def ids_of(signal, request):
    """One integer per item, which tells apart the items that make_request() made."""
    if signal == "profiles":
        return [_profile_sample_id(request.dictionary, sample) for sample in samples([request])]
    if signal == "traces":
        return [int.from_bytes(span.span_id, "big") for span in spans([request])]
    if signal == "logs":
        return [int.from_bytes(record.span_id, "big") for record in log_records([request])]
    ids = []
    for metric in metrics([request]):
        ids += [getattr(point, "as_int", 0) for point in _points(metric)[1]]
    return ids


def _profile_sample_id(dictionary, sample):
    """The number in the sample's function name, found as its reader finds it: through every table of the dictionary."""
    location = dictionary.location_table[dictionary.stack_table[sample.stack_index].location_indices[0]]
    function = dictionary.function_table[location.lines[0].function_index]
    number = int(dictionary.string_table[function.name_strindex].removeprefix("function_"))
    assert list(sample.values) == [number], f"the indices of sample {sample.values} lead to function_{number}"
    return number


def make_profiles_request(ids, padding=0, seed=0):
    """One sample of its own stack for each of `ids`; `padding` bytes that no compressor makes smaller for each."""
    noise = random.Random(seed)
    request = ExportProfilesServiceRequest()
    dictionary = request.dictionary
    for table in (dictionary.mapping_table, dictionary.location_table, dictionary.function_table,
                  dictionary.link_table, dictionary.attribute_table, dictionary.stack_table):
        table.add()
    dictionary.string_table.extend(["", "samples", "count", "thread.name", "ms"])
    dictionary.attribute_table.add(key_strindex=3, unit_strindex=4).value.string_value = "main"
    dictionary.mapping_table.add(memory_start=1 << 40, memory_limit=1 << 41, filename_strindex=3)
    group = request.resource_profiles.add(schema_url="https://opentelemetry.io/schemas/1.38.0")
    group.resource.attributes.add(key="service.name").value.string_value = "load"
    scope = group.scope_profiles.add()
    scope.scope.name = "profiler"
    profile = scope.profiles.add(
        time_unix_nano=1_700_000_000_000_000_000, duration_nano=10**10, period=50_000_000,
        profile_id=noise.randbytes(16), original_payload_format="pprof", original_payload=noise.randbytes(padding * len(ids)))
    profile.sample_type.type_strindex, profile.sample_type.unit_strindex = 1, 2
    for number in ids:
        place = len(dictionary.stack_table)
        dictionary.string_table.append(f"function_{number}")
        dictionary.function_table.add(name_strindex=len(dictionary.string_table) - 1, start_line=7)
        dictionary.location_table.add(mapping_index=1, address=number).lines.add(function_index=place, line=8, column=9)
        dictionary.link_table.add(trace_id=noise.randbytes(16), span_id=noise.randbytes(8))
        dictionary.stack_table.add(location_indices=[place])
        profile.samples.add(stack_index=place, link_index=place, attribute_indices=[1], values=[number],
                            timestamps_unix_nano=[1_700_000_000_000_000_000 + place])
    return request.SerializeToString()


def make_request(signal, ids, padding=0, seed=0):
    """A request of one item for each of `ids`, each with `padding` bytes that no compressor makes smaller."""
    if signal == "profiles":
        return make_profiles_request(ids, padding, seed)
    noise = random.Random(seed)
    request = REQUESTS[signal]()
    if signal == "traces":
        group = request.resource_spans.add()
        add = group.scope_spans.add().spans.add
    elif signal == "logs":
        group = request.resource_logs.add()
        add = group.scope_logs.add().log_records.add
    else:
        group = request.resource_metrics.add()
        metric = group.scope_metrics.add().metrics.add(name="load.gauge", unit="1")
        add = metric.gauge.data_points.add
    group.resource.attributes.add(key="service.name").value.string_value = "load"
    for number in ids:
        item = add(time_unix_nano=1_700_000_000_000_000_000 + number % 10**9) if signal != "traces" else add(
            name="load", kind=2, trace_id=noise.randbytes(16),
            start_time_unix_nano=1_700_000_000_000_000_000, end_time_unix_nano=1_700_000_000_500_000_000)
        if signal == "metrics":
            item.as_int = number
        else:
            item.span_id = number.to_bytes(8, "big")
        if padding:
            item.attributes.add(key="noise").value.bytes_value = noise.randbytes(padding)
    return request.SerializeToString()
