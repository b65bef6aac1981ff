// service::telemetry::metrics: who may read the agent's own metrics, and how they are named.
#include <fmt/format.h>

#include "agent/config_telemetry.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr std::string_view kHost = "localhost";
constexpr std::int64_t kPort = 8888;

/// What `metrics:` asks for, before it is known whether there are to be any.
struct Metrics {
  bool none = false;
  bool detailed = false;
  bool readers_given = false;
  MetricsPullConfig standard;  // where no reader is named
  Listener standard_listener;
  std::vector<MetricsPullConfig> pull;
  std::vector<Listener> listeners;
  std::vector<MetricsPushConfig> push;
  std::vector<DroppedMetrics> dropped;
};

Reader name_filter(std::optional<NameFilter>& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    NameFilter filter;
    read_section(value,
                 {{"included", strings(filter.included)}, {"excluded", strings(filter.excluded)}});
    for (const std::string& name : filter.included) {
      if (std::find(filter.excluded.begin(), filter.excluded.end(), name) ==
          filter.excluded.end()) {
        continue;
      }
      value.fail(fmt::format("{} is both included and excluded", quoted(name)));
    }
    out = std::move(filter);
  };
}

/// The newer name of what two booleans say.
Reader translation_strategy(bool& suffixes) {
  return choice({"UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes",
                 "NoUTF8EscapingWithSuffixes", "NoTranslation"},
                [&suffixes](std::size_t i) { suffixes = i % 2 == 0; });
}

void read_prometheus(const Value& value, Metrics& metrics) {
  MetricsPullConfig config;
  std::string host(kHost);
  std::int64_t port = kPort;
  bool without_scope_info = true;
  bool without_type_suffix = true;
  bool without_units = true;
  bool without_target_info = false;
  std::optional<bool> strategy;
  bool suffixes = false;
  const Reader translation = [&](const Value& v) {
    translation_strategy(suffixes)(v);
    if (!v.is_null()) strategy = suffixes;
  };
  const Reader scope_info = boolean(without_scope_info);
  const Reader target_info = boolean(without_target_info);
  read_section(value,
               {
                   {"host", text(host)},
                   {"port", integer(port, {0, 65535})},
                   {"without_scope_info", boolean(without_scope_info)},
                   {"without_scope_info/development", scope_info},
                   {"without_type_suffix", boolean(without_type_suffix)},
                   {"without_units", boolean(without_units)},
                   {"without_target_info", boolean(without_target_info)},
                   {"without_target_info/development", target_info},
                   {"translation_strategy", translation},
                   {"with_resource_constant_labels", name_filter(config.style.resource_labels)},
               });
  // As in the Collector: one of them asks for both suffixes.
  config.style.suffixes = strategy.value_or(!without_type_suffix || !without_units);
  config.style.scope_info = !without_scope_info;
  config.style.target_info = !without_target_info;
  const bool ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  config.endpoint = ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  if (!parse_endpoint(config.endpoint)) {
    return value.fail(fmt::format("{} is not host:port", quoted(config.endpoint)));
  }
  metrics.listeners.push_back({config.endpoint, value.key, value.node.place});
  metrics.pull.push_back(std::move(config));
}

void read_periodic(const Value& value, Metrics& metrics) {
  MetricsPushConfig config;
  milliseconds timeout{0};  // of a push; the exporter's own, if that is shorter
  std::optional<OwnExporterConfig> exporter;
  read_section(value, {
                          {"interval", milliseconds_number(config.interval)},
                          {"timeout", milliseconds_number(timeout)},
                          {"exporter", own_exporter(exporter, Signal::metrics)},
                      });
  if (config.interval.count() == 0) value.fail_at("interval", "must not be zero");
  if (!exporter) return value.fail_at("exporter", "names none", "there is: otlp");
  for (milliseconds* own : {&exporter->http.timeout, &exporter->grpc.timeout}) {
    if (timeout.count() > 0 && (own->count() == 0 || timeout < *own)) *own = timeout;
  }
  config.exporter = std::move(*exporter);
  metrics.push.push_back(std::move(config));
}

