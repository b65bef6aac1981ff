// service::telemetry: the agent's own log and metrics.
#include <fmt/format.h>

#include "agent/config_parts.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr std::string_view kMetricsHost = "localhost";
constexpr std::int64_t kMetricsPort = 8888;

Reader output(std::string_view what) {
  return [what](const Value& value) {
    std::vector<std::string> paths;
    strings(paths)(value);
    for (const std::string& path : paths) {
      if (path != "stderr") value.warn(fmt::format("has no effect: {} to stderr", what));
    }
  };
}

Keys log_keys(TelemetryConfig& telemetry) {
  // As the Collector names them; it has more at the loud end.
  const std::vector<std::string> levels{"debug", "info",  "warn",   "error", "DEBUG", "INFO",
                                        "WARN",  "ERROR", "dpanic", "panic", "fatal"};
  const auto level = [levels, &telemetry](std::size_t i) {
    telemetry.log_level = i < 8 ? levels[i % 4] : "error";
  };
  const auto encoding = [&telemetry](std::size_t i) {
    telemetry.log_encoding =
        i == 0 ? TelemetryConfig::Encoding::console : TelemetryConfig::Encoding::json;
  };
  const auto always = "messages that repeat are thinned, whatever is set";
  return {
      {"level", choice(levels, level)},
      {"encoding", choice({"console", "json"}, encoding)},
      {"development", accepted()},
      {"disable_caller", accepted()},
      {"disable_stacktrace", accepted()},
      {"disable_zap_resource", accepted()},
      {"sampling", no_effect_section(always, {"enabled", "tick", "initial", "thereafter"})},
      {"output_paths", output("the log goes")},
      {"error_output_paths", output("errors of the log go")},
      {"initial_fields", refused_unless_off("")},
      {"processors", refused_unless_off("the log goes to stderr")},
  };
}

/// What `metrics:` asks for, before it is known whether there are any.
struct MetricsPort {
  bool wanted = true;
  std::string endpoint = fmt::format("{}:{}", kMetricsHost, kMetricsPort);
  Place place;
  std::string key;
  int readers = 0;
};

void read_pull(const Value& value, MetricsPort& metrics) {
  std::string host(kMetricsHost);
  std::int64_t port = kMetricsPort;
  bool found = false;
  const auto names = "names are the Collector's, with their units";
  const Reader prometheus = [&](const Value& v) {
    found = true;
    read_section(v, {
                        {"host", text(host)},
                        {"port", integer(port, {0, 65535})},
                        {"without_scope_info", no_effect(names)},
                        {"without_type_suffix", no_effect(names)},
                        {"without_units", no_effect(names)},
                        {"without_target_info", no_effect(names)},
                        {"without_target_info/development", no_effect(names)},
                        {"without_scope_info/development", no_effect(names)},
                        {"translation_strategy", no_effect(names)},
                        {"with_resource_constant_labels", refused_unless_off("")},
                    });
  };
  read_section(value, {{"exporter", section({{"prometheus", prometheus}})}});
  if (!found) return;
  const bool ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  metrics.endpoint = ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
  metrics.place = value.node.place;
  metrics.key = value.key;
  if (!parse_endpoint(metrics.endpoint)) {
    value.fail(fmt::format("{} is not host:port", quoted(metrics.endpoint)));
  }
}

Reader metric_readers(MetricsPort& metrics) {
  return [&metrics](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence) return value.fail("must be a list");
    metrics.wanted = !value.node.items.empty();
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
      const Value item{value.node.items[i], fmt::format("{}[{}]", value.key, i), value.findings};
      const auto pull = [&metrics](const Value& v) { read_pull(v, metrics); };
      read_section(item, {{"pull", pull}, {"periodic", refused("supported: pull")}});
      if (++metrics.readers > 1) item.fail("a second reader is not supported in this version");
    }
  };
}

void read_metrics(const Value& value, MetricsPort& metrics) {
  if (value.node.place.source >= 0 && metrics.place.source < 0) metrics.place = value.node.place;
  bool none = false;
  const Reader address = [&metrics](const Value& v) {
    endpoint(metrics.endpoint)(v);
    metrics.place = v.node.place;
    metrics.key = v.key;
  };
  read_section(value, {
                          {"level", choice({"none", "basic", "normal", "detailed"},
                                           [&](std::size_t i) { none = i == 0; })},
                          {"address", address},
                          {"readers", metric_readers(metrics)},
                          {"views", refused_unless_off("")},
                      });
  if (none) metrics.wanted = false;
}

}  // namespace

void read_telemetry(const Value& section_value, Service& service) {
  TelemetryConfig& telemetry = service.telemetry;
  MetricsPort metrics;
  metrics.place = section_value.node.place;
  metrics.key = join_key(section_value.key, "metrics");
  const auto traces = "the agent does not trace itself";
  read_section(section_value,
               {
                   {"logs", section(log_keys(telemetry))},
                   {"metrics", [&](const Value& value) { read_metrics(value, metrics); }},
                   {"traces", no_effect_section(traces, {"level", "propagators", "processors",
                                                         "sampler", "limits"})},
                   {"resource", no_effect("the agent's metrics carry no resource")},
               });
  if (!metrics.wanted) return;
  telemetry.metrics_endpoint = metrics.endpoint;
  service.metrics_listener = {metrics.endpoint, metrics.key, metrics.place};
}

}  // namespace holdfast
