#include "agent/drain.h"

#include <algorithm>

#include "agent/batch_delivery.h"
#include "agent/logging.h"

namespace holdfast {
namespace {

using SteadyClock = std::chrono::steady_clock;

// A wait without work ends by then and begins again.
constexpr std::chrono::hours kIdleWait{24};
constexpr std::uint32_t kRecordsMax = 16'384;

}  // namespace

Drain::Drain(DrainOptions options, LogReader& reader, std::unique_ptr<Exporter> exporter,
             Breaker& breaker, ExporterSignalStats& stats)
    : options_(std::move(options)),
      reader_(reader),
      delivery_(std::make_unique<BatchDelivery>(options_, reader, std::move(exporter), breaker,
                                                stats, cut_off_.get_token())),
      thread_([this](const std::stop_token& stop) noexcept { run(stop); }) {}

Drain::~Drain() { request_stop(); }

void Drain::finish() { thread_.request_stop(); }

bool Drain::wait_ended(std::chrono::steady_clock::time_point deadline) {
  return ended_.try_acquire_until(deadline);
}

void Drain::request_stop() {
  thread_.request_stop();
  cut_off_.request_stop();
}

void Drain::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (!reader_.wait_readable(stop, SteadyClock::now() + kIdleWait)) continue;
    gather(stop);
    BatchOutcome outcome = delivery_->deliver(stop);
    while (outcome == BatchOutcome::alone) {
      reader_.rewind();
      gather(stop);
      take_a_witness();
      outcome = delivery_->deliver(stop);
    }
    if (outcome == BatchOutcome::stopped) break;
    // Also where all that was claimed was damaged: it has been dealt with.
    reader_.acknowledge();
  }
  reader_.rewind();
  ended_.release();
}

void Drain::gather(const std::stop_token& stop) {
  const BatchConfig& limits = options_.batch;
  BatchBuilder& batch = delivery_->batch();
  batch.clear();
  const auto deadline = SteadyClock::now() + limits.timeout;
  for (;;) {
    ClaimLimits claim_limits;
    claim_limits.items_max = limits.items_max - std::min(batch.items(), limits.items_max);
    claim_limits.raw_bytes_max =
        limits.raw_bytes_max - std::min(batch.raw_bytes(), limits.raw_bytes_max);
    claim_limits.records_max = kRecordsMax;
    const Claim claim = reader_.claim(claim_limits);
    take(claim);
    // Where each request goes alone there is nothing to wait for.
    const bool full = !traits(options_.signal).requests_join || claim.limited ||
                      batch.items() >= limits.items_target ||
                      batch.raw_bytes() >= limits.raw_bytes_max;
    if (full || !reader_.wait_readable(stop, deadline)) return;
  }
}

/// One record beyond the limits, if a single request fills them: when the upstream takes others,
/// that one is bad.
void Drain::take_a_witness() {
  if (delivery_->batch().requests() != 1) return;
  take(reader_.claim({.items_max = 1, .raw_bytes_max = 1, .records_max = 1}));
}

void Drain::take(const Claim& claim) {
  for (const Record& record : claim.records) {
    if (Status added = delivery_->batch().add(record); !added) {
      delivery_->set_aside({.seq = record.seq,
                            .item_count = record.item_count,
                            .reason = "corrupt",
                            .message = added.error().message,
                            .bytes = record.stored});
    }
  }
}

}  // namespace holdfast
