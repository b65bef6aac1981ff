// Decides which of many equal log lines are written: by default one in a period, with the number of
// those held back since.
//
// Thread-safe. Keeps at most kKeysMax lines in mind: an attacker who varies them cannot make it
// grow.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace holdfast {

class LogThinning {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kPeriod{10};
  static constexpr std::size_t kKeysMax = 256;

  /// In each period the first `initial` equal lines are written, and every `thereafter`-th of the
  /// others, if that is not 0.
  struct Limits {
    std::chrono::nanoseconds period = kPeriod;
    std::uint64_t initial = 1;
    std::uint64_t thereafter = 0;
  };
  LogThinning() = default;
  explicit LogThinning(const Limits& limits) : limits_(limits) {}

  /// How many equal lines were held back before this one, which is to be written; nothing: hold it
  /// back.
  std::optional<std::uint64_t> admit(const std::string& key, TimePoint now);

  std::size_t size() const;

 private:
  struct Seen {
    TimePoint since;  // when its period began
    std::uint64_t count = 1;
    std::uint64_t held_back = 0;
  };
  const Limits limits_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Seen> seen_;
};

}  // namespace holdfast
