// Collects the samples of one scrape and prints them as Prometheus text (format 0.0.4).
//
// Not thread-safe; made for one scrape. Families without a sample are left out. Label values may
// hold anything: what is not UTF-8 is replaced, since one bad byte makes a scraper refuse all.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

class MetricFamilies {
 public:
  struct Name {
    std::string_view name;
    std::string_view help;  // one line
  };

  /// Starts a family; sample() adds to it until the next one starts.
  void counter(Name name) { start(name, prometheus::MetricType::Counter); }
  void gauge(Name name) { start(name, prometheus::MetricType::Gauge); }

  void sample(const MetricLabels& labels, double value);
  void sample(const MetricLabels& labels, std::uint64_t value) {
    sample(labels, static_cast<double>(value));
  }

  /// Ends the last family.
  std::string text();

 private:
  void start(Name name, prometheus::MetricType type);
  void drop_empty();

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace holdfast
