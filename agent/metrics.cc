// Our own metrics, holdfast_*. For each signal and exporter, in items and since the start:
// accepted + recovered = delivered + stored + dropped + quarantined.
#include <algorithm>
#include <mutex>

#include "agent/health.h"
#include "agent/metrics_collector.h"
#include "agent/metrics_families.h"
#include "agent/metrics_prometheus.h"
#include "agent/status_snapshot.h"

namespace holdfast {
namespace {

enum class Kind : std::uint8_t { counter, gauge };

template <typename Source>
struct Family {
  Kind kind;
  MetricFamilies::Name name;
  std::uint64_t (*value)(const Source& source);
};

void start(MetricFamilies& families, Kind kind, MetricFamilies::Name name) {
  if (kind == Kind::counter) {
    families.counter(name);
  } else {
    families.gauge(name);
  }
}

MetricLabels labels_of(const SignalSnapshot& signal) {
  return {{"signal", name_of(signal.signal)}};
}
MetricLabels labels_of(const SignalSnapshot& signal, const FlowSnapshot& flow) {
  return {{"signal", name_of(signal.signal)}, {"exporter", flow.exporter}};
}

double seconds(std::int64_t ns) {
  return static_cast<double>(ns) / static_cast<double>(kNsPerSecond);
}

constexpr auto kReceiverFamilies = std::to_array<Family<ReceiverSignalStats>>({
    {Kind::counter,
     {"holdfast_receiver_requests_total", "Requests that came, whatever became of them."},
     [](const ReceiverSignalStats& stats) -> std::uint64_t { return stats.requests; }},
    {Kind::counter,
     {"holdfast_receiver_wire_bytes_total", "Request bytes as received."},
     [](const ReceiverSignalStats& stats) -> std::uint64_t { return stats.wire_bytes; }},
    {Kind::counter,
     {"holdfast_receiver_raw_bytes_total", "Request bytes after decompression."},
     [](const ReceiverSignalStats& stats) -> std::uint64_t { return stats.raw_bytes; }},
    {Kind::counter,
     {"holdfast_receiver_invalid_utf8_strings_total",
      "Strings that were not UTF-8; they are taken and passed on."},
     [](const ReceiverSignalStats& stats) -> std::uint64_t { return stats.invalid_utf8; }},
});

void add_receivers(const Telemetry& telemetry, MetricFamilies& families) {
  for (const auto& row : kReceiverFamilies) {
    start(families, row.kind, row.name);
    for (const auto& receiver : telemetry.receivers) {
      for (const Signal signal : kSignals) {
        if (telemetry.logs[index_of(signal)] == nullptr) continue;
        families.sample({{"receiver", receiver->receiver},
                         {"transport", receiver->transport},
                         {"signal", name_of(signal)}},
                        row.value(receiver->signals[index_of(signal)]));
      }
    }
  }
}

constexpr auto kImportFamilies = std::to_array<Family<ImportDirectoryStats>>({
    {Kind::counter,
     {"holdfast_import_files_total", "Files of a directory that were stored and deleted."},
     [](const ImportDirectoryStats& stats) -> std::uint64_t { return stats.imported_files; }},
    {Kind::gauge,
     {"holdfast_import_pending_files", "Files that were there when last looked."},
     [](const ImportDirectoryStats& stats) -> std::uint64_t { return stats.pending_files; }},
    {Kind::gauge,
     {"holdfast_import_pending_bytes", "Bytes in them."},
     [](const ImportDirectoryStats& stats) -> std::uint64_t { return stats.pending_bytes; }},
    {Kind::counter,
     {"holdfast_import_quarantined_total", "Damaged records and torn ends of files."},
     [](const ImportDirectoryStats& stats) -> std::uint64_t { return stats.quarantined; }},
});

void add_imports(const Telemetry& telemetry, MetricFamilies& families) {
  for (const auto& row : kImportFamilies) {
    start(families, row.kind, row.name);
    for (const auto& import : telemetry.imports) {
      families.sample({{"directory", import->directory}, {"signal", name_of(import->signal)}},
                      row.value(*import));
    }
  }
}

constexpr auto kSignalFamilies = std::to_array<Family<SignalSnapshot>>({
    {Kind::counter,
     {"holdfast_accepted_items_total", "Items stored in the buffer since the start."},
     [](const SignalSnapshot& s) { return s.log.appended_items; }},
    {Kind::counter,
     {"holdfast_buffer_appended_records_total", "Records written; small requests share one."},
     [](const SignalSnapshot& s) { return s.log.appended_records; }},
    {Kind::counter,
     {"holdfast_buffer_appended_raw_bytes_total", "Bytes stored, before compression."},
     [](const SignalSnapshot& s) { return s.log.appended_raw_bytes; }},
    {Kind::counter,
     {"holdfast_buffer_appended_stored_bytes_total", "Bytes stored, after compression."},
     [](const SignalSnapshot& s) { return s.log.appended_stored_bytes; }},
    {Kind::gauge,
     {"holdfast_buffer_allocated_bytes", "Bytes that the buffer takes of the disk."},
     [](const SignalSnapshot& s) { return s.log.allocated_bytes; }},
    {Kind::gauge,
     {"holdfast_buffer_capacity_bytes", "Bytes that the buffer may take: max_folder_size."},
     [](const SignalSnapshot& s) { return s.capacity_bytes; }},
    {Kind::gauge,
     {"holdfast_buffer_segments", "Segment files."},
     [](const SignalSnapshot& s) { return s.log.segments; }},
    {Kind::gauge,
     {"holdfast_buffer_full", "1 while requests are refused for lack of room."},
     [](const SignalSnapshot& s) { return std::uint64_t{s.log.disk_nearly_full}; }},
    {Kind::gauge,
     {"holdfast_buffer_quarantine_bytes", "Bytes that the quarantine takes of the disk."},
     [](const SignalSnapshot& s) { return s.log.quarantine_bytes; }},
    {Kind::gauge,
     {"holdfast_buffer_quarantine_entries", "Files in the quarantine."},
     [](const SignalSnapshot& s) { return s.log.quarantine_entries; }},
    {Kind::counter,
     {"holdfast_buffer_quarantine_evicted_total",
      "Quarantine files deleted to make room for newer ones."},
     [](const SignalSnapshot& s) { return s.log.quarantine_evicted_entries; }},
    {Kind::counter,
     {"holdfast_buffer_commits_total", "Groups written."},
     [](const SignalSnapshot& s) { return s.log.commits; }},
    {Kind::counter,
     {"holdfast_buffer_syncs_total", "Calls of fdatasync for records."},
     [](const SignalSnapshot& s) { return s.log.syncs; }},
    {Kind::counter,
     {"holdfast_buffer_write_errors_total", "Reads, writes and syncs that failed."},
     [](const SignalSnapshot& s) { return s.log.write_errors; }},
    {Kind::counter,
     {"holdfast_buffer_corrupt_bytes_total", "Damaged bytes that were stepped over."},
     [](const SignalSnapshot& s) { return s.log.corrupt_bytes; }},
    {Kind::counter,
     {"holdfast_buffer_torn_tail_bytes_total",
      "Bytes behind the last whole record of a file that a crash left open."},
     [](const SignalSnapshot& s) { return s.log.torn_tail_bytes; }},
    {Kind::gauge,
     {"holdfast_buffer_unknown_version_segments",
      "Segments of a newer format: not read, not deleted."},
     [](const SignalSnapshot& s) { return s.log.segments_unknown_version; }},
});

void add_signals(const StatusSnapshot& snapshot, MetricFamilies& families) {
  for (const auto& row : kSignalFamilies) {
    start(families, row.kind, row.name);
    for (const SignalSnapshot& signal : snapshot.signals) {
      families.sample(labels_of(signal), row.value(signal));
    }
  }
}

constexpr auto kFlowFamilies = std::to_array<Family<FlowSnapshot>>({
    {Kind::gauge,
     {"holdfast_buffer_recovered_items", "Items that were pending when the agent started."},
     [](const FlowSnapshot& f) { return f.reader.recovered_items; }},
    {Kind::gauge,
     {"holdfast_buffer_stored_items", "Items stored and not yet delivered."},
     [](const FlowSnapshot& f) { return f.reader.pending_items; }},
    {Kind::gauge,
     {"holdfast_buffer_stored_records", "Records stored and not yet delivered."},
     [](const FlowSnapshot& f) { return f.reader.pending_records; }},
    {Kind::counter,
     {"holdfast_delivered_items_total", "Items that the upstream has taken."},
     [](const FlowSnapshot& f) -> std::uint64_t { return f.counters->sent; }},
    {Kind::counter,
     {"holdfast_quarantined_items_total", "Items that the upstream refused for good."},
     [](const FlowSnapshot& f) -> std::uint64_t { return f.counters->quarantined; }},
    {Kind::counter,
     {"holdfast_exporter_partial_rejected_items_total",
      "Items among the delivered that a partial success named as rejected."},
     [](const FlowSnapshot& f) -> std::uint64_t { return f.counters->partial_rejected; }},
    {Kind::counter,
     {"holdfast_exporter_attempts_total", "Export requests sent."},
     [](const FlowSnapshot& f) -> std::uint64_t { return f.counters->attempts; }},
    {Kind::counter,
     {"holdfast_exporter_retries_total", "Export requests that repeated a failed one."},
     [](const FlowSnapshot& f) -> std::uint64_t { return f.counters->retries; }},
    {Kind::counter,
     {"holdfast_exporter_body_bytes_total", "Bytes of export requests, as compressed."},
     [](const FlowSnapshot& f) -> std::uint64_t { return f.counters->body_bytes; }},
});

void add_flows(const StatusSnapshot& snapshot, MetricFamilies& families) {
  for (const auto& row : kFlowFamilies) {
    start(families, row.kind, row.name);
    for (const SignalSnapshot& signal : snapshot.signals) {
      for (const FlowSnapshot& flow : signal.flows) {
        families.sample(labels_of(signal, flow), row.value(flow));
      }
    }
  }
}

void add_drops(const StatusSnapshot& snapshot, MetricFamilies& families) {
  const auto sample = [&](const SignalSnapshot& signal, const FlowSnapshot& flow,
                          std::string_view reason, std::uint64_t value) {
    MetricLabels labels = labels_of(signal, flow);
    labels.emplace_back("reason", reason);
    families.sample(labels, value);
  };
  families.counter({"holdfast_dropped_items_total", "Items lost to this exporter, by reason."});
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) {
      for (std::size_t i = 0; i < kDropReasonCount; ++i) {
        sample(signal, flow, name_of(static_cast<DropReason>(i)), flow.reader.drops[i].items);
      }
      sample(signal, flow, kQuarantineFailed, flow.counters->dropped);
    }
  }
  families.counter(
      {"holdfast_dropped_bytes_total", "Stored bytes lost to this exporter, by reason."});
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) {
      for (std::size_t i = 0; i < kDropReasonCount; ++i) {
        sample(signal, flow, name_of(static_cast<DropReason>(i)), flow.reader.drops[i].bytes);
      }
    }
  }
}

