// One budget of request bytes in flight for all receivers: from the first byte of a body until its
// answer.
#pragma once

#include <atomic>
#include <cstddef>

namespace holdfast {

/// Thread-safe, lock-free. Over the limit try_acquire says no, and the client gets 503 or
/// UNAVAILABLE.
class ByteBudget {
 public:
  explicit ByteBudget(std::size_t limit_bytes) : limit_(limit_bytes) {}

  /// A request larger than the whole budget passes when nothing else is in flight: it would starve
  /// otherwise.
  bool try_acquire(std::size_t bytes) {
    std::size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (used != 0 && used + bytes > limit_) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void release(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  std::size_t limit() const { return limit_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace holdfast
