// `holdfast buffer purge`: deletes records, delivered or not, and says what is lost by it.
//
// Quarantine stays (`holdfast quarantine discard`). A crash leaves some of the records: run it
// again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/buffer_tool_context.h"
#include "buffer/filesystem.h"
#include "proto/signal.h"

namespace holdfast {

struct PurgeOptions {
  std::optional<Signal> signal;
  std::int64_t before_unix_ns = INT64_MAX;  // received before; the maximum: all, damaged ones too
  bool yes = false;                         // do not ask
};

/// Takes the lock, prints what there is to lose for each signal and exporter, asks, deletes.
/// kToolUsage when it was not allowed to and could not ask.
int purge_buffer(FileSystem& fs, const std::string& directory, const PurgeOptions& options,
                 ToolContext& context);

}  // namespace holdfast
