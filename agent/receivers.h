// All OTLP receivers of a configuration, and how the next configuration takes over.
//
// Owned by the agent; all calls on its thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/forward_routes.h"
#include "agent/grpc_receiver.h"
#include "agent/health.h"
#include "agent/http_receiver.h"
#include "agent/ingest.h"
#include "agent/listen.h"

namespace holdfast {

/// The logs of the pipelines that name `receiver`.
SignalLogs logs_for(const std::string& receiver, const Config& config, const SignalLogs& logs);

class Receivers {
 public:
  /// Counters are kept in `telemetry`; all must outlive it.
  Receivers(Telemetry& telemetry, ByteBudget& budget, const ForwardRoutes& forwards)
      : telemetry_(telemetry), budget_(budget), forwards_(forwards) {}
  ~Receivers() { stop(std::chrono::milliseconds(0)); }

  /// What is needed to go by `config`: those that are new run already, those that are there have
  /// done all that can fail. To drop it stops the new ones.
  struct Change;
  struct DropChange {
    void operator()(Change* change) const;
  };
  using Prepared = std::unique_ptr<Change, DropChange>;
  Result<Prepared> prepare(const Config& config, const SignalLogs& logs, const HeldSockets& held);

  /// Puts it in force, and stops those that are not in it: they answer what is under way, within
  /// `grace`.
  void apply(Prepared change, std::chrono::milliseconds grace);

  HeldSockets sockets() const;

  /// The counters by these names; made if there are none.
  ReceiverStats& stats_of(const std::string& receiver, std::string_view transport);

  /// The budget has another limit.
  void follow_budget();

  /// All at once: none goes on taking requests while another one waits for its clients.
  void stop(std::chrono::milliseconds grace);

 private:
  template <typename Receiver, typename ReceiverConfig>
  struct Active {
    ReceiverConfig config;
    SignalLogs logs{};
    std::unique_ptr<Receiver> receiver;
  };
  template <typename Receiver, typename ReceiverConfig>
  using Set = std::map<std::string, Active<Receiver, ReceiverConfig>>;  // by the receiver's name
  using GrpcSet = Set<GrpcReceiver, GrpcReceiverConfig>;
  using HttpSet = Set<HttpReceiver, HttpReceiverConfig>;

  template <typename Running, typename ReceiverConfig>
  Status prepare_one(const std::string& name, const ReceiverConfig& config, const SignalLogs& logs,
                     const HeldSockets& held, Running& running, Running& started,
                     std::vector<std::function<void()>>& switches);
  void forget_unused_stats();

  Telemetry& telemetry_;
  ByteBudget& budget_;
  const ForwardRoutes& forwards_;
  GrpcSet grpc_;
  HttpSet http_;
};

}  // namespace holdfast
