#include "agent/metrics_families.h"

#include <fnmatch.h>

#include <algorithm>

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

void MetricFamilies::drop(const std::vector<DroppedMetrics>& views) {
  const auto matches = [](const std::string& pattern, std::string_view text) {
    return pattern.empty() || ::fnmatch(pattern.c_str(), std::string(text).c_str(), 0) == 0;
  };
  std::erase_if(families_, [&](const MetricFamily& family) {
    return std::any_of(views.begin(), views.end(), [&](const DroppedMetrics& view) {
      return matches(view.name, family.name) && matches(view.scope, family.scope);
    });
  });
}

const std::vector<MetricFamily>& MetricFamilies::families() {
  drop_empty();
  return families_;
}

}  // namespace holdfast
