// Requests out of a buffer directory, in order, for the tools that show or export them.
//
// Reads only; works beside a running agent. Single-threaded.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/buffer_tool_context.h"
#include "proto/signal.h"

namespace holdfast {

struct RecordFilter {
  std::optional<Signal> signal;
  std::uint64_t from_seq = 0;
  std::uint64_t to_seq = UINT64_MAX;       // that one included
  std::int64_t since_unix_ns = INT64_MIN;  // received then or later
  std::int64_t until_unix_ns = INT64_MAX;  // received before
  std::uint64_t requests_max = UINT64_MAX;
  std::string pending_exporter;  // only what it has not delivered; "": all
};

/// One request as a client sent it.
struct StoredRequest {
  Signal signal = Signal::traces;
  std::uint64_t seq = 0;    // of its record
  std::uint32_t index = 0;  // within it
  std::uint32_t items = 0;
  std::int64_t received_unix_ns = 0;
  std::string_view raw;  // until the callback returns
};

struct ReadTotals {
  std::uint64_t requests = 0;
  std::uint64_t items = 0;
  std::uint64_t damaged_places = 0;  // records and stretches that could not be read, told on `err`
  bool stopped = false;              // the callback, or the context's stop token

  bool whole() const { return damaged_places == 0; }
};

/// Calls `take` for each request that the filter lets through, until it returns false. A torn tail
/// of a file that is open is no damage.
ReadTotals read_requests(const std::string& directory, const RecordFilter& filter,
                         ToolContext& context, ProgressBar& progress,
                         const std::function<bool(const StoredRequest&)>& take);

/// Bytes of the segments that the filter's signal has: what the progress is measured by.
std::uint64_t segment_bytes(const std::string& directory, std::optional<Signal> signal);

}  // namespace holdfast
