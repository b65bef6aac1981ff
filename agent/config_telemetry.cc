// service::telemetry: the agent's own log, and what else it tells of itself.
#include "agent/config_telemetry.h"

#include <fmt/format.h>

#include "agent/config_values.h"

namespace holdfast {

namespace {

Reader sampling(TelemetryConfig& telemetry) {
  return [&telemetry](const Value& value) {
    if (value.is_null()) return;
    LogSampling sampling;
    const Limits positive{1, 1'000'000'000};
    read_section(value, {
                            {"enabled", boolean(telemetry.log_sampled)},
                            {"tick", duration(sampling.tick, milliseconds(1))},
                            {"initial", integer(sampling.initial, positive)},
                            {"thereafter", integer(sampling.thereafter, {0, positive.max})},
                        });
    telemetry.log_sampling = sampling;
  };
}

Reader initial_fields(Attributes& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::map) return value.fail("must be a map");
    for (const Member& member : value.node.members) {
      const Value field{member.value, join_key(value.key, member.key), value.findings};
      if (const auto content = attribute_value(field, "")) out.push_back({member.key, *content});
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
  const Reader without_resource = [&telemetry](const Value& value) {
    bool without = false;
    boolean(without)(value);
    telemetry.log_resource = !without;
  };
  return {
      {"level", choice(levels, level)},
      {"encoding", choice({"console", "json"}, encoding)},
      {"development", accepted()},
      {"disable_caller", accepted()},
      {"disable_stacktrace", accepted()},
      {"disable_zap_resource", without_resource},
      {"sampling", sampling(telemetry)},
      {"output_paths", strings(telemetry.log_outputs)},
      {"error_output_paths", accepted()},  // what cannot be written there goes nowhere
      {"initial_fields", initial_fields(telemetry.log_fields)},
      {"processors", own_processors(telemetry.log_processors, Signal::logs)},
  };
}

}  // namespace

void read_telemetry(const Value& section_value, Service& service) {
  TelemetryConfig& telemetry = service.telemetry;
  const Node none{.place = section_value.node.place};
  const Reader metrics = [&](const Value& value) { read_own_metrics(value, service); };
  const Reader resource = [&](const Value& value) { read_own_resource(value, telemetry.resource); };
  const Reader traces = [&](const Value& value) { read_own_traces(value, telemetry.traces); };
  read_section(section_value, {
                                  {"logs", section(log_keys(telemetry))},
                                  {"metrics", metrics},
                                  {"traces", traces},
                                  {"resource", resource},
                              });
  if (section_value.node.find("metrics") == nullptr) {
    read_own_metrics({none, join_key(section_value.key, "metrics"), section_value.findings},
                     service);
  }
}

}  // namespace holdfast
