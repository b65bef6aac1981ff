// One look at everything that /status and /metrics show, and the verdict over it.
//
// Taken anew for each answer, on the thread that answers; it asks each log, the disk and the
// kernel once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/health.h"
#include "agent/process_info.h"

namespace holdfast {

/// One exporter as reader of one signal's log.
struct FlowSnapshot {
  std::string exporter;
  const ExporterSignalStats* counters = nullptr;  // the live ones, never null
  bool forwarded = false;                         // at once, without a queue
  ReaderStats reader;                             // all zero where it reads no log
  UpstreamState state = UpstreamState::idle;
  std::string last_error;
  std::optional<double> oldest_age_s;  // none: nothing is pending

  /// Items that this exporter will never get.
  std::uint64_t dropped_items() const;
};

struct SignalSnapshot {
  Signal signal = Signal::traces;
  LogStats log;
  std::uint64_t capacity_bytes = 0;
  std::vector<FlowSnapshot> flows;
};

/// Why the agent is not well although it works.
struct DegradedReason {
  std::string_view code;  // stable: see kDegradedCodes
  std::optional<Signal> signal;
  std::string exporter;  // "" when it concerns none in particular
  std::string detail;    // a sentence for people
};
inline constexpr std::array<std::string_view, 9> kDegradedCodes{
    "upstream_down", "upstream_refuses", "disk_nearly_full",
    "buffer_full",   "data_dropped",     "data_quarantined",
    "write_errors",  "unknown_version",  "configuration_refused"};

/// The reason of ExporterSignalStats::dropped, beside the log's own: a bad request for which the
/// quarantine had no room.
inline constexpr std::string_view kQuarantineFailed = "quarantine_failed";

struct StatusSnapshot {
  std::int64_t unix_ns = 0;
  std::int64_t uptime_ns = 0;
  std::vector<SignalSnapshot> signals;  // those with a pipeline
  std::optional<std::uint64_t> disk_free_bytes;
  bool disk_nearly_full = false;
  ProcessInfo process;
  std::vector<DegradedReason> reasons;  // empty: all is well
};

/// With telemetry.mutex held shared, for as long as the snapshot is used.
StatusSnapshot take_snapshot(const Telemetry& telemetry);

}  // namespace holdfast
