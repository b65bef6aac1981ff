#include "agent/own_telemetry.h"

#include "agent/logging.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kPortGrace{100};

}  // namespace

OwnTelemetry::OwnTelemetry(const TelemetryConfig& config, const Telemetry& telemetry) {
  for (const MetricsPullConfig& pull : config.metrics_pull) {
    auto started = start_metrics_port(pull, telemetry);
    if (!started) {
      log(LogLevel::warn, "the metrics port cannot be opened",
          {{"endpoint", pull.endpoint}, {"error", started.error().message}});
      continue;
    }
    ports_.push_back(std::move(*started));
  }
}

OwnTelemetry::~OwnTelemetry() {
  for (const auto& port : ports_) port->stop(kPortGrace);
}

}  // namespace holdfast
