// A clock that a test moves.
#pragma once

#include <atomic>

#include "buffer/clock.h"

namespace holdfast {

class ManualClock final : public Clock {
 public:
  ManualClock() = default;
  ManualClock(const ManualClock& other)
      : unix_ns_(other.unix_ns_.load()),
        steady_ns_(other.steady_ns_.load()),
        booted_steady_ns_(other.booted_steady_ns_.load()),
        boot_id_(other.boot_id_.load()) {}

  std::int64_t unix_ns() const override { return unix_ns_; }
  std::int64_t steady_ns() const override { return steady_ns_; }
  std::int64_t boottime_ns() const override { return steady_ns_ - booted_steady_ns_; }
  std::uint32_t boot_id() const override { return boot_id_; }
  void advance_ms(std::int64_t ms) {
    unix_ns_ += ms * kNsPerMs;
    steady_ns_ += ms * kNsPerMs;
  }
  /// The wall clock alone, as NTP or an operator does it.
  void jump_ms(std::int64_t ms) { unix_ns_ += ms * kNsPerMs; }
  /// The machine was started again just now; 0: a machine that does not say so.
  void boot(std::uint32_t boot_id) {
    booted_steady_ns_ = steady_ns_.load();
    boot_id_ = boot_id;
  }

 private:
  std::atomic<std::int64_t> unix_ns_{1'800'000'000'000'000'000};
  std::atomic<std::int64_t> steady_ns_{1'000'000'000'000};
  std::atomic<std::int64_t> booted_steady_ns_{0};
  std::atomic<std::uint32_t> boot_id_{1};
};

}  // namespace holdfast
