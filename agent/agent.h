// The agent put together: buffer, drains, receivers, health port; started in that order, stopped in
// the reverse one.
//
// Owned by main. start() and stop() are called from one thread.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/breaker.h"
#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/directory_import.h"
#include "agent/drain.h"
#include "agent/forward_routes.h"
#include "agent/grpc_receiver.h"
#include "agent/health.h"
#include "agent/http_receiver.h"
#include "agent/own_telemetry.h"
#include "buffer/log.h"
#include "buffer/result.h"

namespace holdfast {

class Agent {
 public:
  explicit Agent(Config config);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// After an error what was started is stopped by the destructor.
  Status start();

  /// Not ready, receivers stop and answer what is under way, drains get two seconds to send what an
  /// upstream takes, cursors are synced. Within ten seconds.
  void stop();

  /// The upkeep thread is not stuck in the file system for longer than `limit`: what the watchdog
  /// asks. Thread-safe.
  bool is_live(std::chrono::milliseconds limit) const;

 private:
  Status open_buffer();
  Status open_log(Signal signal);
  void start_upkeep();
  void start_drains();
  void start_import();
  Status start_receivers();
  Status start_ports();
  /// Something is pending for an upstream that takes data.
  bool is_delivering() const;
  void let_drains_finish();
  ReceiverStats& receiver_stats(const std::string& receiver, const std::string& transport);

  const Config config_;
  ByteBudget budget_;
  std::unique_ptr<File> lock_;
  std::array<std::unique_ptr<Log>, kSignalCount> logs_;
  SignalLogs log_pointers_{};
  Telemetry telemetry_;
  std::map<std::string, std::unique_ptr<Breaker>> breakers_;  // by exporter

  std::mutex upkeep_mutex_;
  std::condition_variable_any upkeep_wanted_;
  bool upkeep_due_ = false;
  std::atomic<std::int64_t> upkeep_busy_since_ns_{0};  // steady; 0: asleep
  std::jthread upkeep_;

  std::vector<std::unique_ptr<Drain>> drains_;
  ForwardRoutes forwards_;
  std::unique_ptr<DirectoryImport> import_;
  std::vector<std::unique_ptr<GrpcReceiver>> grpc_;
  std::vector<std::unique_ptr<HttpReceiver>> http_;
  std::unique_ptr<HealthPort> health_;
  std::unique_ptr<OwnTelemetry> own_telemetry_;
};

}  // namespace holdfast
