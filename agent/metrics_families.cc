#include "agent/metrics_families.h"

#include <prometheus/text_serializer.h>

#include "agent/utf8.h"

namespace holdfast {

void MetricFamilies::drop_empty() {
  if (!families_.empty() && families_.back().metric.empty()) families_.pop_back();
}

void MetricFamilies::start(Name name, prometheus::MetricType type) {
  drop_empty();
  prometheus::MetricFamily family;
  family.name = name.name;
  family.help = name.help;
  family.type = type;
  families_.push_back(std::move(family));
}

void MetricFamilies::sample(const MetricLabels& labels, double value) {
  prometheus::MetricFamily& family = families_.back();
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [name, text] : labels) {
    metric.label.push_back({std::string(name), to_utf8(text)});
  }
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

std::string MetricFamilies::text() {
  drop_empty();
  return prometheus::TextSerializer().Serialize(families_);
}

}  // namespace holdfast
