#include "agent/metrics_collector.h"

namespace holdfast {
namespace {

/// What is counted, as the Collector's metadata names it.
std::string_view unit_of(Signal signal) {
  switch (signal) {
    case Signal::traces:
      return "{span}";
    case Signal::metrics:
      return "{datapoint}";
    case Signal::logs:
      return "{record}";
    case Signal::profiles:
      return "{sample}";
  }
  return "";
}

struct ReceiverFamily {
  std::string_view verb;
  std::string_view help;
  Counter ReceiverSignalStats::*counter;
};
constexpr std::array<ReceiverFamily, 3> kReceiverFamilies{{
    {"accepted", "Items stored as durably as configured.", &ReceiverSignalStats::accepted},
    {"refused",
     "Not taken: items where the buffer was full or not writable, requests where too many "
     "bytes were in flight.",
     &ReceiverSignalStats::refused},
    {"failed", "Requests not taken because they were malformed.", &ReceiverSignalStats::failed},
}};

void add_receivers(const Telemetry& telemetry, MetricFamilies& families) {
  families.scope("go.opentelemetry.io/collector/receiver/receiverhelper");
  for (const ReceiverFamily& row : kReceiverFamilies) {
    for (const Signal signal : kSignals) {
      if (telemetry.logs[index_of(signal)] == nullptr) continue;
      const std::string name = std::string("otelcol_receiver_")
                                   .append(row.verb)
                                   .append("_")
                                   .append(traits(signal).item_noun);
      families.counter({name, row.help, unit_of(signal)});
      for (const auto& receiver : telemetry.receivers) {
        const Counter& counter = receiver->signals[index_of(signal)].*row.counter;
        families.sample({{"receiver", receiver->receiver}, {"transport", receiver->transport}},
                        counter.load(std::memory_order_relaxed));
      }
    }
  }
}

struct ExporterFamily {
  std::string_view verb;
  std::string_view help;
  std::uint64_t (*value)(const SignalSnapshot& signal, const FlowSnapshot& flow);
};
constexpr std::array<ExporterFamily, 3> kExporterFamilies{{
    {"sent", "Items delivered.",
     [](const SignalSnapshot&, const FlowSnapshot& flow) -> std::uint64_t {
       return flow.counters->sent;
     }},
    {"send_failed", "Items of attempts that failed; they are kept and tried again.",
     [](const SignalSnapshot&, const FlowSnapshot& flow) -> std::uint64_t {
       return flow.counters->send_failed;
     }},
    {"enqueue_failed", "Items dropped for any reason instead of being delivered.",
     [](const SignalSnapshot&, const FlowSnapshot& flow) { return flow.dropped_items(); }},
}};

void add_exporters(const StatusSnapshot& snapshot, MetricFamilies& families) {
  families.scope("go.opentelemetry.io/collector/exporter/exporterhelper");
  for (const ExporterFamily& row : kExporterFamilies) {
    for (const SignalSnapshot& signal : snapshot.signals) {
      const std::string name = std::string("otelcol_exporter_")
                                   .append(row.verb)
                                   .append("_")
                                   .append(traits(signal.signal).item_noun);
      families.counter({name, row.help, unit_of(signal.signal)});
      for (const FlowSnapshot& flow : signal.flows) {
        families.sample({{"exporter", flow.exporter}}, row.value(signal, flow));
      }
    }
  }
}

constexpr std::array<ExporterFamily, 3> kQueueFamilies{{
    {"queue_size",
     "Bytes that the signal's buffer takes of the disk; 0 when this exporter has nothing pending.",
     [](const SignalSnapshot& signal, const FlowSnapshot& flow) -> std::uint64_t {
       return flow.reader.pending_records > 0 ? signal.log.allocated_bytes : 0;
     }},
    {"queue_capacity", "Bytes that the signal's buffer may take of the disk.",
     [](const SignalSnapshot& signal, const FlowSnapshot&) { return signal.capacity_bytes; }},
    {"in_flight_requests", "Export requests under way, those that wait to be sent again included.",
     [](const SignalSnapshot&, const FlowSnapshot& flow) -> std::uint64_t {
       return flow.counters->in_flight;
     }},
}};

void add_queues(const StatusSnapshot& snapshot, MetricFamilies& families) {
  for (const ExporterFamily& row : kQueueFamilies) {
    const std::string name = std::string("otelcol_exporter_").append(row.verb);
    families.gauge({name, row.help});
    for (const SignalSnapshot& signal : snapshot.signals) {
      for (const FlowSnapshot& flow : signal.flows) {
        if (flow.forwarded && row.verb != "in_flight_requests") continue;
        families.sample({{"exporter", flow.exporter}, {"data_type", name_of(signal.signal)}},
                        row.value(signal, flow));
      }
    }
  }
}

void add_process(const StatusSnapshot& snapshot, MetricFamilies& families) {
  families.scope("go.opentelemetry.io/collector/service");
  families.counter({"otelcol_process_uptime", "Seconds since the start of the process.", "s"});
  families.sample({}, static_cast<double>(snapshot.uptime_ns) / static_cast<double>(kNsPerSecond));
  families.counter(
      {"otelcol_process_cpu_seconds", "CPU time of all threads, user and system.", "s"});
  families.sample({}, snapshot.process.cpu_seconds);
  families.gauge({"otelcol_process_memory_rss", "Resident memory in bytes.", "By"});
  families.sample({}, snapshot.process.rss_bytes);
  families.gauge({"otelcol_process_runtime_heap_alloc_bytes",
                  "Bytes that the program has allocated and not given back.", "By"});
  families.sample({}, snapshot.process.heap_bytes);
  families.gauge({"otelcol_process_runtime_total_sys_memory_bytes",
                  "Bytes that the allocator has taken of the system.", "By"});
  families.sample({}, snapshot.process.heap_system_bytes);
}

}  // namespace

void add_collector_metrics(const Telemetry& telemetry, const StatusSnapshot& snapshot,
                           MetricFamilies& families) {
  add_receivers(telemetry, families);
  add_exporters(snapshot, families);
  add_queues(snapshot, families);
  add_process(snapshot, families);
}

}  // namespace holdfast
