#include "agent/own_telemetry.h"

#include <chrono>

#include "agent/logging.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kPortGrace{100};

}  // namespace

OwnTelemetry::OwnTelemetry(const TelemetryConfig& config, Telemetry& telemetry)
    : log_(config.log_processors, telemetry.resource,
           telemetry.own_dropped[index_of(Signal::logs)]) {
  for (const MetricsPullConfig& pull : config.metrics_pull) {
    auto started = start_metrics_port(pull, telemetry);
    if (!started) {
      log(LogLevel::warn, "the metrics port cannot be opened",
          {{"endpoint", pull.endpoint}, {"error", started.error().message}});
      continue;
    }
    ports_.push_back(std::move(*started));
  }
  for (const MetricsPushConfig& push : config.metrics_push) {
    pushes_.push_back(std::make_unique<OwnMetricsPush>(push, telemetry));
  }
}

OwnTelemetry::~OwnTelemetry() {
  for (const auto& port : ports_) port->stop(kPortGrace);
}

}  // namespace holdfast
