// How long a drain waits before it sends again: exponential with jitter, as retry_on_failure says.
//
// Not thread-safe: its drain's alone.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

#include "agent/config.h"

namespace holdfast {

class Backoff {
 public:
  Backoff(const RetryConfig& config, std::uint32_t seed) : config_(config), random_(seed) {}

  /// After that many failures in a row, from 1. Never beyond the longest interval, jitter included.
  std::chrono::milliseconds wait(unsigned failures) {
    const double longest = static_cast<double>(config_.max_interval.count());
    if (!config_.enabled) return config_.max_interval;
    double interval = static_cast<double>(config_.initial_interval.count());
    for (unsigned i = 1; i < failures && interval < longest; ++i) interval *= config_.multiplier;
    interval = std::min(interval, longest);
    std::uniform_real_distribution<double> jitter(1 - config_.randomization_factor,
                                                  1 + config_.randomization_factor);
    return std::chrono::milliseconds(
        static_cast<std::int64_t>(std::clamp(interval * jitter(random_), 0.0, longest)));
  }

  std::chrono::milliseconds longest() const { return config_.max_interval; }

 private:
  const RetryConfig config_;
  std::minstd_rand random_;
};

}  // namespace holdfast
