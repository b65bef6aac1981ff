// The calls of one gRPC server: one completion queue, one thread, commits inline. Connections come
// from outside, so that another server can take over where this one's settings no longer do.
#pragma once

#include <chrono>
#include <memory>

#include "agent/auth.h"
#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/forwarder.h"
#include "agent/ingest.h"
#include "agent/stats.h"
#include "buffer/result.h"

namespace holdfast {

class GrpcCalls {
 public:
  /// What changes between two calls, without a new server.
  struct Settings {
    SignalLogs logs{};
    std::unique_ptr<Authenticator> authenticator;  // none: everybody may send
  };

  /// `stats`, `budget` and the forwarders must outlive it. Starts its thread. What the server
  /// itself is made with comes from `config`; its authenticator is in `settings`.
  static Result<std::unique_ptr<GrpcCalls>> start(const GrpcReceiverConfig& config,
                                                  Settings settings, ReceiverStats& stats,
                                                  ByteBudget& budget, SignalForwarders forwarders);
  virtual ~GrpcCalls() = default;

  /// Serves the client behind `fd`, which is the server's then. Not after stop() has begun.
  virtual void serve(int fd, int listener_fd) = 0;

  /// One of those is still there. Not while serve() runs.
  virtual bool has_clients() const = 0;

  /// Commits what was accepted, and goes by `settings` when it returns. From the owner's thread,
  /// before stop().
  virtual void change(Settings settings) = 0;

  /// The budget has another limit: gRPC's own memory is bounded by it too.
  virtual void follow_budget() = 0;

  /// Takes no more calls, answers what is under way, joins. Clients are told to connect anew.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace holdfast
