// service::telemetry: what the agent tells of itself, and whom. Part of the configuration
// (config.h).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/attributes.h"
#include "exporters/otlp_grpc.h"
#include "exporters/otlp_http.h"

namespace holdfast {

/// Names that are taken: those of `included` (all, if it is empty) without those of `excluded`.
struct NameFilter {
  std::vector<std::string> included;
  std::vector<std::string> excluded;

  bool takes(std::string_view name) const {
    const auto holds = [name](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    return !holds(excluded) && (included.empty() || holds(included));
  }

  bool operator==(const NameFilter&) const = default;
};

/// How metrics are written for Prometheus. The defaults are the Collector's.
struct PrometheusStyle {
  bool suffixes = false;  // unit and, on counters, _total behind the name
  bool scope_info = false;
  bool target_info = true;
  std::optional<NameFilter> resource_labels;  // with_resource_constant_labels; none: no such labels

  bool operator==(const PrometheusStyle&) const = default;
};

/// A view that drops: metrics by name and scope, both with * and ?; "" is any.
struct DroppedMetrics {
  std::string name;
  std::string scope;

  bool operator==(const DroppedMetrics&) const = default;
};

/// A `pull` reader: a port with /metrics.
struct MetricsPullConfig {
  std::string endpoint = "localhost:8888";
  PrometheusStyle style;
  std::vector<DroppedMetrics> dropped;

  bool operator==(const MetricsPullConfig&) const = default;
};

/// An upstream for the agent's own telemetry: `exporter::otlp` of the declarative configuration.
struct OwnExporterConfig {
  bool over_grpc = false;
  OtlpHttpOptions http;
  OtlpGrpcOptions grpc;

  bool operator==(const OwnExporterConfig&) const = default;
};

/// A `periodic` reader.
struct MetricsPushConfig {
  std::chrono::milliseconds interval{60'000};
  OwnExporterConfig exporter;
  std::vector<DroppedMetrics> dropped;

  bool operator==(const MetricsPushConfig&) const = default;
};

/// A `batch` or `simple` processor of spans or log records.
struct OwnRecordsConfig {
  std::size_t queue_max = 2048;            // more are dropped
  std::size_t batch_max = 512;             // of one request
  std::chrono::milliseconds delay{5'000};  // how long a smaller batch waits for more
  OwnExporterConfig exporter;

  bool operator==(const OwnRecordsConfig&) const = default;
};

/// The share of traces that is taken, 0 to 1.
struct SamplerConfig {
  double root = 1;            // where no client sent a parent
  double remote_sampled = 1;  // where it is sampled there
  double remote_not_sampled = 0;

  bool operator==(const SamplerConfig&) const = default;
};

struct OwnTracesConfig {
  std::vector<OwnRecordsConfig> processors;  // none: there are no spans
  SamplerConfig sampler;
  bool trace_context = false;  // `traceparent` of a request is taken as the parent

  bool operator==(const OwnTracesConfig&) const = default;
};

/// service::telemetry::resource, before the agent's own attributes join (own_resource.h).
struct ResourceConfig {
  Attributes attributes;             // added, or in place of the agent's own
  std::vector<std::string> removed;  // of the agent's own

  bool operator==(const ResourceConfig&) const = default;
};

/// Which of many equal log lines are written: the first `initial` in each `tick`, and every
/// `thereafter`-th of the others, if that is not 0.
struct LogSampling {
  std::chrono::milliseconds tick{10'000};
  std::uint64_t initial = 10;
  std::uint64_t thereafter = 100;

  bool operator==(const LogSampling&) const = default;
};

struct TelemetryConfig {
  enum class Encoding : std::uint8_t { console, json };
  std::string log_level = "info";  // debug, info, warn, error
  Encoding log_encoding = Encoding::console;
  std::vector<std::string> log_outputs{"stderr"};  // "stdout", "stderr", or a file
  Attributes log_fields;                           // initial_fields
  bool log_resource = true;                        // as a member of JSON lines
  bool log_sampled = true;                         // false: every line is written
  std::optional<LogSampling> log_sampling;  // none: warnings and errors, as LogThinning has it
  std::vector<OwnRecordsConfig> log_processors;
  std::vector<MetricsPullConfig> metrics_pull;
  std::vector<MetricsPushConfig> metrics_push;
  OwnTracesConfig traces;
  ResourceConfig resource;

  bool operator==(const TelemetryConfig&) const = default;
};

}  // namespace holdfast
