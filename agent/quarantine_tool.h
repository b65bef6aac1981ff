// `holdfast quarantine ls|show|replay|discard`: what is in quarantine, and what becomes of it.
//
// Works beside a running agent: entries appear whole by rename, and one that goes away meanwhile is
// no error. Single-threaded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/buffer_tool_context.h"
#include "agent/config.h"
#include "proto/signal.h"

namespace holdfast {

/// Which entries a command is about.
struct QuarantineSelection {
  std::string directory;  // of the buffer
  std::optional<Signal> signal;
  std::vector<std::string> ids;  // file names or sequence numbers
  bool all = false;              // `ids` is empty
};

/// A table, or one line of JSON an entry.
int list_quarantine(const QuarantineSelection& selection, bool json, ToolContext& context);

/// For each entry what is known of it (to `err`) and what it holds (to `out`): the request as
/// OTLP/JSON, what was damaged as a hex dump, or with `raw` the bytes as they are.
int show_quarantine(const QuarantineSelection& selection, bool raw, ToolContext& context);

struct ReplayOptions {
  /// Of the configuration: each entry goes to the exporter that it comes from.
  std::vector<ExporterConfig> exporters;
  std::string endpoint;  // instead of those: base URL of an OTLP/HTTP upstream
  bool dry_run = false;
};

/// Sends the requests and deletes those that were taken whole. kToolDamage when any is left.
int replay_quarantine(const QuarantineSelection& selection, const ReplayOptions& options,
                      ToolContext& context);

/// Deletes entries; asks first unless `yes`.
int discard_quarantine(const QuarantineSelection& selection, bool yes, ToolContext& context);

}  // namespace holdfast
