// OTLP/HTTP in: protobuf and JSON, every content coding that the Collector takes, its statuses and
// bodies.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/forwarder.h"
#include "agent/ingest.h"
#include "agent/listen.h"
#include "agent/stats.h"
#include "buffer/result.h"

namespace holdfast {

class HttpReceiver {
 public:
  /// `stats`, `budget` and the forwarders must outlive it. Starts its thread.
  static Result<std::unique_ptr<HttpReceiver>> start(const HttpReceiverConfig& config,
                                                     SignalLogs logs, ReceiverStats& stats,
                                                     ByteBudget& budget,
                                                     SignalForwarders forwarders = {},
                                                     const HeldSockets& held = {});
  virtual ~HttpReceiver() = default;
  virtual std::uint16_t port() const = 0;
  virtual HeldSockets sockets() const = 0;

  /// Another configuration for the running receiver, as HttpServer::prepare(): what comes of it
  /// puts it in force and cannot fail. What was accepted before is committed to the logs of before.
  virtual Result<std::function<void()>> prepare(const HttpReceiverConfig& config, SignalLogs logs,
                                                const HeldSockets& held) = 0;

  /// Takes no more connections, answers what is under way, joins.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace holdfast
