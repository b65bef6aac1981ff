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
      if (used != 0 && used + bytes > limit()) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void release(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  std::size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  /// What is in flight beyond a smaller limit stays.
  void set_limit(std::size_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> limit_;
  std::atomic<std::size_t> used_{0};
};

/// The bytes of one request in a budget, given back at its end. One thread at a time.
class BudgetLease {
 public:
  /// No budget: nothing is counted.
  explicit BudgetLease(ByteBudget* budget) : budget_(budget) {}
  ~BudgetLease() { release(); }
  BudgetLease(const BudgetLease&) = delete;
  BudgetLease& operator=(const BudgetLease&) = delete;

  /// False: over the budget; then nothing is held any more.
  bool grow_to(std::size_t bytes) {
    if (budget_ == nullptr || bytes <= held_) return true;
    if (budget_->try_acquire(bytes - held_)) {
      held_ = bytes;
      return true;
    }
    // What this request already holds must not keep it from passing as the only one.
    release();
    if (!budget_->try_acquire(bytes)) return false;
    held_ = bytes;
    return true;
  }
  bool grow_by(std::size_t bytes) { return grow_to(held_ + bytes); }

  void release() {
    if (held_ != 0) budget_->release(held_);
    held_ = 0;
  }

 private:
  ByteBudget* const budget_;
  std::size_t held_ = 0;
};

}  // namespace holdfast
