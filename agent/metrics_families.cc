#include "agent/metrics_families.h"

namespace holdfast {

void MetricFamilies::drop_empty() {
  if (!families_.empty() && families_.back().samples.empty()) families_.pop_back();
}

void MetricFamilies::start(Name name, bool counter) {
  drop_empty();
  families_.push_back({.name = std::string(name.name),
                       .help = std::string(name.help),
                       .unit = std::string(name.unit),
                       .scope = scope_,
                       .counter = counter});
}

void MetricFamilies::add(const MetricLabels& labels, std::variant<std::uint64_t, double> value) {
  MetricSample& sample = families_.back().samples.emplace_back();
  sample.labels.assign(labels.begin(), labels.end());
  sample.value = value;
}

const std::vector<MetricFamily>& MetricFamilies::families() {
  drop_empty();
  return families_;
}

}  // namespace holdfast
