// The health port: `health_check` as the Collector has it, /status for people and programs,
// /metrics for Prometheus.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/http_server.h"
#include "agent/metrics_families.h"
#include "agent/stats.h"
#include "buffer/clock.h"
#include "buffer/filesystem.h"
#include "buffer/log.h"
#include "buffer/result.h"

namespace holdfast {

/// All that is shown; owned by the agent, outlives the ports.
struct Telemetry {
  /// A reload changes what is below alone, others read it shared. What does not say otherwise is
  /// read and changed by the agent's thread without it.
  mutable std::shared_mutex mutex;
  std::vector<std::unique_ptr<ReceiverStats>> receivers;
  std::vector<std::unique_ptr<ExporterStats>> exporters;
  std::vector<std::unique_ptr<ImportDirectoryStats>> imports;
  std::vector<PipelineConfig> pipelines;
  std::array<Log*, kSignalCount> logs{};                     // null: the signal has no pipeline
  std::array<std::uint64_t, kSignalCount> capacity_bytes{};  // max_folder_size
  const ByteBudget* budget = nullptr;
  std::string buffer_directory;
  std::uint64_t free_bytes_min = 0;  // min_free: the floor under the disk's free space
  FileSystem* filesystem = &posix_filesystem();
  const Clock* clock = &system_clock();
  std::int64_t start_unix_ns = clock->unix_ns();      // for people
  std::int64_t start_steady_ns = clock->steady_ns();  // for the uptime: no NTP step moves it
  std::atomic<bool> ready{false};
  Attributes resource;                              // of all that the agent tells of itself
  std::array<Counter, kSignalCount> own_dropped{};  // records of its own that went nowhere
  Tracer* tracer = nullptr;                         // none: nothing is traced. Set at the start
  ConfigurationStats configuration;
};

/// All metrics, as they are now. Any thread.
MetricFamilies collect_metrics(const Telemetry& telemetry);

/// The same as Prometheus text. Any thread.
std::string render_metrics(const Telemetry& telemetry, const PrometheusStyle& style = {});

/// The JSON of /status. Any thread.
std::string render_status(const Telemetry& telemetry);

/// Owned by the agent; start() and stop() on its thread, requests are answered on the server's own.
class HealthPort {
 public:
  /// `telemetry` must outlive it.
  static Result<std::unique_ptr<HealthPort>> start(const HealthConfig& config,
                                                   const Telemetry& telemetry,
                                                   const HeldSockets& held = {});
  ~HealthPort();
  std::uint16_t port() const;
  HeldSockets sockets() const { return server_->sockets(); }

  /// As HttpServer::prepare().
  Result<std::function<void()>> prepare(const HealthConfig& config, const HeldSockets& held);
  /// Idempotent.
  void stop();

 private:
  HealthPort(std::unique_ptr<HttpServer> server, const Telemetry& telemetry);
  std::unique_ptr<HttpServer> server_;
  const Telemetry& telemetry_;
};

/// The Collector's own metrics listener (a `pull` reader): /metrics alone.
Result<std::unique_ptr<HttpServer>> start_metrics_port(const MetricsPullConfig& config,
                                                       const Telemetry& telemetry);

}  // namespace holdfast
