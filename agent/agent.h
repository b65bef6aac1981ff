// The agent put together: buffer, drains, receivers, health port; started in that order, stopped in
// the reverse one, and led over from one configuration to the next (agent_reload.cc).
//
// Owned by main. start(), reload() and stop() are called from one thread.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/directory_import.h"
#include "agent/flows.h"
#include "agent/forward_routes.h"
#include "agent/health.h"
#include "agent/own_telemetry.h"
#include "agent/receivers.h"
#include "agent/tracer.h"
#include "agent/upkeep.h"
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

  /// Goes by another configuration from then on. What is the same in both is not touched: its
  /// connections, drains and counters go on. After an error all is as it was before.
  Status reload(Config next);

  /// The next configuration could not even be read: to be told on the health port. "" after one
  /// that was taken.
  void note_refusal(std::string why);

  const Config& config() const { return config_; }

  /// Not ready, receivers stop and answer what is under way, drains get two seconds to send what an
  /// upstream takes, cursors are synced. Within ten seconds.
  void stop();

  /// The upkeep thread is not stuck in the file system for longer than `limit`: what the watchdog
  /// asks. Thread-safe.
  bool is_live(std::chrono::milliseconds limit) const { return upkeep_.is_live(limit); }

 private:
  using Logs = std::array<std::unique_ptr<Log>, kSignalCount>;
  struct Reload;

  Status open_buffer();
  Result<std::unique_ptr<Log>> open_log(const Config& config, Signal signal);
  void start_upkeep();
  void start_import(const SignalLogs& logs);
  Status start_ports();
  void show_logs(const SignalLogs& logs);
  ImportTargets import_targets(const SignalLogs& logs) const;
  /// Something is pending for an upstream that takes data.
  bool is_delivering() const;
  void let_drains_finish();

  // agent_reload.cc
  Status prepare(const Config& next, Reload& reload);
  Status prepare_health(const Config& next, const HeldSockets& held, Reload& reload);
  Status change_readers(const Config& next, const Reload& reload);
  Status set_up_logs(const Config& config, const SignalLogs& logs);
  void take_up_logs(Reload& reload);
  void close_unused_logs(const SignalLogs& used);
  void change_import(const ImportConfig& before, const SignalLogs& logs);
  void change_ports(const Config& before, Reload& reload);

  Config config_;
  ByteBudget budget_;
  std::unique_ptr<File> lock_;
  Logs logs_;
  Telemetry telemetry_;
  std::unique_ptr<Tracer> tracer_;  // none: nothing is traced
  Upkeep upkeep_;
  Flows flows_{telemetry_};
  ForwardRoutes forwards_;
  std::unique_ptr<DirectoryImport> import_;
  ImportTargets import_targets_;  // where it imports to
  Receivers receivers_{telemetry_, budget_, forwards_};
  std::unique_ptr<HealthPort> health_;
  std::unique_ptr<OwnTelemetry> own_telemetry_;
};

/// Imported files are a receiver too: `transport` of its counters.
inline constexpr std::string_view kImportTransport = "import";

/// The logs of those signals that have a pipeline.
SignalLogs pointers_to(const std::array<std::unique_ptr<Log>, kSignalCount>& logs);

}  // namespace holdfast
