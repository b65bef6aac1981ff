// service::telemetry::traces, and the processors that it shares with the log.
#include <fmt/format.h>

#include <algorithm>

#include "agent/config_telemetry.h"
#include "agent/config_values.h"

namespace holdfast {

namespace {

constexpr std::int64_t kQueueMax = 1 << 20;
constexpr milliseconds kSpanDelay{5'000};
constexpr milliseconds kLogDelay{1'000};

/// A sampler that asks for no parent, as the share of traces that it takes.
Keys plain_sampler_keys(double& ratio) {
  return {
      {"always_on", [&ratio](const Value&) { ratio = 1; }},
      {"always_off", [&ratio](const Value&) { ratio = 0; }},
      {"trace_id_ratio_based", section({{"ratio", number(ratio, 0, 1)}})},
  };
}

Reader plain_sampler(double& ratio) {
  return [&ratio](const Value& value) { read_section(value, plain_sampler_keys(ratio)); };
}

Reader parent_based(SamplerConfig& sampler) {
  return section({
      {"root", plain_sampler(sampler.root)},
      {"remote_parent_sampled", plain_sampler(sampler.remote_sampled)},
      {"remote_parent_not_sampled", plain_sampler(sampler.remote_not_sampled)},
      {"local_parent_sampled", accepted()},  // no span here has a parent of the agent's own
      {"local_parent_not_sampled", accepted()},
  });
}

Reader sampler(SamplerConfig& out) {
  return [&out](const Value& value) {
    if (value.is_null()) return;
    double ratio = 1;
    Keys keys = plain_sampler_keys(ratio);
    keys.push_back({"parent_based", parent_based(out)});
    keys.push_back({"jaeger_remote", refused("")});
    read_section(value, keys);
    if (value.node.members.size() > 1) value.fail("names more than one sampler");
    if (value.node.find("parent_based") == nullptr) out = {ratio, ratio, ratio};
  };
}

void read_batch(const Value& value, OwnRecordsConfig& config, std::optional<OwnExporterConfig>& to,
                Signal signal) {
  milliseconds timeout{0};
  read_section(value, {
                          {"schedule_delay", milliseconds_number(config.delay)},
                          {"export_timeout", milliseconds_number(timeout)},
                          {"max_queue_size", integer(config.queue_max, {1, kQueueMax})},
                          {"max_export_batch_size", integer(config.batch_max, {1, kQueueMax})},
                          {"exporter", own_exporter(to, signal)},
                      });
  config.batch_max = std::min(config.batch_max, config.queue_max);
  if (!to || timeout.count() == 0) return;
  for (milliseconds* own : {&to->http.timeout, &to->grpc.timeout}) {
    if (own->count() == 0 || timeout < *own) *own = timeout;
  }
}

void read_processor(const Value& item, std::vector<OwnRecordsConfig>& out, Signal signal) {
  OwnRecordsConfig config;
  config.delay = signal == Signal::traces ? kSpanDelay : kLogDelay;
  std::optional<OwnExporterConfig> exporter;
  const Reader batch = [&](const Value& value) { read_batch(value, config, exporter, signal); };
  const Reader simple = [&](const Value& value) {
    config.delay = milliseconds(0);
    config.batch_max = 1;
    read_section(value, {{"exporter", own_exporter(exporter, signal)}});
  };
  read_section(item, {{"batch", batch}, {"simple", simple}});
  if (item.node.members.size() > 1) return item.fail("names more than one processor");
  if (!exporter) return item.fail("names no exporter", "as in batch: {exporter: {otlp: …}}");
  config.exporter = std::move(*exporter);
  out.push_back(std::move(config));
}

Reader propagators(bool& trace_context) {
  return [&trace_context](const Value& value) {
    std::vector<std::string> names;
    strings(names)(value);
    for (const std::string& name : names) {
      if (name == "tracecontext") {
        trace_context = true;
      } else {
        value.fail(fmt::format("{} is not supported in this version", quoted(name)),
                   "there is: tracecontext");
      }
    }
  };
}

}  // namespace

Reader own_processors(std::vector<OwnRecordsConfig>& out, Signal signal) {
  return [&out, signal](const Value& value) {
    if (value.is_null()) return;
    if (value.node.kind != Node::Kind::sequence) return value.fail("must be a list");
    for (std::size_t i = 0; i < value.node.items.size(); ++i) {
      read_processor({value.node.items[i], fmt::format("{}[{}]", value.key, i), value.findings},
                     out, signal);
    }
  };
}

void read_own_traces(const Value& value, OwnTracesConfig& traces) {
  bool none = false;
  read_section(value, {
                          {"level", choice({"none", "basic", "normal", "detailed"},
                                           [&](std::size_t i) { none = i == 0; })},
                          {"processors", own_processors(traces.processors, Signal::traces)},
                          {"propagators", propagators(traces.trace_context)},
                          {"sampler", sampler(traces.sampler)},
                          {"limits", accepted()},  // spans here are small
                      });
  if (none) traces.processors.clear();
}

}  // namespace holdfast
