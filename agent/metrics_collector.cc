#include "agent/metrics_collector.h"

namespace holdfast {
namespace {

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
  for (const ReceiverFamily& row : kReceiverFamilies) {
    for (const Signal signal : kSignals) {
      if (telemetry.logs[index_of(signal)] == nullptr) continue;
      const std::string name = std::string("otelcol_receiver_")
                                   .append(row.verb)
                                   .append("_")
                                   .append(traits(signal).item_noun);
      families.counter({name, row.help});
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
  std::uint64_t (*value)(const FlowSnapshot& flow);
};
constexpr std::array<ExporterFamily, 3> kExporterFamilies{{
    {"sent", "Items delivered.",
     [](const FlowSnapshot& flow) -> std::uint64_t { return flow.counters->sent; }},
    {"send_failed", "Items of attempts that failed; they are kept and tried again.",
     [](const FlowSnapshot& flow) -> std::uint64_t { return flow.counters->send_failed; }},
    {"enqueue_failed", "Items dropped for any reason instead of being delivered.",
     [](const FlowSnapshot& flow) { return flow.dropped_items(); }},
}};

void add_exporters(const StatusSnapshot& snapshot, MetricFamilies& families) {
  for (const ExporterFamily& row : kExporterFamilies) {
    for (const SignalSnapshot& signal : snapshot.signals) {
      const std::string name = std::string("otelcol_exporter_")
                                   .append(row.verb)
                                   .append("_")
                                   .append(traits(signal.signal).item_noun);
      families.counter({name, row.help});
      for (const FlowSnapshot& flow : signal.flows) {
        families.sample({{"exporter", flow.exporter}}, row.value(flow));
      }
    }
  }
}

void add_queues(const StatusSnapshot& snapshot, MetricFamilies& families) {
  families.gauge({"otelcol_exporter_queue_size",
                  "Bytes that the signal's buffer takes of the disk; 0 when this exporter has "
                  "nothing pending."});
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) {
      const bool pending = flow.reader.pending_records > 0;
      families.sample({{"exporter", flow.exporter}, {"data_type", name_of(signal.signal)}},
                      pending ? signal.log.allocated_bytes : 0);
    }
  }
  families.gauge(
      {"otelcol_exporter_queue_capacity", "Bytes that the signal's buffer may take of the disk."});
  for (const SignalSnapshot& signal : snapshot.signals) {
    for (const FlowSnapshot& flow : signal.flows) {
      families.sample({{"exporter", flow.exporter}, {"data_type", name_of(signal.signal)}},
                      signal.capacity_bytes);
    }
  }
}

void add_process(const StatusSnapshot& snapshot, MetricFamilies& families) {
  families.counter({"otelcol_process_uptime", "Seconds since the start of the process."});
  families.sample({}, static_cast<double>(snapshot.uptime_ns) / static_cast<double>(kNsPerSecond));
  families.counter({"otelcol_process_cpu_seconds", "CPU time of all threads, user and system."});
  families.sample({}, snapshot.process.cpu_seconds);
  families.gauge({"otelcol_process_memory_rss", "Resident memory in bytes."});
  families.sample({}, snapshot.process.rss_bytes);
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
