// Which requests are forwarded at once, and which are stored: by the exporters of their pipelines.
//
// Owned by the agent, made and used at start and stop, on one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/forwarder.h"
#include "agent/stats.h"

namespace holdfast {

class ForwardRoutes {
 public:
  /// All must outlive it.
  ForwardRoutes(const Config& config, ByteBudget& budget) : config_(config), budget_(budget) {}

  /// Makes the forwarder of an exporter without a queue; nothing for the others.
  void add(const ExporterConfig& exporter, ExporterStats& stats);

  /// Where the requests of a receiver go, by signal.
  SignalForwarders from(const std::string& receiver) const;

  /// See Forwarder.
  void finish();
  void clear() { forwarders_.clear(); }

 private:
  const Config& config_;
  ByteBudget& budget_;
  std::map<std::string, std::unique_ptr<Forwarder>> forwarders_;  // by exporter
};

}  // namespace holdfast
