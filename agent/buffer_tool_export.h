// `holdfast buffer cat` and `export`: requests out of the buffer as OTLP/JSON lines or protobuf.
//
// The two forms are those of the OpenTelemetry Collector's file exporter
// (opentelemetry-collector-contrib, exporter/fileexporter/file_writer.go): `json` is one request in
// OTLP/JSON a line, which its otlp_json_file receiver reads; `proto` is each request's bytes after
// their length as 4 bytes, big-endian, unsigned. A proto file does not say which signal it holds.
// Reads only; works beside a running agent.
#pragma once

#include <optional>
#include <string>

#include "agent/buffer_tool_context.h"
#include "agent/buffer_tool_records.h"

namespace holdfast {

enum class ExportFormat : std::uint8_t { json, proto };

struct ExportOptions {
  RecordFilter filter;
  ExportFormat format = ExportFormat::json;
  /// "-": the context's `out`. A directory: a file for each signal in it, "traces.jsonl" or
  /// "traces.pb". Else one file, which must not be there yet.
  std::string output = "-";
};

/// Returns the exit code: kToolDamage when something could not be read or written. Files appear
/// when they are complete, synced.
int export_buffer(const std::string& directory, const ExportOptions& options, ToolContext& context);

}  // namespace holdfast