void add_upstreams(const StatusSnapshot& snapshot, MetricFamilies& families) {
  families.gauge({"holdfast_exporter_state", "1 for the state that the upstream is in."});
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) {
      for (const UpstreamState state : {UpstreamState::idle, UpstreamState::ok,
                                        UpstreamState::retrying, UpstreamState::holding}) {
        MetricLabels labels = labels_of(signal, flow);
        labels.emplace_back("state", name_of(state));
        families.sample(labels, std::uint64_t{state == flow.state});
      }
    }
  }
  const auto moments = [&](MetricFamilies::Name name,
                           std::atomic<std::int64_t> ExporterSignalStats::*moment) {
    families.gauge(name);
    for (const SignalSnapshot& signal : snapshot.signals) {
      for (const FlowSnapshot& flow : signal.flows) {
        families.sample(labels_of(signal, flow), seconds((flow.counters->*moment).load()));
      }
    }
  };
  moments({"holdfast_exporter_last_success_timestamp_seconds",
           "Unix time of the last delivery, 0 before the first."},
          &ExporterSignalStats::last_success_unix_ns);
  moments({"holdfast_exporter_next_retry_timestamp_seconds",
           "Unix time of the next attempt, 0 when none is waiting."},
          &ExporterSignalStats::retry_at_unix_ns);
}

