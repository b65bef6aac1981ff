#include "agent/upkeep.h"

#include <algorithm>
#include <utility>

#include "buffer/clock.h"

namespace holdfast {

void Upkeep::start(std::vector<Log*> logs) {
  thread_ = std::jthread(
      [this, logs = std::move(logs)](const std::stop_token& stop) noexcept { run(stop, logs); });
}

void Upkeep::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Upkeep::wake() {
  {
    std::lock_guard lock(mutex_);
    due_ = true;
  }
  wanted_.notify_one();
}

void Upkeep::run(const std::stop_token& stop, const std::vector<Log*>& logs) {
  while (!stop.stop_requested()) {
    std::int64_t due = INT64_MAX;
    busy_since_ns_ = system_clock().steady_ns();
    for (Log* log : logs) due = std::min(due, log->maintain());
    busy_since_ns_ = 0;
    std::unique_lock lock(mutex_);
    const auto wanted = [this] { return due_; };
    if (due == INT64_MAX) {
      wanted_.wait(lock, stop, wanted);
    } else {
      const std::chrono::nanoseconds wait(
          std::max<std::int64_t>(0, due - system_clock().steady_ns()));
      wanted_.wait_for(lock, stop, wait, wanted);
    }
    due_ = false;
  }
}

bool Upkeep::is_live(std::chrono::milliseconds limit) const {
  const std::int64_t since = busy_since_ns_;
  return since == 0 || system_clock().steady_ns() - since < limit.count() * kNsPerMs;
}

}  // namespace holdfast
