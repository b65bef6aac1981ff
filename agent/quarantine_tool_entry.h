// The files of a quarantine, read from the outside (docs/format.md, "Quarantine").
//
// Reads only; nothing in a file is trusted. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "buffer/result.h"
#include "proto/signal.h"

namespace holdfast {

struct QuarantinedFile {
  Signal signal = Signal::traces;
  std::string file;
  std::string path;
  std::uint64_t seq = 0;
  std::uint32_t request = 0;
  std::uint64_t items = 0;
  std::string exporter;
  std::string reason;  // "rejected", "corrupt", "segment": a whole file that could not be read
  int status = 0;
  std::string message;
  std::int64_t unix_ms = 0;
  std::uint64_t bytes = 0;           // of the request, as its line says
  std::uint64_t content_at = 0;      // where they begin in the file
  std::uint64_t content_length = 0;  // how many are there

  bool is_request() const { return reason == "rejected"; }
  bool is_complete() const { return content_length == bytes; }
};

/// In the order of signals and names. A file that goes away meanwhile is left out; one whose first
/// line cannot be read has the reason "unreadable".
std::vector<QuarantinedFile> read_quarantine(const std::string& directory,
                                             std::optional<Signal> signal);

Result<std::string> read_content(const QuarantinedFile& file);

}  // namespace holdfast
