"""Our .proto files against the published ones: every message, field, oneof, enum and method must be the same."""

import importlib
import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]

PUBLISHED_MODULES = (
    "opentelemetry.proto.common.v1.common_pb2",
    "opentelemetry.proto.resource.v1.resource_pb2",
    "opentelemetry.proto.trace.v1.trace_pb2",
    "opentelemetry.proto.metrics.v1.metrics_pb2",
    "opentelemetry.proto.logs.v1.logs_pb2",
    "opentelemetry.proto.profiles.v1development.profiles_pb2",
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2",
    "opentelemetry.proto.collector.logs.v1.logs_service_pb2",
    "opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2",
    "google.rpc.status_pb2",
    "google.rpc.error_details_pb2",
)

# Of google.rpc only what OTLP uses.
GOOGLE_RPC_MESSAGES = ("google.rpc.Status", "google.rpc.RetryInfo")


def field_facts(message, field):
    oneof = None
    if field.HasField("oneof_index"):
        oneof = message.oneof_decl[field.oneof_index].name
    return {
        "number": field.number,
        "type": descriptor_pb2.FieldDescriptorProto.Type.Name(field.type),
        "type_name": field.type_name,
        "label": descriptor_pb2.FieldDescriptorProto.Label.Name(field.label),
        "json_name": field.json_name or camel_case(field.name),
        "oneof": oneof,
        "optional": field.proto3_optional,
        "packed": field.options.packed if field.options.HasField("packed") else None,
    }


def camel_case(name):
    """The json_name that protoc derives; descriptors inside generated Python leave it out."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def enum_facts(prefix, enum, facts):
    for value in enum.value:
        facts[f"enum {prefix}.{enum.name}.{value.name}"] = value.number


def message_facts(prefix, message, facts):
    name = f"{prefix}.{message.name}"
    facts[f"message {name}"] = {
        "reserved": sorted((span.start, span.end) for span in message.reserved_range),
        "oneofs": [oneof.name for oneof in message.oneof_decl],
    }
    for field in message.field:
        facts[f"field {name}.{field.name}"] = field_facts(message, field)
    for enum in message.enum_type:
        enum_facts(name, enum, facts)
    for nested in message.nested_type:
        message_facts(name, nested, facts)


def is_compared(package, name):
    return package != "google.rpc" or f"{package}.{name}" in GOOGLE_RPC_MESSAGES


def file_facts(files):
    facts = {}
    for file in files:
        facts[f"package {file.package}"] = file.syntax
        for message in file.message_type:
            if is_compared(file.package, message.name):
                message_facts(file.package, message, facts)
        for enum in file.enum_type:
            if is_compared(file.package, enum.name):
                enum_facts(file.package, enum, facts)
        for service in file.service:
            for method in service.method:
                facts[f"method /{file.package}.{service.name}/{method.name}"] = (
                    method.input_type,
                    method.output_type,
                    method.client_streaming,
                    method.server_streaming,
                )
    return facts


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    output = tmp_path_factory.mktemp("descriptors") / "descriptors.bin"
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "proto").glob("*.proto"))
    subprocess.run(["protoc", "--proto_path=.", f"--descriptor_set_out={output}", *files], cwd=ROOT, check=True)
    return file_facts(descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file)


@pytest.fixture(scope="module")
def published():
    files = []
    for module in PUBLISHED_MODULES:
        file = descriptor_pb2.FileDescriptorProto()
        importlib.import_module(module).DESCRIPTOR.CopyToProto(file)
        files.append(file)
    return file_facts(files)


def test_nothing_published_is_missing(ours, published):
    assert sorted(published.keys() - ours.keys()) == []


def test_nothing_of_ours_is_unknown_to_the_published_files(ours, published):
    assert sorted(ours.keys() - published.keys()) == []


def test_every_shared_definition_is_the_same(ours, published):
    different = {key: (ours[key], published[key]) for key in ours.keys() & published.keys() if ours[key] != published[key]}
    assert different == {}


def test_the_comparison_sees_the_whole_protocol(ours):
    """Guards the three above: comparing two empty sets would pass."""
    assert ours["field opentelemetry.proto.trace.v1.Span.flags"]["type"] == "TYPE_FIXED32"
    assert ours["enum opentelemetry.proto.logs.v1.SeverityNumber.SEVERITY_NUMBER_FATAL4"] == 24
    assert len([key for key in ours if key.startswith("message ")]) >= 55
    assert len([key for key in ours if key.startswith("method ")]) == 4
