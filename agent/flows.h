// The ways from the buffer to the upstreams: a drain for each exporter and signal.
//
// Owned by the agent; all calls on its thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/breaker.h"
#include "agent/config.h"
#include "agent/drain.h"
#include "agent/health.h"
#include "agent/ingest.h"

namespace holdfast {

/// One exporter as it gets one signal: all that its drain goes by.
struct FlowConfig {
  Signal signal = Signal::traces;
  ExporterConfig exporter;
  BatchConfig batch;

  bool operator==(const FlowConfig&) const = default;
};

/// What the pipelines ask for, in the order of the exporters.
std::vector<FlowConfig> flows_of(const Config& config);

class Flows {
 public:
  /// Counters are kept in `telemetry`, which must outlive it.
  explicit Flows(Telemetry& telemetry) : telemetry_(telemetry) {}
  ~Flows() { stop(); }

  /// Stops those that are not in `next`, or are there with another configuration. A request under
  /// way has two seconds to be answered; then it is cut off, and repeated by whoever reads on.
  void retire(const std::vector<FlowConfig>& next);

  /// Starts those of `next` that do not run. `logs` have their readers.
  void start_missing(const Config& next, const SignalLogs& logs);

  /// The counters of an exporter; made if there are none.
  ExporterStats& stats_of(const ExporterConfig& exporter);

  /// Cuts off requests that are under way.
  void stop();

 private:
  struct Flow {
    FlowConfig config;
    std::unique_ptr<Drain> drain;
  };

  void forget_unused(const Config& next);
  void renew_endpoints(const ExporterConfig& exporter, ExporterStats& stats);

  Telemetry& telemetry_;
  std::map<std::string, std::unique_ptr<Breaker>> breakers_;  // by exporter
  std::vector<Flow> flows_;
};

}  // namespace holdfast
