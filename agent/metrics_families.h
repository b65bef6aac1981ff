// The agent's own metrics at one moment, before they are written for Prometheus
// (metrics_prometheus.h) or as OTLP (own_otlp.h).
//
// Not thread-safe; made for one scrape or one push. Families without a sample are left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "agent/telemetry_config.h"

namespace holdfast {

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

struct MetricSample {
  std::vector<std::pair<std::string, std::string>> labels;
  std::variant<std::uint64_t, double> value;
};

struct MetricFamily {
  std::string name;
  std::string help;
  std::string unit;        // UCUM, as in OTLP; "": none, or the name says it
  std::string_view scope;  // instrumentation scope, a literal
  bool counter = false;    // monotonic since the start; else a gauge
  std::vector<MetricSample> samples;
};

class MetricFamilies {
 public:
  struct Name {
    std::string_view name;
    std::string_view help;  // one line
    std::string_view unit = "";
  };

  /// The scope of the families that follow. A literal.
  void scope(std::string_view name) { scope_ = name; }

  /// Starts a family; sample() adds to it until the next one starts.
  void counter(Name name) { start(name, true); }
  void gauge(Name name) { start(name, false); }

  void sample(const MetricLabels& labels, double value) { add(labels, value); }
  void sample(const MetricLabels& labels, std::uint64_t value) { add(labels, value); }

  /// Takes out what is not to be seen.
  void drop(const std::vector<DroppedMetrics>& views);

  /// Ends the last family.
  const std::vector<MetricFamily>& families();

 private:
  void start(Name name, bool counter);
  void add(const MetricLabels& labels, std::variant<std::uint64_t, double> value);
  void drop_empty();

  std::string_view scope_;
  std::vector<MetricFamily> families_;
};

}  // namespace holdfast
