// One breaker for all drains of an exporter: while its upstream is down, one of them probes and the
// others wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

namespace holdfast {

/// Thread-safe.
class Breaker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Blocks until the caller may send: at once while closed; while open, until the time of the next
  /// probe has come and nobody else probes, or the breaker closes. False: `stop` was requested.
  bool acquire(std::stop_token stop);

  /// The upstream answered: closes, wakes all.
  void succeeded();

  /// No answer, or one that asks to come again: opens until `retry_at`; the next acquire after that
  /// is the single probe.
  void failed(TimePoint retry_at);

  bool open() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool open_ = false;
  bool probing_ = false;
  TimePoint retry_at_{};
};

}  // namespace holdfast
