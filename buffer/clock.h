// Time as the buffer and the drain see it; a test puts its own in place.
#pragma once

#include <cstdint>

namespace holdfast {

/// Thread-safe. Wall time dates records and files; ages and timers use the steady clock, which no
/// NTP step moves.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t unix_ns() const = 0;
  virtual std::int64_t steady_ns() const = 0;
  /// Since the machine started, time asleep included; nothing moves it.
  virtual std::int64_t boottime_ns() const { return 0; }
  /// Tells one start of the machine from another; 0: not known.
  virtual std::uint32_t boot_id() const { return 0; }
};

/// The machine's clocks. Lives as long as the process.
const Clock& system_clock();

inline constexpr std::int64_t kNsPerMs = 1'000'000;
inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;

}  // namespace holdfast