/// Views that drop; what others would change is named nowhere here.
void read_view(const Value& item, Metrics& metrics) {
  DroppedMetrics dropped;
  bool drops = false;
  const Reader drop = [&drops](const Value&) { drops = true; };
  const auto alone = "a view can drop metrics, and nothing else";
  read_section(item, {
                         {"selector", section({
                                          {"instrument_name", text(dropped.name)},
                                          {"meter_name", text(dropped.scope)},
                                          {"instrument_type", refused(alone)},
                                          {"unit", refused(alone)},
                                          {"meter_version", refused(alone)},
                                          {"meter_schema_url", refused(alone)},
                                      })},
                         {"stream", section({
                                        {"aggregation", section({{"drop", drop}})},
                                        {"name", refused(alone)},
                                        {"description", refused(alone)},
                                        {"attribute_keys", refused(alone)},
                                    })},
                     });
  if (dropped.name.empty() && dropped.scope.empty()) {
    return item.fail_at("selector", "selects nothing", "by instrument_name or meter_name");
  }
  if (drops) metrics.dropped.push_back(std::move(dropped));
}

Reader views(Metrics& metrics) {
  return [&metrics](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence) return value.fail("must be a list");
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
      read_view({value.node.items[i], fmt::format("{}[{}]", value.key, i), value.findings},
                metrics);
    }
  };
}

void read_reader(const Value& item, Metrics& metrics) {
  const Reader prometheus = [&](const Value& value) { read_prometheus(value, metrics); };
  read_section(item, {
                         {"pull", section({{"exporter", section({{"prometheus", prometheus}})}})},
                         {"periodic", [&](const Value& value) { read_periodic(value, metrics); }},
                     });
  if (item.node.members.empty() && item.node.kind != Node::Kind::scalar) {
    item.fail("names no reader", "there is: pull, periodic");
  }
}

Reader readers(Metrics& metrics) {
  return [&metrics](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence) return value.fail("must be a list");
    metrics.readers_given = true;
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
      read_reader({value.node.items[i], fmt::format("{}[{}]", value.key, i), value.findings},
                  metrics);
    }
  };
}

}  // namespace

void read_own_metrics(const Value& value, Service& service) {
  Metrics metrics;
  metrics.standard.endpoint = fmt::format("{}:{}", kHost, kPort);
  metrics.standard_listener = {"", value.key, value.node.place};
  const Reader address = [&](const Value& v) {
    endpoint(metrics.standard.endpoint)(v);
    if (v.is_null()) return;
    metrics.standard_listener = {"", v.key, v.node.place};
    if (value.node.find("readers") != nullptr) v.warn("has no effect beside readers");
  };
  read_section(value, {
                          {"level", choice({"none", "basic", "normal", "detailed"},
                                           [&](std::size_t i) {
                                             metrics.none = i == 0;
                                             metrics.detailed = i == 3;
                                           })},
                          {"address", address},
                          {"readers", readers(metrics)},
                          {"views", views(metrics)},
                      });
  if (!metrics.dropped.empty() && !metrics.detailed) {
    value.fail_at("views", "can only be set when level is detailed");
  }
  if (metrics.none) return;
  if (!metrics.readers_given) {
    metrics.standard_listener.endpoint = metrics.standard.endpoint;
    metrics.listeners.push_back(metrics.standard_listener);
    metrics.pull.push_back(metrics.standard);
  }
  for (MetricsPullConfig& pull : metrics.pull) pull.dropped = metrics.dropped;
  for (MetricsPushConfig& push : metrics.push) push.dropped = metrics.dropped;
  service.telemetry.metrics_push = std::move(metrics.push);
  service.metrics_listeners = std::move(metrics.listeners);
  service.telemetry.metrics_pull = std::move(metrics.pull);
}

}  // namespace holdfast
