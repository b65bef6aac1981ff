// Decides which of many equal log lines are written: one in a period, with the number of those held
// back since.
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

  /// How many equal lines were held back before this one, which is to be written; nothing: hold it
  /// back.
  std::optional<std::uint64_t> admit(const std::string& key, TimePoint now);

  std::size_t size() const;

 private:
  struct Seen {
    TimePoint written;
    std::uint64_t held_back = 0;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Seen> seen_;
};

}  // namespace holdfast
