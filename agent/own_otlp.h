// The agent's own telemetry as OTLP export requests (opentelemetry-proto 1.x). Pure; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/attributes.h"
#include "agent/metrics_families.h"
#include "agent/wire_buffer.h"

namespace holdfast {

/// A message inside another: from here to its end of life all that is written belongs to it.
class WireMessage {
 public:
  WireMessage(WireBuffer& buffer, std::uint32_t field);
  ~WireMessage();
  WireMessage(const WireMessage&) = delete;
  WireMessage& operator=(const WireMessage&) = delete;

 private:
  WireBuffer& buffer_;
  std::size_t begin_;
};

/// Empty texts are not written, as proto3 has it. What is not UTF-8 is replaced.
void put_text(WireBuffer& buffer, std::uint32_t field, std::string_view text);
void put_fixed64(WireBuffer& buffer, std::uint32_t field, std::uint64_t value);
/// A KeyValue.
void put_attribute(WireBuffer& buffer, std::uint32_t field, const Attribute& attribute);

struct MetricsTime {
  std::int64_t start_unix_ns = 0;  // since when counters count
  std::int64_t unix_ns = 0;
};
/// An ExportMetricsServiceRequest: counters as cumulative monotonic sums.
std::string encode_own_metrics(const std::vector<MetricFamily>& families,
                               const Attributes& resource, MetricsTime time);

/// An ExportTraceServiceRequest or ExportLogsServiceRequest of records that are encoded already
/// (Span, LogRecord), all of one scope.
std::string encode_own_records(std::span<const std::string> records, const Attributes& resource,
                               std::string_view scope);

}  // namespace holdfast
