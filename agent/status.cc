// The JSON of /status. Keys are a promise: they are added, not renamed.
#include <algorithm>
#include <mutex>

#include "agent/health.h"
#include "agent/json_writer.h"
#include "agent/status_snapshot.h"
#include "agent/time_text.h"

namespace holdfast {
namespace {

struct ReceiverKey {
  std::string_view key;
  Counter ReceiverSignalStats::*counter;
};
constexpr std::array<ReceiverKey, 7> kReceiverKeys{{
    {"accepted_items", &ReceiverSignalStats::accepted},
    {"refused", &ReceiverSignalStats::refused},
    {"failed_requests", &ReceiverSignalStats::failed},
    {"requests", &ReceiverSignalStats::requests},
    {"wire_bytes", &ReceiverSignalStats::wire_bytes},
    {"raw_bytes", &ReceiverSignalStats::raw_bytes},
    {"invalid_utf8_strings", &ReceiverSignalStats::invalid_utf8},
}};

struct ExporterKey {
  std::string_view key;
  Counter ExporterSignalStats::*counter;
};
constexpr std::array<ExporterKey, 7> kExporterKeys{{
    {"delivered_items", &ExporterSignalStats::sent},
    {"send_failed_items", &ExporterSignalStats::send_failed},
    {"partial_rejected_items", &ExporterSignalStats::partial_rejected},
    {"quarantined_items", &ExporterSignalStats::quarantined},
    {"attempts", &ExporterSignalStats::attempts},
    {"retries", &ExporterSignalStats::retries},
    {"body_bytes", &ExporterSignalStats::body_bytes},
}};

std::uint64_t value_of(const Counter& counter) { return counter.load(std::memory_order_relaxed); }

void write_moment(JsonWriter& json, std::string_view key, std::int64_t unix_ns) {
  json.key(key);
  if (unix_ns == 0) {
    json.null();
  } else {
    json.string(rfc3339_nano(unix_ns));
  }
}

void write_reasons(JsonWriter& json, const std::vector<DegradedReason>& reasons) {
  json.key("reasons").begin_array();
  for (const DegradedReason& reason : reasons) {
    json.begin_object();
    json.key("code").string(reason.code);
    if (reason.signal) json.key("signal").string(name_of(*reason.signal));
    if (!reason.exporter.empty()) json.key("exporter").string(reason.exporter);
    json.key("detail").string(reason.detail);
    json.end_object();
  }
  json.end_array();
}

void write_disk(JsonWriter& json, const StatusSnapshot& snapshot, const Telemetry& telemetry) {
  json.key("disk").begin_object();
  json.key("directory").string(telemetry.buffer_directory);
  json.key("free_bytes");
  if (snapshot.disk_free_bytes) {
    json.number(*snapshot.disk_free_bytes);
  } else {
    json.null();
  }
  json.key("floor_bytes").number(telemetry.free_bytes_min);
  json.key("nearly_full").boolean(snapshot.disk_nearly_full);
  json.end_object();
}

void write_configuration(JsonWriter& json, const ConfigurationStats& configuration) {
  const std::int64_t last_unix_ns = configuration.last_reload_unix_ns;
  const std::string error = configuration.last_error.text();
  json.key("configuration").begin_object();
  write_moment(json, "loaded_at", configuration.loaded_unix_ns);
  write_moment(json, "last_reload", last_unix_ns);
  json.key("last_result").string(last_unix_ns == 0 ? "none" : error.empty() ? "taken" : "refused");
  json.key("last_error").string(error);
  json.key("reloads_taken").number(value_of(configuration.taken));
  json.key("reloads_refused").number(value_of(configuration.refused));
  json.end_object();
}

void write_process(JsonWriter& json, const StatusSnapshot& snapshot, const Telemetry& telemetry) {
  json.key("process").begin_object();
  json.key("memory_rss_bytes").number(snapshot.process.rss_bytes);
  json.key("cpu_seconds").seconds(snapshot.process.cpu_seconds);
  if (telemetry.budget != nullptr) {
    json.key("in_flight_bytes").number(telemetry.budget->used());
    json.key("in_flight_bytes_max").number(telemetry.budget->limit());
  }
  json.end_object();
}

void write_receivers(JsonWriter& json, const Telemetry& telemetry) {
  json.key("receivers").begin_array();
  for (const auto& receiver : telemetry.receivers) {
    json.begin_object();
    json.key("receiver").string(receiver->receiver);
    json.key("transport").string(receiver->transport);
    json.key("signals").begin_object();
    for (const Signal signal : kSignals) {
      if (telemetry.logs[index_of(signal)] == nullptr) continue;
      json.key(name_of(signal)).begin_object();
      for (const ReceiverKey& row : kReceiverKeys) {
        json.key(row.key).number(value_of(receiver->signals[index_of(signal)].*row.counter));
      }
      json.end_object();
    }
    json.end_object();
    json.end_object();
  }
  json.end_array();
}

void write_imports(JsonWriter& json, const Telemetry& telemetry) {
  json.key("imports").begin_array();
  for (const auto& import : telemetry.imports) {
    json.begin_object();
    json.key("directory").string(import->directory);
    json.key("signal").string(name_of(import->signal));
    json.key("pending_files").number(value_of(import->pending_files));
    json.key("pending_bytes").number(value_of(import->pending_bytes));
    json.key("imported_files").number(value_of(import->imported_files));
    json.key("quarantined").number(value_of(import->quarantined));
    json.key("last_error").string(import->last_error.text());
    json.end_object();
  }
  json.end_array();
}

void write_drop(JsonWriter& json, std::string_view reason, const DropCounts& counts) {
  json.key(reason).begin_object();
  json.key("items").number(counts.items);
  json.key("bytes").number(counts.bytes);
  json.end_object();
}

void write_drops(JsonWriter& json, const FlowSnapshot& flow) {
  json.key("dropped_items").number(flow.dropped_items());
  json.key("dropped").begin_object();
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    write_drop(json, name_of(static_cast<DropReason>(i)), flow.reader.drops[i]);
  }
  write_drop(json, kQuarantineFailed, {.items = value_of(flow.counters->dropped)});
  json.end_object();
}

void write_endpoints(JsonWriter& json, const ExporterSignalStats& counters) {
  if (counters.endpoints.empty()) return;
  json.key("endpoints").begin_array();
  for (const auto& endpoint : counters.endpoints) {
    json.begin_object();
    json.key("endpoint").string(endpoint->endpoint);
    json.key("state").string(name_of(static_cast<UpstreamState>(endpoint->state.load())));
    json.key("last_error").string(endpoint->last_error.text());
    json.key("delivered_requests").number(value_of(endpoint->delivered));
    json.key("failed_requests").number(value_of(endpoint->failed));
    json.end_object();
  }
  json.end_array();
}

void write_flow(JsonWriter& json, const FlowSnapshot& flow, std::int64_t now_unix_ns) {
  const ExporterSignalStats& counters = *flow.counters;
  json.key(flow.exporter).begin_object();
  json.key("state").string(name_of(flow.state));
  json.key("sending_queue").boolean(!flow.forwarded);
  json.key("last_error").string(flow.last_error);
  write_moment(json, "last_success", counters.last_success_unix_ns.load(std::memory_order_relaxed));
  const std::int64_t retry_at = counters.retry_at_unix_ns.load(std::memory_order_relaxed);
  write_moment(json, "next_retry", retry_at);
  json.key("next_retry_in_seconds");
  if (retry_at == 0) {
    json.null();
  } else {
    json.seconds(static_cast<double>(std::max<std::int64_t>(retry_at - now_unix_ns, 0)) /
                 static_cast<double>(kNsPerSecond));
  }
  json.key("pending_items").number(flow.reader.pending_items);
  json.key("pending_records").number(flow.reader.pending_records);
  json.key("oldest_age_seconds");
  if (flow.oldest_age_s) {
    json.seconds(*flow.oldest_age_s);
  } else {
    json.null();
  }
  json.key("recovered_items").number(flow.reader.recovered_items);
  for (const ExporterKey& row : kExporterKeys) {
    json.key(row.key).number(value_of(counters.*row.counter));
  }
  write_drops(json, flow);
  write_endpoints(json, counters);
  json.end_object();
}

void write_log(JsonWriter& json, const SignalSnapshot& signal) {
  const LogStats& log = signal.log;
  json.key("allocated_bytes").number(log.allocated_bytes);
  json.key("capacity_bytes").number(signal.capacity_bytes);
  json.key("segments").number(log.segments);
  json.key("full").boolean(log.disk_nearly_full);
  json.key("quarantine").begin_object();
  json.key("entries").number(log.quarantine_entries);
  json.key("bytes").number(log.quarantine_bytes);
  json.key("evicted_entries").number(log.quarantine_evicted_entries);
  json.end_object();
  json.key("accepted_items").number(log.appended_items);
  json.key("records").number(log.appended_records);
  json.key("raw_bytes").number(log.appended_raw_bytes);
  json.key("stored_bytes").number(log.appended_stored_bytes);
  json.key("commits").number(log.commits);
  json.key("syncs").number(log.syncs);
  json.key("write_errors").number(log.write_errors);
  json.key("corrupt_bytes").number(log.corrupt_bytes);
  json.key("torn_tail_bytes").number(log.torn_tail_bytes);
  json.key("unknown_version_segments").number(log.segments_unknown_version);
  json.key("last_error").string(log.last_error);
}

}  // namespace

