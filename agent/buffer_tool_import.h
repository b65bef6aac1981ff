// `holdfast buffer import`: puts requests from files into the buffer, as if they had been received.
//
// Reads what `export` and the Collector's file exporter write (see agent/buffer_tool_export.h):
// OTLP/JSON lines, or protobuf after a length of 4 bytes, big-endian. Each request is checked as a
// receiver checks it and goes the same way into the log; what is acknowledged is synced. Bad ones
// are told with their place and passed over. Nothing that is stored is pushed out for it: a full
// buffer ends the import.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "agent/buffer_tool_context.h"
#include "agent/buffer_tool_export.h"
#include "agent/config.h"

namespace holdfast {

/// The logs to append to.
struct BufferImportTarget {
  std::string directory;
  std::array<LogOptions, kSignalCount> logs;
  /// The exporters that read each log; nothing: no pipeline takes the signal.
  std::array<std::optional<std::vector<ReaderSpec>>, kSignalCount> readers;
};

BufferImportTarget import_target(const Config& config);

/// Without a configuration: limits are the defaults, exporters those that have a cursor.
BufferImportTarget import_target(const std::string& directory);

struct ImportOptions {
  std::vector<std::string> files;      // "-": standard input
  std::optional<ExportFormat> format;  // nothing: each file's first byte tells
  std::optional<Signal> signal;        // of protobuf; of JSON it must be that of each line
};

/// Takes the lock. Ends with counts of what is stored, bad and not stored; kToolDamage unless all
/// is stored.
int import_buffer(const BufferImportTarget& target, const ImportOptions& options,
                  ToolContext& context);

}  // namespace holdfast
