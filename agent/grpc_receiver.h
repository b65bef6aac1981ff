// OTLP/gRPC in, on raw bytes: one completion queue, one thread, commits inline.
#pragma once

#include <chrono>
#include <memory>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/forwarder.h"
#include "agent/ingest.h"
#include "agent/stats.h"
#include "buffer/result.h"

namespace holdfast {

class GrpcReceiver {
 public:
  /// `stats`, `budget` and the forwarders must outlive it. Starts its thread.
  static Result<std::unique_ptr<GrpcReceiver>> start(const GrpcReceiverConfig& config,
                                                     SignalLogs logs, ReceiverStats& stats,
                                                     ByteBudget& budget,
                                                     SignalForwarders forwarders = {});
  virtual ~GrpcReceiver() = default;
  virtual std::uint16_t port() const = 0;
  /// Takes no more calls, answers what is under way, joins.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace holdfast
