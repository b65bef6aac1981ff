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

/// A `pull` reader: a port with /metrics.
struct MetricsPullConfig {
  std::string endpoint = "localhost:8888";
  PrometheusStyle style;

  bool operator==(const MetricsPullConfig&) const = default;
};

/// service::telemetry::resource, before the agent's own attributes join (own_resource.h).
struct ResourceConfig {
  Attributes attributes;             // added, or in place of the agent's own
  std::vector<std::string> removed;  // of the agent's own

  bool operator==(const ResourceConfig&) const = default;
};

struct TelemetryConfig {
  enum class Encoding : std::uint8_t { console, json };
  std::string log_level = "info";  // debug, info, warn, error
  Encoding log_encoding = Encoding::console;
  std::vector<MetricsPullConfig> metrics_pull;  // none: no port
  ResourceConfig resource;

  bool operator==(const TelemetryConfig&) const = default;
};

}  // namespace holdfast