std::string render_status(const Telemetry& telemetry) {
  const std::shared_lock lock(telemetry.mutex);
  const StatusSnapshot snapshot = take_snapshot(telemetry);
  JsonWriter json;
  json.begin_object();
  json.key("version").string(HOLDFAST_VERSION);
  json.key("started_at").string(rfc3339_nano(telemetry.start_unix_ns));
  json.key("uptime_seconds")
      .seconds(static_cast<double>(snapshot.uptime_ns) / static_cast<double>(kNsPerSecond));
  json.key("ready").boolean(telemetry.ready.load(std::memory_order_relaxed));
  json.key("health").string(snapshot.reasons.empty() ? "ok" : "degraded");
  write_reasons(json, snapshot.reasons);
  write_configuration(json, telemetry.configuration);
  write_disk(json, snapshot, telemetry);
  write_process(json, snapshot, telemetry);
  write_receivers(json, telemetry);
  write_imports(json, telemetry);
  json.key("signals").begin_object();
  for (const SignalSnapshot& signal : snapshot.signals) {
    json.key(name_of(signal.signal)).begin_object();
    write_log(json, signal);
    json.key("exporters").begin_object();
    for (const FlowSnapshot& flow : signal.flows) write_flow(json, flow, snapshot.unix_ns);
    json.end_object();
    json.end_object();
  }
  json.end_object();
  json.end_object();
  return json.text() + "\n";
}

}  // namespace holdfast
