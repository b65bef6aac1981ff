#include "agent/log_thinning.h"

#include <algorithm>

namespace holdfast {

std::optional<std::uint64_t> LogThinning::admit(const std::string& key, TimePoint now) {
  std::lock_guard lock(mutex_);
  const auto found = seen_.find(key);
  if (found != seen_.end()) {
    Seen& seen = found->second;
    if (now - seen.since >= limits_.period) {
      seen.since = now;
      seen.count = 1;
      return std::exchange(seen.held_back, 0);
    }
    ++seen.count;
    const std::uint64_t beyond = seen.count - std::min(seen.count, limits_.initial);
    const bool written =
        beyond == 0 || (limits_.thereafter != 0 && beyond % limits_.thereafter == 0);
    if (written) return std::exchange(seen.held_back, 0);
    ++seen.held_back;
    return std::nullopt;
  }
  if (seen_.size() >= kKeysMax) {
    std::erase_if(seen_,
                  [&](const auto& entry) { return now - entry.second.since >= limits_.period; });
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