void add_oldest(const StatusSnapshot& snapshot, MetricFamilies& families) {
  families.gauge(
      {"holdfast_buffer_oldest_age_seconds",
       "Age of the oldest file that holds something undelivered, 0 when there is none."});
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) {
      families.sample(labels_of(signal, flow), flow.oldest_age_s.value_or(0.0));
    }
  }
}

void add_agent(const Telemetry& telemetry, const StatusSnapshot& snapshot,
               MetricFamilies& families) {
  if (snapshot.disk_free_bytes) {
    families.gauge({"holdfast_disk_free_bytes", "Free bytes of the buffer's file system."});
    families.sample({}, *snapshot.disk_free_bytes);
  }
  families.gauge(
      {"holdfast_disk_floor_bytes", "Free bytes below which requests are refused: min_free."});
  families.sample({}, telemetry.free_bytes_min);
  if (telemetry.budget != nullptr) {
    families.gauge({"holdfast_in_flight_bytes", "Request bytes in memory, not yet answered."});
    families.sample({}, std::uint64_t{telemetry.budget->used()});
    families.gauge({"holdfast_in_flight_bytes_max", "Request bytes above which more are refused."});
    families.sample({}, std::uint64_t{telemetry.budget->limit()});
  }
  families.counter({"holdfast_own_telemetry_dropped_total",
                    "Spans and log records of the agent's own that were not delivered."});
  for (const Signal signal : {Signal::traces, Signal::logs}) {
    families.sample({{"signal", name_of(signal)}},
                    std::uint64_t{telemetry.own_dropped[index_of(signal)]});
  }
  families.gauge({"holdfast_ready", "1 while the agent takes requests."});
  families.sample({}, std::uint64_t{telemetry.ready.load(std::memory_order_relaxed)});
  families.gauge({"holdfast_degraded", "1 for each reason why the agent is not well."});
  for (const std::string_view code : kDegradedCodes) {
    const bool given = std::any_of(snapshot.reasons.begin(), snapshot.reasons.end(),
                                   [code](const auto& reason) { return reason.code == code; });
    families.sample({{"reason", code}}, std::uint64_t{given});
  }
  families.gauge({"holdfast_build_info", "1, with the version."});
  families.sample({{"version", HOLDFAST_VERSION}}, std::uint64_t{1});
}

