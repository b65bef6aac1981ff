#include "agent/breaker.h"

#include <algorithm>

namespace holdfast {

bool Breaker::acquire(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!open_) return true;
    if (prober_) {
      changed_.wait(lock, stop, [this] { return !open_ || !prober_; });
      continue;
    }
    const TimePoint retry_at = retry_at_;
    if (std::chrono::steady_clock::now() >= retry_at) {
      prober_ = std::this_thread::get_id();
      return true;
    }
    changed_.wait_until(lock, stop, retry_at,
                        [this, retry_at] { return !open_ || prober_ || retry_at_ != retry_at; });
  }
  return false;
}

void Breaker::succeeded() {
  std::lock_guard lock(mutex_);
  failures_ = 0;
  prober_.reset();
  if (!open_) return;
  open_ = false;
  changed_.notify_all();
}

void Breaker::failed(TimePoint retry_at) {
  std::lock_guard lock(mutex_);
  // One that was under way when another failure opened the breaker tells nothing new.
  const bool probed = prober_ == std::this_thread::get_id();
  if (!open_ || probed) ++failures_;
  open_ = true;
  if (probed) prober_.reset();
  retry_at_ = std::max(retry_at_, retry_at);
  changed_.notify_all();
}

void Breaker::abandoned() {
  std::lock_guard lock(mutex_);
  if (prober_ != std::this_thread::get_id()) return;
  prober_.reset();
  changed_.notify_all();
}

bool Breaker::open() const {
  std::lock_guard lock(mutex_);
  return open_;
}

unsigned Breaker::failures() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace holdfast
