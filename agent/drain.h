// Forwards one signal's log to one exporter on a thread of its own: next → send → acknowledge, or
// back off and send again.
//
// Nothing is ever discarded for time spent retrying. A rejected batch is bisected down to the
// single bad request, which goes to quarantine; 413 splits; 401, 403 and 408 hold. A crash repeats
// at most the batch in flight.
#pragma once

#include <chrono>
#include <memory>
#include <semaphore>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/breaker.h"
#include "agent/config.h"
#include "agent/stats.h"
#include "buffer/log.h"
#include "exporters/exporter.h"

namespace holdfast {

class BatchDelivery;

struct DrainOptions {
  Signal signal = Signal::traces;
  std::string exporter;  // name, for the log
  BatchConfig batch;
  RetryConfig retry;
};

class Drain {
 public:
  /// `reader`, `breaker` and `stats` must outlive it. Starts its thread.
  Drain(DrainOptions options, LogReader& reader, std::unique_ptr<Exporter> exporter,
        Breaker& breaker, ExporterSignalStats& stats);
  ~Drain();  // request_stop(), and joins

  /// Asks the thread to end without a request being repeated for it: what is under way is waited
  /// for, and so is the rest of a batch of which some is delivered. Nothing new is begun.
  void finish();

  /// Once. False: the thread has not ended by then.
  bool wait_ended(std::chrono::steady_clock::time_point deadline);

  /// Asks the thread to stop: a request under way is cut off and counts as not delivered.
  void request_stop();

 private:
  void run(const std::stop_token& stop);
  /// Claims records until the batch is full, or its time to wait for more is over.
  void gather(const std::stop_token& stop);
  void take_a_witness();
  void take(const Claim& claim);

  const DrainOptions options_;
  LogReader& reader_;
  std::stop_source cut_off_;
  std::unique_ptr<BatchDelivery> delivery_;
  std::binary_semaphore ended_{0};
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace holdfast
