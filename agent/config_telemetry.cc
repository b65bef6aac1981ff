// service::telemetry: the agent's own log, and what else it tells of itself.
#include "agent/config_telemetry.h"

#include <fmt/format.h>

#include "agent/config_values.h"

namespace holdfast {

namespace {

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
      {"initial_fields", refused_unless_off("lines have the fields of their message")},
      {"processors", refused_unless_off("the log goes to stderr")},
  };
}

}  // namespace

void read_telemetry(const Value& section_value, Service& service) {
  TelemetryConfig& telemetry = service.telemetry;
  const Node none{.place = section_value.node.place};
  const Reader metrics = [&](const Value& value) { read_own_metrics(value, service); };
  const Reader resource = [&](const Value& value) { read_own_resource(value, telemetry.resource); };
  const auto traces = "the agent does not trace itself";
  read_section(section_value,
               {
                   {"logs", section(log_keys(telemetry))},
                   {"metrics", metrics},
                   {"traces", no_effect_section(traces, {"level", "propagators", "processors",
                                                         "sampler", "limits"})},
                   {"resource", resource},
               });
  if (section_value.node.find("metrics") == nullptr) {
    read_own_metrics({none, join_key(section_value.key, "metrics"), section_value.findings},
                     service);
  }
}

}  // namespace holdfast
