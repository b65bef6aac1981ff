#include "agent/own_records.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/own_otlp.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kLastRecords{1'000};

}  // namespace

OwnRecords::OwnRecords(const OwnRecordsConfig& config, Source source, Counter& dropped)
    : config_(config),
      source_(std::move(source)),
      dropped_(dropped),
      exporter_(config.exporter, source_.signal),
      thread_([this](const std::stop_token& stop) noexcept { run(stop); }) {}

OwnRecords::~OwnRecords() {
  thread_.request_stop();
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kLastRecords, [this] { return ended_; })) cut_.request_stop();
}

void OwnRecords::add(std::string record) {
  if (std::this_thread::get_id() == thread_.get_id()) return;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= config_.queue_max) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    waiting_.push_back(std::move(record));
    // The first one starts the wait for more, a full batch ends it.
    if (waiting_.size() != 1 && waiting_.size() != config_.batch_max) return;
  }
  changed_.notify_all();
}

void OwnRecords::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, stop, [this] { return !waiting_.empty(); });
    changed_.wait_for(lock, stop, config_.delay,
                      [this] { return waiting_.size() >= config_.batch_max; });
    if (waiting_.empty()) break;  // only when it is to stop
    const auto count = std::min(waiting_.size(), config_.batch_max);
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<std::string> batch(std::make_move_iterator(waiting_.begin()),
                                   std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    lock.unlock();
    send(batch);
    lock.lock();
  }
  ended_ = true;
  changed_.notify_all();
}

void OwnRecords::send(const std::vector<std::string>& records) {
  const std::string request = encode_own_records(records, source_.resource, source_.scope);
  const bool cut = cut_.stop_requested();
  if (!cut && exporter_.send(request, records.size(), cut_.get_token())) return;
  dropped_.fetch_add(records.size(), std::memory_order_relaxed);
}

}  // namespace holdfast
