// A `periodic` reader: pushes the agent's own metrics over OTLP at an interval, and once more at
// the end.
//
// Owns its thread. The constructor and the destructor are called on the agent's.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "agent/health.h"
#include "agent/own_exporter.h"

namespace holdfast {

class OwnMetricsPush {
 public:
  /// `telemetry` must outlive it.
  OwnMetricsPush(const MetricsPushConfig& config, const Telemetry& telemetry);
  /// Waits a second at most for the last push.
  ~OwnMetricsPush();

 private:
  void run(const std::stop_token& stop);
  void push();

  const MetricsPushConfig config_;
  const Telemetry& telemetry_;
  OwnExporter exporter_;
  std::stop_source cut_;  // ends a push that is under way
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool ended_ = false;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace holdfast
