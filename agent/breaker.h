// One breaker for all drains of an exporter: while its upstream is down, one of them probes and the
// others wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace holdfast {

/// Thread-safe. Whoever acquired it says afterwards, on the same thread, how that went:
/// succeeded(), failed() or abandoned().
class Breaker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Blocks until the caller may send: at once while closed; while open, until the time of the next
  /// probe has come and nobody else probes, or the breaker closes. False: `stop` was requested.
  bool acquire(const std::stop_token& stop);

  /// The upstream answered: closes, wakes all.
  void succeeded();

  /// No answer, or one that asks to come again: opens until `retry_at`; the next acquire after that
  /// is the single probe. Of several that were under way when it opened, the latest time holds.
  void failed(TimePoint retry_at);

  /// The caller gave up before there was an answer: somebody else may probe.
  void abandoned();

  bool open() const;

  /// Probes that have failed in a row, the failure that opened it included: what a backoff grows
  /// by.
  unsigned failures() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool open_ = false;
  std::optional<std::thread::id> prober_;  // whose answer counts
  unsigned failures_ = 0;
  TimePoint retry_at_{};
};

}  // namespace holdfast
