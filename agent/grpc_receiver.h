// OTLP/gRPC in, on raw bytes: where it listens, and the server whose calls those are.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/forwarder.h"
#include "agent/grpc_receiver_calls.h"
#include "agent/grpc_receiver_listener.h"
#include "agent/ingest.h"
#include "agent/listen.h"
#include "agent/stats.h"
#include "buffer/result.h"

namespace holdfast {

/// start(), prepare(), what that makes and stop() from one thread.
class GrpcReceiver {
 public:
  /// `stats`, `budget` and the forwarders must outlive it. Starts its threads.
  static Result<std::unique_ptr<GrpcReceiver>> start(const GrpcReceiverConfig& config,
                                                     SignalLogs logs, ReceiverStats& stats,
                                                     ByteBudget& budget,
                                                     SignalForwarders forwarders = {},
                                                     const HeldSockets& held = {});
  ~GrpcReceiver();

  std::uint16_t port() const { return listener_->sockets().front().port(); }
  HeldSockets sockets() const;

  /// Another configuration for the running receiver. What can fail is done here; what comes of it
  /// puts it in force and cannot fail, to drop it changes nothing. Credentials and logs change in
  /// place; a new endpoint is listened on before the old one closes; for the rest another server
  /// takes the connections from then on. The one before lives on with its clients, until they have
  /// gone; where TLS changes they are told to connect anew (GOAWAY) and get their calls answered.
  /// gRPC fails calls that cross with that message, so it is not done for less.
  Result<std::function<void()>> prepare(const GrpcReceiverConfig& config, SignalLogs logs,
                                        const HeldSockets& held);

  /// The budget has another limit.
  void follow_budget();

  /// Takes no more calls, answers what is under way, joins.
  void stop(std::chrono::milliseconds grace);

 private:
  struct Change;
  GrpcReceiver(GrpcReceiverConfig config, ReceiverStats& stats, ByteBudget& budget,
               SignalForwarders forwarders)
      : config_(std::move(config)),
        stats_(stats),
        budget_(budget),
        forwarders_(std::move(forwarders)) {}
  void listen(std::vector<ListenSocket> sockets);
  void apply(Change& change);
  void retire(bool all);

  GrpcReceiverConfig config_;
  ReceiverStats& stats_;
  ByteBudget& budget_;
  const SignalForwarders forwarders_;
  std::mutex serving_mutex_;  // a connection is handed over, or another server takes them
  std::vector<std::unique_ptr<GrpcCalls>> servers_;  // the last one gets the connections
  std::unique_ptr<GrpcListener> listener_;           // none after stop()
};

}  // namespace holdfast
