#include "agent/forward_routes.h"

#include <algorithm>

#include "agent/exporter_factory.h"

namespace holdfast {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void ForwardRoutes::add(const ExporterConfig& exporter, ExporterStats& stats) {
  if (exporter.queued) return;
  for (const PipelineConfig& pipeline : config_.pipelines) {
    if (contains(pipeline.exporters, exporter.name)) {
      stats.forwarded[index_of(pipeline.signal)] = true;
    }
  }
  ForwarderOptions options{
      exporter.name, exporter.retry, exporter.consumers,
      [exporter, &stats](Signal signal) { return make_exporter(exporter, signal, &stats); }};
  forwarders_[exporter.name] = std::make_unique<Forwarder>(std::move(options), budget_, stats);
}

SignalForwarders ForwardRoutes::from(const std::string& receiver) const {
  SignalForwarders forwarders;
  for (const PipelineConfig& pipeline : config_.pipelines) {
    if (!contains(pipeline.receivers, receiver)) continue;
    auto& of_signal = forwarders[index_of(pipeline.signal)];
    for (const std::string& exporter : pipeline.exporters) {
      const auto found = forwarders_.find(exporter);
      if (found == forwarders_.end()) continue;
      Forwarder* const forwarder = found->second.get();
      // One that is named by two pipelines gets each request once.
      if (std::find(of_signal.begin(), of_signal.end(), forwarder) == of_signal.end()) {
        of_signal.push_back(forwarder);
      }
    }
  }
  return forwarders;
}

void ForwardRoutes::finish() {
  for (const auto& [name, forwarder] : forwarders_) forwarder->finish();
}

}  // namespace holdfast
