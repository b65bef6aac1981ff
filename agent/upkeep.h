// The thread that calls Log::maintain() of all logs when they ask for it.
//
// Owned by the agent; start() and stop() from its thread, is_live() from any.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "buffer/log.h"

namespace holdfast {

class Upkeep {
 public:
  ~Upkeep() { stop(); }

  /// `logs` must live until stop(), and call wake() when they are dirty. Not while it runs.
  void start(std::vector<Log*> logs);
  /// Waits for what is under way. Idempotent.
  void stop();

  /// It is not stuck in the file system for longer than `limit`.
  bool is_live(std::chrono::milliseconds limit) const;

  /// Any thread.
  void wake();

 private:
  void run(const std::stop_token& stop, const std::vector<Log*>& logs);

  std::mutex mutex_;
  std::condition_variable_any wanted_;
  bool due_ = false;
  std::atomic<std::int64_t> busy_since_ns_{0};  // steady; 0: asleep
  std::jthread thread_;                         // last: it uses the rest
};

}  // namespace holdfast
