// Gets one batch to the upstream, whatever it takes: whole, in halves, request by request.
//
// A run of requests is sent until the upstream has decided on it. Delivered: done. Rejected or too
// large: its halves are sent, and a request that is refused alone goes to quarantine, so n requests
// with one bad one cost about 2·log2(n) posts. Anything else is waited for, without end. Belongs to
// its drain's thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <vector>

#include "agent/backoff.h"
#include "agent/batch_builder.h"
#include "agent/breaker.h"
#include "agent/drain.h"
#include "agent/stats.h"
#include "buffer/log.h"
#include "exporters/exporter.h"

namespace holdfast {

enum class BatchOutcome : std::uint8_t {
  done,   // each request is delivered or in quarantine
  alone,  // its only request gets 500 again and again: whether it is bad, others would have to show
  stopped,  // what was delivered until then will be sent again
};

class BatchDelivery {
 public:
  /// All references must outlive it. `cut_off` ends a request that is under way.
  BatchDelivery(const DrainOptions& options, LogReader& reader, std::unique_ptr<Exporter> exporter,
                Breaker& breaker, ExporterSignalStats& stats, std::stop_token cut_off);
  ~BatchDelivery();

  /// To be filled before deliver().
  BatchBuilder& batch() { return batch_; }

  /// Blocks until the outcome is clear. After `alone` nothing of the batch is decided. `stop` ends
  /// it between two requests, unless a part of the batch is delivered: that would be sent again.
  BatchOutcome deliver(const std::stop_token& stop);

  /// Puts a request into quarantine and counts it there, or as dropped when there is no room.
  void set_aside(QuarantineEntry entry);

 private:
  enum class Verdict : std::uint8_t { delivered, split, refused, postponed, alone, stopped };

  /// Sends a run until there is a verdict on it.
  Verdict decide(RequestRun run, const std::stop_token& stop);
  Verdict decide_on(const BatchBody& body, RequestRun run, const std::stop_token& stop);
  SendResult post(const BatchBody& body);
  void note_delivery(const BatchBody& body, const SendResult& result);
  void note_failure(const BatchBody& body, const SendResult& result);
  /// What a server's own failure (500, no answer to a body) means after so many of them in a row.
  Verdict suspect(RequestRun run, const SendResult& result, unsigned tries) const;
  /// Backs off; false: stopped.
  bool back_off(const SendResult& result, const std::stop_token& stop);
  void refuse(std::size_t number);
  bool pause(std::chrono::milliseconds wait, const std::stop_token& stop);

  const DrainOptions& options_;
  LogReader& reader_;
  const std::unique_ptr<Exporter> exporter_;
  Breaker& breaker_;
  ExporterSignalStats& stats_;
  const std::stop_token cut_off_;
  Backoff backoff_;
  BatchBuilder batch_;

  std::vector<RequestRun> pending_;  // the next one last
  SendResult last_;                  // the answer behind the verdict
  bool delivered_in_batch_ = false;  // the upstream takes others of this batch
  unsigned failures_ = 0;            // in a row
  std::uint64_t refused_bytes_in_a_row_ = 0;
  std::mutex mutex_;  // for pause() alone
  std::condition_variable_any never_;
};

}  // namespace holdfast
