#include "agent/log_thinning.h"

namespace holdfast {

std::optional<std::uint64_t> LogThinning::admit(const std::string& key, TimePoint now) {
  std::lock_guard lock(mutex_);
  const auto found = seen_.find(key);
  if (found != seen_.end()) {
    Seen& seen = found->second;
    if (now - seen.written < kPeriod) {
      ++seen.held_back;
      return std::nullopt;
    }
    seen.written = now;
    return std::exchange(seen.held_back, 0);
  }
  if (seen_.size() >= kKeysMax) {
    std::erase_if(seen_,
                  [now](const auto& entry) { return now - entry.second.written >= kPeriod; });
    // All of them are fresh: to forget costs a repeated line, to keep them would cost memory.
    if (seen_.size() >= kKeysMax) seen_.clear();
  }
  seen_.emplace(key, Seen{now});
  return 0;
}

std::size_t LogThinning::size() const {
  std::lock_guard lock(mutex_);
  return seen_.size();
}

}  // namespace holdfast
