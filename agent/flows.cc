#include "agent/flows.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "agent/exporter_factory.h"
#include "agent/routes.h"
#include "agent/tracer.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kRequestGrace{2'000};

bool contains(const std::vector<FlowConfig>& flows, const FlowConfig& wanted) {
  return std::find(flows.begin(), flows.end(), wanted) != flows.end();
}

/// Another configuration has not failed yet.
void forget_failures(ExporterSignalStats& stats) {
  stats.state = static_cast<std::uint8_t>(UpstreamState::idle);
  stats.retry_at_unix_ns = 0;
  stats.last_error.set("");
}

}  // namespace

std::vector<FlowConfig> flows_of(const Config& config) {
  std::vector<FlowConfig> flows;
  for (const ExporterConfig& exporter : config.exporters) {
    for (const Signal signal : kSignals) {
      if (!reads(config, signal, exporter.name)) continue;
      const PipelineConfig* const pipeline = pipeline_of(config, signal, exporter.name);
      flows.push_back({signal, exporter, exporter.batch.value_or(pipeline->batch)});
    }
  }
  return flows;
}

void Flows::retire(const std::vector<FlowConfig>& next) {
  std::vector<Drain*> ending;
  for (const Flow& flow : flows_) {
    if (contains(next, flow.config)) continue;
    flow.drain->finish();  // all at once: none waits for another
    ending.push_back(flow.drain.get());
  }
  const auto deadline = std::chrono::steady_clock::now() + kRequestGrace;
  for (Drain* const drain : ending) {
    if (!drain->wait_ended(deadline)) drain->request_stop();
  }
  std::erase_if(flows_, [&](const Flow& flow) { return !contains(next, flow.config); });
}

void Flows::forget_unused(const Config& next) {
  // What another configuration of an exporter has met is nothing to wait for.
  std::erase_if(breakers_, [&](const auto& breaker) {
    return std::none_of(flows_.begin(), flows_.end(), [&](const Flow& flow) {
      return flow.config.exporter.name == breaker.first;
    });
  });
  std::lock_guard lock(telemetry_.mutex);
  std::erase_if(telemetry_.exporters, [&](const auto& stats) {
    return std::none_of(
        next.exporters.begin(), next.exporters.end(),
        [&](const ExporterConfig& exporter) { return exporter.name == stats->exporter; });
  });
}

ExporterStats& Flows::stats_of(const ExporterConfig& exporter) {
  std::lock_guard lock(telemetry_.mutex);
  for (const auto& stats : telemetry_.exporters) {
    if (stats->exporter == exporter.name) return *stats;
  }
  auto& stats = *telemetry_.exporters.emplace_back(std::make_unique<ExporterStats>());
  stats.exporter = exporter.name;
  list_endpoints(exporter, stats);
  return stats;
}

/// Another configuration may have other endpoints: their counters begin anew.
void Flows::renew_endpoints(const ExporterConfig& exporter, ExporterStats& stats) {
  const bool runs = std::any_of(flows_.begin(), flows_.end(), [&](const Flow& flow) {
    return flow.config.exporter.name == exporter.name;
  });
  if (runs) return;
  std::lock_guard lock(telemetry_.mutex);
  for (ExporterSignalStats& of_signal : stats.signals) of_signal.endpoints.clear();
  list_endpoints(exporter, stats);
}

void Flows::start_missing(const Config& next, const SignalLogs& logs) {
  forget_unused(next);
  for (const FlowConfig& config : flows_of(next)) {
    const bool runs = std::any_of(flows_.begin(), flows_.end(),
                                  [&](const Flow& flow) { return flow.config == config; });
    if (runs) continue;
    const ExporterConfig& exporter = config.exporter;
    const std::size_t index = index_of(config.signal);
    ExporterStats& of_exporter = stats_of(exporter);
    renew_endpoints(exporter, of_exporter);
    ExporterSignalStats& stats = of_exporter.signals[index];
    forget_failures(stats);
    auto& breaker = breakers_[exporter.name];
    if (breaker == nullptr) breaker = std::make_unique<Breaker>();
    DrainOptions options{config.signal, exporter.name, config.batch, exporter.retry};
    auto made = make_exporter(exporter, config.signal, &of_exporter);
    if (telemetry_.tracer != nullptr) {
      made = make_traced_exporter(std::move(made), exporter.name, *telemetry_.tracer);
    }
    flows_.push_back(
        {config, std::make_unique<Drain>(std::move(options), logs[index]->reader(exporter.name),
                                         std::move(made), *breaker, stats)});
  }
}

void Flows::stop() {
  for (const Flow& flow : flows_) flow.drain->request_stop();
  flows_.clear();
}

}  // namespace holdfast
