// The agent's own telemetry as service::telemetry asks for it, beside the log's lines and the
// spans: ports for Prometheus, metrics that are pushed, the log as OTLP.
//
// Owned by the agent; all calls on its thread.
#pragma once

#include <memory>
#include <vector>

#include "agent/health.h"
#include "agent/http_server.h"
#include "agent/own_log.h"
#include "agent/own_metrics_push.h"
#include "agent/telemetry_config.h"

namespace holdfast {

class OwnTelemetry {
 public:
  /// Opens what can be opened; what cannot is told in the log, and no reason to stay down: the
  /// Collector's default port may be taken by a Collector. `telemetry` must outlive it.
  OwnTelemetry(const TelemetryConfig& config, Telemetry& telemetry);
  ~OwnTelemetry();

 private:
  std::vector<std::unique_ptr<HttpServer>> ports_;
  std::vector<std::unique_ptr<OwnMetricsPush>> pushes_;
  OwnLog log_;
};

}  // namespace holdfast
