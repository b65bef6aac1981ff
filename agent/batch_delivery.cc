#include "agent/batch_delivery.h"

#include <algorithm>
#include <random>
#include <string>

#include "agent/logging.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;
using std::chrono::milliseconds;

// After that many failures that the body itself may have caused, smaller ones are tried: a body can
// be too much for a slow line, or crash the upstream, without any 413 or 400 being said.
constexpr unsigned kSuspectTriesBeforeSplit = 4;
// A single request that still gets 500 while the upstream takes others of its batch is bad.
constexpr unsigned kSuspectTriesBeforeRefusal = 20;
// An upstream that refuses everything is more likely to be wrong than all the data: from here on
// one request an interval is put aside, so that somebody can mend it before quarantine overflows.
constexpr std::uint64_t kRefusedBytesInARowMax = 4ULL << 20;

void set_state(ExporterSignalStats& stats, UpstreamState state) {
  stats.state.store(static_cast<std::uint8_t>(state), std::memory_order_relaxed);
  const bool failing = state == UpstreamState::retrying || state == UpstreamState::holding;
  if (!failing) {
    stats.failing_since_unix_ns.store(0, std::memory_order_relaxed);
  } else if (stats.failing_since_unix_ns.load(std::memory_order_relaxed) == 0) {
    stats.failing_since_unix_ns.store(system_clock().unix_ns(), std::memory_order_relaxed);
  }
}

void add(Counter& counter, std::uint64_t amount) {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

}  // namespace

BatchDelivery::BatchDelivery(const DrainOptions& options, LogReader& reader,
                             std::unique_ptr<Exporter> exporter, Breaker& breaker,
                             ExporterSignalStats& stats, std::stop_token cut_off)
    : options_(options),
      reader_(reader),
      exporter_(std::move(exporter)),
      breaker_(breaker),
      stats_(stats),
      cut_off_(std::move(cut_off)),
      backoff_(options.retry, std::random_device{}()),
      batch_(options.signal, exporter_->form()) {}

BatchDelivery::~BatchDelivery() = default;

BatchOutcome BatchDelivery::deliver(const std::stop_token& stop) {
  BatchLimits limits{.items_max = options_.batch.items_max,
                     .raw_bytes_max = options_.batch.raw_bytes_max};
  if (!traits(options_.signal).requests_join) limits.requests_max = 1;
  pending_ = batch_.runs(limits);
  std::reverse(pending_.begin(), pending_.end());
  delivered_in_batch_ = false;
  while (!pending_.empty()) {
    const RequestRun run = pending_.back();
    pending_.pop_back();
    const std::stop_token& patience = delivered_in_batch_ ? cut_off_ : stop;
    switch (decide(run, patience)) {
      case Verdict::delivered:
        break;
      case Verdict::split: {
        const std::size_t middle = run.first + run.size() / 2;
        pending_.push_back({middle, run.last});
        pending_.push_back({run.first, middle});
        break;
      }
      case Verdict::refused:
        refuse(run.first);
        if (refused_bytes_in_a_row_ <= kRefusedBytesInARowMax) break;
        set_state(stats_, UpstreamState::holding);
        if (!pause(backoff_.longest(), patience)) return BatchOutcome::stopped;
        break;
      case Verdict::postponed:
        pending_.insert(pending_.begin(), run);
        break;
      case Verdict::alone:
        return BatchOutcome::alone;
      case Verdict::stopped:
        return BatchOutcome::stopped;
    }
  }
  return BatchOutcome::done;
}

BatchDelivery::Verdict BatchDelivery::decide(RequestRun run, const std::stop_token& stop) {
  auto body = batch_.body(run);
  if (body) {
    add(stats_.in_flight, 1);
    const Verdict verdict = decide_on(*body, run, stop);
    stats_.in_flight.fetch_sub(1, std::memory_order_relaxed);
    return verdict;
  }
  // A record in it does not inflate, though its checksum holds.
  last_ = {.outcome = Outcome::rejected, .message = body.error().message};
  return run.size() == 1 ? Verdict::refused : Verdict::split;
}

BatchDelivery::Verdict BatchDelivery::decide_on(const BatchBody& body, RequestRun run,
                                                const std::stop_token& stop) {
  for (unsigned suspicious = 0, tries = 0;; ++tries) {
    if (breaker_.open()) set_state(stats_, UpstreamState::retrying);
    if (!breaker_.acquire(stop)) return Verdict::stopped;
    if (tries > 0) add(stats_.retries, 1);
    last_ = post(body);
    if (last_.outcome == Outcome::delivered) {
      breaker_.succeeded();
      note_delivery(body, last_);
      return Verdict::delivered;
    }
    if (cut_off_.stop_requested()) {
      breaker_.abandoned();
      return Verdict::stopped;
    }
    note_failure(body, last_);
    if (last_.outcome == Outcome::rejected || last_.outcome == Outcome::too_large) {
      breaker_.succeeded();
      return run.size() == 1 ? Verdict::refused : Verdict::split;
    }
    suspicious = last_.status == 500 || last_.unanswered ? suspicious + 1 : 0;
    const Verdict verdict = suspect(run, last_, suspicious);
    if (!back_off(last_, stop)) return Verdict::stopped;
    if (verdict != Verdict::delivered) return verdict;
  }
}

