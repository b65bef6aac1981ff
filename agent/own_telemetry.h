// The agent's own telemetry as service::telemetry asks for it, beside the log: ports for
// Prometheus.
//
// Owned by the agent; all calls on its thread.
#pragma once

#include <memory>
#include <vector>

#include "agent/health.h"
#include "agent/http_server.h"
#include "agent/telemetry_config.h"

namespace holdfast {

class OwnTelemetry {
 public:
  /// Opens what can be opened; what cannot is told in the log, and no reason to stay down: the
  /// Collector's default port may be taken by a Collector. `telemetry` must outlive it.
  OwnTelemetry(const TelemetryConfig& config, const Telemetry& telemetry);
  ~OwnTelemetry();

 private:
  std::vector<std::unique_ptr<HttpServer>> ports_;
};

}  // namespace holdfast
