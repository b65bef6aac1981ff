#include "agent/status_snapshot.h"

#include <algorithm>

namespace holdfast {
namespace {

FlowSnapshot flow_of(const ExporterStats& exporter, Signal signal, ReaderStats reader,
                     std::int64_t now_unix_ns) {
  FlowSnapshot flow;
  flow.exporter = exporter.exporter;
  flow.counters = &exporter.signals[index_of(signal)];
  flow.forwarded = exporter.forwarded[index_of(signal)];
  flow.state = static_cast<UpstreamState>(flow.counters->state.load(std::memory_order_relaxed));
  flow.last_error = flow.counters->last_error.text();
  if (reader.oldest_unix_ns != 0) {
    const std::int64_t age_ns = std::max<std::int64_t>(now_unix_ns - reader.oldest_unix_ns, 0);
    flow.oldest_age_s = static_cast<double>(age_ns) / static_cast<double>(kNsPerSecond);
  }
  flow.reader = std::move(reader);
  return flow;
}

SignalSnapshot signal_snapshot(const Telemetry& telemetry, Signal signal,
                               std::int64_t now_unix_ns) {
  SignalSnapshot snapshot;
  snapshot.signal = signal;
  snapshot.log = telemetry.logs[index_of(signal)]->stats();
  snapshot.capacity_bytes = telemetry.capacity_bytes[index_of(signal)];
  for (const ReaderStats& reader : snapshot.log.readers) {
    const auto exporter =
        std::find_if(telemetry.exporters.begin(), telemetry.exporters.end(),
                     [&](const auto& candidate) { return candidate->exporter == reader.name; });
    if (exporter == telemetry.exporters.end()) continue;
    snapshot.flows.push_back(flow_of(**exporter, signal, reader, now_unix_ns));
  }
  for (const auto& exporter : telemetry.exporters) {
    const bool shown =
        std::any_of(snapshot.flows.begin(), snapshot.flows.end(),
                    [&](const FlowSnapshot& flow) { return flow.exporter == exporter->exporter; });
    if (shown || !exporter->forwarded[index_of(signal)]) continue;
    snapshot.flows.push_back(flow_of(*exporter, signal, {.name = exporter->exporter}, now_unix_ns));
  }
  return snapshot;
}

/// Warns before the floor is reached, where requests are refused: from a quarter above it.
bool nearly_full(std::optional<std::uint64_t> free_bytes, std::uint64_t floor_bytes) {
  return free_bytes && *free_bytes < floor_bytes + floor_bytes / 4;
}

void judge_flow(const SignalSnapshot& signal, const FlowSnapshot& flow,
                std::vector<DegradedReason>& reasons) {
  if (flow.state == UpstreamState::retrying) {
    reasons.push_back({"upstream_down", signal.signal, flow.exporter, flow.last_error});
  }
  if (flow.state == UpstreamState::holding) {
    reasons.push_back({"upstream_refuses", signal.signal, flow.exporter, flow.last_error});
  }
  if (const std::uint64_t dropped = flow.dropped_items(); dropped > 0) {
    reasons.push_back({"data_dropped", signal.signal, flow.exporter,
                       std::to_string(dropped) + " items since the start"});
  }
}

void judge_log(const SignalSnapshot& signal, std::vector<DegradedReason>& reasons) {
  const LogStats& log = signal.log;
  if (log.disk_nearly_full) {
    reasons.push_back(
        {"buffer_full", signal.signal, "",
         "requests are refused: the disk is at its floor or the folder at its limit"});
  }
  if (log.quarantine_entries > 0) {
    reasons.push_back({"data_quarantined", signal.signal, "",
                       std::to_string(log.quarantine_entries) + " in quarantine"});
  }
  if (log.write_errors > 0) {
    reasons.push_back(
        {"write_errors", signal.signal, "",
         std::to_string(log.write_errors) + " since the start, the last: " + log.last_error});
  }
  if (log.segments_unknown_version > 0) {
    reasons.push_back({"unknown_version", signal.signal, "",
                       std::to_string(log.segments_unknown_version) +
                           " segments of a newer format were left alone"});
  }
}

std::vector<DegradedReason> judge(const StatusSnapshot& snapshot, const Telemetry& telemetry) {
  std::vector<DegradedReason> reasons;
  if (snapshot.disk_nearly_full) {
    reasons.push_back({"disk_nearly_full", std::nullopt, "",
                       std::to_string(*snapshot.disk_free_bytes) +
                           " bytes are free, the floor is " +
                           std::to_string(telemetry.free_bytes_min)});
  }
  if (std::string error = telemetry.configuration.last_error.text(); !error.empty()) {
    reasons.push_back({"configuration_refused", std::nullopt, "", std::move(error)});
  }
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) judge_flow(signal, flow, reasons);
    judge_log(signal, reasons);
  }
  return reasons;
}

}  // namespace

std::uint64_t FlowSnapshot::dropped_items() const {
  std::uint64_t items = counters->dropped.load(std::memory_order_relaxed);
  for (const DropCounts& drop : reader.drops) items += drop.items;
  return items;
}

StatusSnapshot take_snapshot(const Telemetry& telemetry) {
  StatusSnapshot snapshot;
  snapshot.unix_ns = telemetry.clock->unix_ns();
  snapshot.uptime_ns = telemetry.clock->steady_ns() - telemetry.start_steady_ns;
  for (const Signal signal : kSignals) {
    if (telemetry.logs[index_of(signal)] == nullptr) continue;
    snapshot.signals.push_back(signal_snapshot(telemetry, signal, snapshot.unix_ns));
  }
  if (const auto free = telemetry.filesystem->free_bytes(telemetry.buffer_directory); free) {
    snapshot.disk_free_bytes = *free;
  }
  snapshot.disk_nearly_full = nearly_full(snapshot.disk_free_bytes, telemetry.free_bytes_min);
  snapshot.process = read_process_info();
  snapshot.reasons = judge(snapshot, telemetry);
  return snapshot;
}

}  // namespace holdfast
