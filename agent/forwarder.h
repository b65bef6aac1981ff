// Requests that go to an upstream at once, without the buffer (sending_queue::enabled: false): its
// answer is the client's.
//
// A pool of threads, each with connections of its own, up to num_consumers. What an upstream
// refuses for now is tried again inside the request, as the Collector does: until max_elapsed_time
// is over, the client's deadline would be, or the client has gone. A request that waits for its
// next try holds no thread. Bounded by the budget of bytes in flight and by kRequestsMax.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "agent/backoff.h"
#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/stats.h"
#include "exporters/exporter.h"

namespace holdfast {

/// What the client is told, in gRPC's terms (rpc_status.h).
struct ForwardAnswer {
  int code = 0;         // RpcCode; 0: the upstream has it
  std::string message;  // of an error, or of a partial success
  std::optional<std::chrono::seconds> retry_after;
  std::uint64_t rejected_items = 0;  // of a partial success
};

/// What an outcome means to a client, and whether the same may be sent again: the codes that the
/// Collector's exporters give, and repeat.
ForwardAnswer forward_answer(const SendResult& result);
bool is_worth_repeating(const SendResult& result);

struct ForwardRequest {
  Signal signal = Signal::traces;
  std::shared_ptr<const std::string> body;  // protobuf of an Export*ServiceRequest
  std::uint64_t items = 0;
  std::optional<std::chrono::steady_clock::time_point> deadline;  // the client's, if it told
  std::stop_token gone;                                           // the client is
};

struct ForwarderOptions {
  std::string exporter;  // name, for the log
  RetryConfig retry;
  unsigned consumers = 10;  // threads, made as they are needed
  std::function<std::unique_ptr<Exporter>(Signal)> make_exporter;  // called on those threads
};

/// Thread-safe.
class Forwarder {
 public:
  static constexpr std::size_t kRequestsMax = 512;  // under way or waiting
  /// Called once for each request, without a lock: on a thread of the forwarder, or inside
  /// forward() when it is full.
  using Done = std::function<void(ForwardAnswer)>;

  /// `budget` and `stats` must outlive it.
  Forwarder(ForwarderOptions options, ByteBudget& budget, ExporterStats& stats);
  /// Cuts off what is under way; all of it is answered.
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  void forward(ForwardRequest request, Done done);

  /// The end is near: what waits for another try is answered now, and nothing is tried twice.
  void finish();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Job;
  struct Worker;

  void add(std::unique_ptr<Job> job);
  void wake(const Job* job);
  std::unique_ptr<Job> take(const std::stop_token& stop);
  void run(const std::stop_token& stop);
  void serve(std::unique_ptr<Job> job, Worker& worker);
  SendResult send(Job& job, Worker& worker);
  std::optional<TimePoint> next_try(const Job& job, const SendResult& result, Worker& worker) const;
  void note(const Job& job, const SendResult& result);
  void answer(std::unique_ptr<Job> job, ForwardAnswer answer);

  const ForwarderOptions options_;
  ByteBudget& budget_;
  ExporterStats& stats_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::uint64_t changes_ = 0;
  std::vector<std::unique_ptr<Job>> waiting_;  // for a thread, or for their next try
  std::vector<Job*> under_way_;
  std::size_t idle_ = 0;
  bool finishing_ = false;
  std::vector<std::jthread> threads_;  // last: they use the rest
};

using SignalForwarders = std::array<std::vector<Forwarder*>, kSignalCount>;

/// The signals that are forwarded to somebody.
std::array<bool, kSignalCount> forwarded_signals(const SignalForwarders& forwarders);

/// Hands a request to all of them, of which there is one at least. `done` is called once, when the
/// last has answered: with the first error, if there is one.
void forward_to_all(const std::vector<Forwarder*>& forwarders, const ForwardRequest& request,
                    Forwarder::Done done);

}  // namespace holdfast
