#include "agent/metrics_prometheus.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <type_traits>

#include "agent/utf8.h"

namespace holdfast {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

std::string_view suffix_of(std::string_view unit) {
  if (unit == "s") return "seconds";
  if (unit == "By") return "bytes";
  return "";  // what is counted, as in {span}, says nothing of a unit
}

std::string name_of(const MetricFamily& family, bool suffixes) {
  std::string name = family.name;
  if (!suffixes) return name;
  constexpr std::string_view kTotal = "_total";
  if (family.counter && name.ends_with(kTotal)) name.resize(name.size() - kTotal.size());
  const std::string_view unit = suffix_of(family.unit);
  if (!unit.empty() && !name.ends_with(unit)) name.append("_").append(unit);
  if (family.counter) name += kTotal;
  return name;
}

/// "service.name" is "service_name"; a digit may not come first.
std::string label_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool valid = letter || digit;
    if (out.empty() && digit) out = "key_";
    if (valid) {
      out += c;
    } else if (!out.ends_with('_')) {
      out += '_';
    }
  }
  return out;
}

/// Two names may become one label: the first one holds, as no scraper takes both.
void add_label(Labels& labels, std::string name, std::string_view text) {
  const bool taken = std::any_of(labels.begin(), labels.end(),
                                 [&](const auto& label) { return label.name == name; });
  if (!taken) labels.push_back({std::move(name), to_utf8(text)});
}

Labels resource_labels(const Attributes& resource, const NameFilter& filter) {
  Labels labels;
  for (const Attribute& attribute : resource) {
    if (!filter.takes(attribute.name)) continue;
    add_label(labels, label_name(attribute.name), text_of(attribute.value));
  }
  return labels;
}

prometheus::MetricFamily target_info(const Attributes& resource) {
  prometheus::MetricFamily family;
  family.name = "target_info";
  family.help = "Target metadata";
  family.type = prometheus::MetricType::Gauge;
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = resource_labels(resource, {});
  metric.gauge.value = 1;
  return family;
}

prometheus::MetricFamily converted(const MetricFamily& family, const PrometheusStyle& style,
                                   const Labels& common) {
  prometheus::MetricFamily out;
  out.name = name_of(family, style.suffixes);
  out.help = family.help;
  out.type = family.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  for (const MetricSample& sample : family.samples) {
    prometheus::ClientMetric& metric = out.metric.emplace_back();
    for (const auto& [name, text] : sample.labels) add_label(metric.label, name, text);
    if (style.scope_info) {
      add_label(metric.label, "otel_scope_name", family.scope);
      add_label(metric.label, "otel_scope_schema_url", "");
      add_label(metric.label, "otel_scope_version", "");
    }
    for (const auto& label : common) add_label(metric.label, label.name, label.value);
    const double value = std::visit([](auto v) { return static_cast<double>(v); }, sample.value);
    (family.counter ? metric.counter.value : metric.gauge.value) = value;
  }
  return out;
}

}  // namespace

std::string prometheus_text(const std::vector<MetricFamily>& families, const PrometheusStyle& style,
                            const Attributes& resource) {
  Labels common;
  if (style.resource_labels) common = resource_labels(resource, *style.resource_labels);
  std::vector<prometheus::MetricFamily> out;
  out.reserve(families.size() + 1);
  for (const MetricFamily& family : families) out.push_back(converted(family, style, common));
  if (style.target_info && !resource.empty()) out.push_back(target_info(resource));
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace holdfast