SendResult BatchDelivery::post(const BatchBody& body) {
  stats_.retry_at_unix_ns.store(0, std::memory_order_relaxed);
  add(stats_.attempts, 1);
  add(stats_.body_bytes, body.bytes.size());
  return exporter_->send({.signal = options_.signal,
                          .coding = exporter_->form().coding,
                          .body = body.bytes,
                          .items = body.items,
                          .raw_bytes = body.raw_bytes},
                         cut_off_);
}

void BatchDelivery::note_delivery(const BatchBody& body, const SendResult& result) {
  add(stats_.sent, body.items);
  stats_.last_success_unix_ns.store(system_clock().unix_ns(), std::memory_order_relaxed);
  set_state(stats_, UpstreamState::ok);
  delivered_in_batch_ = true;
  refused_bytes_in_a_row_ = 0;
  if (failures_ > 0) {
    failures_ = 0;
    stats_.last_error.set("");
    log(LogLevel::info, "the upstream takes data again",
        {{"exporter", options_.exporter}, {"signal", name_of(options_.signal)}});
  }
  if (result.rejected_items == 0 && result.message.empty()) return;
  add(stats_.partial_rejected, std::min(result.rejected_items, body.items));
  log(LogLevel::warn, "the upstream took a batch in part",
      {{"exporter", options_.exporter},
       {"signal", name_of(options_.signal)},
       {"rejected_items", result.rejected_items},
       {"error", result.message}});
}

void BatchDelivery::note_failure(const BatchBody& body, const SendResult& result) {
  add(stats_.send_failed, body.items);
  ++failures_;
  stats_.last_error.set(describe(result));
}

BatchDelivery::Verdict BatchDelivery::suspect(RequestRun run, const SendResult& result,
                                              unsigned tries) const {
  constexpr Verdict kGoOn = Verdict::delivered;
  if (run.size() > 1) return tries < kSuspectTriesBeforeSplit ? kGoOn : Verdict::split;
  if (result.status != 500) return kGoOn;
  if (batch_.requests() == 1) return tries < kSuspectTriesBeforeSplit ? kGoOn : Verdict::alone;
  if (tries < kSuspectTriesBeforeRefusal) return kGoOn;
  if (delivered_in_batch_) return Verdict::refused;
  return pending_.empty() ? kGoOn : Verdict::postponed;
}

bool BatchDelivery::back_off(const SendResult& result, const std::stop_token& stop) {
  const bool hold = result.outcome == Outcome::hold;
  milliseconds wait = backoff_.longest();
  const auto now = std::chrono::steady_clock::now();
  if (!hold) {
    const unsigned failures = result.upstream_down ? breaker_.failures() + 1 : failures_;
    wait = std::max(backoff_.wait(failures), result.retry_after.value_or(milliseconds(0)));
  }
  set_state(stats_, hold ? UpstreamState::holding : UpstreamState::retrying);
  stats_.retry_at_unix_ns.store(system_clock().unix_ns() + wait.count() * kNsPerMs,
                                std::memory_order_relaxed);
  log(LogLevel::warn, "the upstream did not take a batch, which is kept and sent again",
      {{"exporter", options_.exporter},
       {"signal", name_of(options_.signal)},
       {"error", describe(result)},
       {"wait_ms", wait.count()}});
  if (result.upstream_down) {
    breaker_.failed(now + wait);  // the wait is in acquire()
    return true;
  }
  breaker_.succeeded();
  return pause(wait, stop);
}

void BatchDelivery::refuse(std::size_t number) {
  const BatchRequest request = batch_.request(number);
  refused_bytes_in_a_row_ += request.raw.size();
  set_aside({.seq = request.seq,
             .request_index = request.index,
             .item_count = request.items,
             .reason = last_.status == 0 ? "corrupt" : "rejected",
             .status = last_.status,
             .message = last_.message,
             .bytes = request.raw});
}

void BatchDelivery::set_aside(QuarantineEntry entry) {
  entry.reader = options_.exporter;
  const Status kept = reader_.quarantine(entry);
  add(kept ? stats_.quarantined : stats_.dropped, entry.item_count);
  log(LogLevel::error,
      kept ? "a request was refused and put into quarantine"
           : "a request was refused and dropped, since quarantine cannot be written",
      {{"exporter", options_.exporter},
       {"signal", name_of(options_.signal)},
       {"seq", entry.seq},
       {"items", entry.item_count},
       {"status", entry.status},
       {"error", kept ? entry.message : std::string_view(kept.error().message)}});
}

bool BatchDelivery::pause(milliseconds wait, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  never_.wait_for(lock, stop, wait, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace holdfast