void add_configuration(const ConfigurationStats& configuration, MetricFamilies& families) {
  families.counter({"holdfast_config_reloads_total", "Reloads of the configuration, by result."});
  families.sample({{"result", "taken"}}, std::uint64_t{configuration.taken});
  families.sample({{"result", "refused"}}, std::uint64_t{configuration.refused});
  families.gauge({"holdfast_config_last_reload_successful",
                  "0 after a reload that was refused: the configuration before it is in force."});
  families.sample({}, std::uint64_t{configuration.last_error.text().empty()});
  families.gauge({"holdfast_config_last_reload_success_timestamp_seconds",
                  "Unix time at which the configuration in force was read."});
  families.sample({}, seconds(configuration.loaded_unix_ns));
}

}  // namespace

MetricFamilies collect_metrics(const Telemetry& telemetry) {
  const std::shared_lock lock(telemetry.mutex);
  const StatusSnapshot snapshot = take_snapshot(telemetry);
  MetricFamilies families;
  add_collector_metrics(telemetry, snapshot, families);
  families.scope("holdfast");
  add_receivers(telemetry, families);
  add_imports(telemetry, families);
  add_signals(snapshot, families);
  add_flows(snapshot, families);
  add_drops(snapshot, families);
  add_oldest(snapshot, families);
  add_upstreams(snapshot, families);
  add_agent(telemetry, snapshot, families);
  add_configuration(telemetry.configuration, families);
  return families;
}

std::string render_metrics(const Telemetry& telemetry, const PrometheusStyle& style) {
  MetricFamilies metrics = collect_metrics(telemetry);
  const std::shared_lock lock(telemetry.mutex);
  return prometheus_text(metrics.families(), style, telemetry.resource);
}

}  // namespace holdfast
