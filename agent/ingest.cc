#include "agent/ingest.h"

#include <string>
#include <utility>
#include <vector>

#include "agent/request_boundaries.h"
#include "buffer/deflate.h"

namespace holdfast {
namespace {

// Alone such a request compresses badly and costs a header: those that wait together share a
// record, where such a record is a valid request.
constexpr std::size_t kSharedRequestBytesMax = 16U << 10;
constexpr std::size_t kSharedRecordBytesMax = 128U << 10;
constexpr std::size_t kBufferBytesKept = 4U << 20;

}  // namespace

/// What waits for the next commit of one signal. Records are offsets into one buffer until it stops
/// growing.
struct IngestBatch::SignalBatch {
  struct Draft {
    std::size_t stored_at = 0;
    std::size_t stored_length = 0;
    std::size_t extension_at = 0;
    std::size_t extension_length = 0;
    NewRecord record;
  };
  struct Waiting {
    ReceiverSignalStats* stats;
    std::uint32_t items;
    Done done;
  };

  Deflater deflater;
  std::string stored;      // of all drafts
  std::string extensions;  // of all drafts
  std::vector<Draft> drafts;
  std::vector<Waiting> waiting;

  std::string shared_raw;  // small requests, one after the other
  std::string shared_boundaries;
  std::uint32_t shared_requests = 0;
  std::uint32_t shared_items = 0;

  std::vector<NewRecord> records;

  /// Compresses `raw` into a draft; what the library cannot compress is kept as it is.
  void draft(std::string_view raw, std::string_view extension, std::uint32_t items,
             std::uint32_t requests) {
    Draft made;
    made.stored_at = stored.size();
    made.record.codec = Codec::deflate_fragment;
    if (!deflater.fragment(raw, stored)) {
      stored.append(raw);
      made.record.codec = Codec::identity;
    }
    made.stored_length = stored.size() - made.stored_at;
    made.extension_at = extensions.size();
    made.extension_length = extension.size();
    extensions.append(extension);
    made.record.raw_length = static_cast<std::uint32_t>(raw.size());
    made.record.raw_crc32 = crc32_gzip(0, raw);
    made.record.item_count = items;
    made.record.request_count = requests;
    drafts.push_back(made);
  }

  void drop_last_draft() {
    stored.resize(drafts.back().stored_at);
    extensions.resize(drafts.back().extension_at);
    drafts.pop_back();
  }

  void close_shared() {
    if (shared_requests == 0) return;
    const bool alone = shared_requests == 1;
    draft(shared_raw, alone ? std::string_view() : shared_boundaries, shared_items,
          shared_requests);
    shared_raw.clear();
    shared_boundaries.clear();
    shared_requests = shared_items = 0;
  }

  AppendOutcome write(Log& log, std::uint16_t source) {
    close_shared();
    records.clear();
    for (const Draft& made : drafts) {
      NewRecord& record = records.emplace_back(made.record);
      record.source = source;
      record.stored = std::string_view(stored).substr(made.stored_at, made.stored_length);
      record.extension =
          std::string_view(extensions).substr(made.extension_at, made.extension_length);
    }
    const AppendOutcome outcome = log.append(records);
    drafts.clear();
    stored.clear();
    extensions.clear();
    if (stored.capacity() > kBufferBytesKept) stored.shrink_to_fit();
    return outcome;
  }
};

IngestBatch::IngestBatch(SignalLogs logs, std::uint16_t source,
                         std::array<bool, kSignalCount> unstored)
    : logs_(logs), source_(source), unstored_(unstored) {}
IngestBatch::~IngestBatch() = default;

void IngestBatch::accept(Signal signal, std::string_view request, ReceiverSignalStats& stats,
                         Done done) {
  stats.requests.fetch_add(1, std::memory_order_relaxed);
  stats.raw_bytes.fetch_add(request.size(), std::memory_order_relaxed);
  const WalkResult walked = walk_export_request(signal, request);
  if (!walked.ok()) {
    stats.failed.fetch_add(1, std::memory_order_relaxed);
    done({IngestResult::Outcome::refused, describe(walked)});
    return;
  }
  if (walked.invalid_utf8 > 0) {
    stats.invalid_utf8.fetch_add(walked.invalid_utf8, std::memory_order_relaxed);
  }
  if (walked.items == 0) {
    done({});  // nothing to keep: a success, as the Collector has it
    return;
  }
  if (!stores(signal)) {
    done({.items = walked.items});
    return;
  }
  auto& slot = batches_[index_of(signal)];
  if (slot == nullptr) slot = std::make_unique<SignalBatch>();
  SignalBatch& batch = *slot;
  if (traits(signal).requests_join && request.size() <= kSharedRequestBytesMax) {
    if (batch.shared_raw.size() + request.size() > kSharedRecordBytesMax) batch.close_shared();
    batch.shared_raw.append(request);
    append_boundary(static_cast<std::uint32_t>(request.size()), walked.items,
                    batch.shared_boundaries);
    ++batch.shared_requests;
    batch.shared_items += walked.items;
  } else {
    batch.draft(request, {}, walked.items, 1);
    // Coming again would not help it, and it must not take the rest of the batch along.
    const std::uint64_t bytes_max = logs_[index_of(signal)]->record_bytes_max();
    if (batch.drafts.back().stored_length > bytes_max) {
      batch.drop_last_draft();
      stats.refused.fetch_add(walked.items, std::memory_order_relaxed);
      done({IngestResult::Outcome::refused,
            "the request is larger than the buffer can hold: at most " + std::to_string(bytes_max) +
                " bytes compressed"});
      return;
    }
  }
  batch.waiting.push_back({&stats, walked.items, std::move(done)});
  pending_bytes_ += request.size();
  ++waiting_;
}

void IngestBatch::note_forwarded(Signal signal, ReceiverSignalStats& stats, std::uint32_t items,
                                 bool taken) const {
  if (stores(signal)) return;  // counted when it was
  (taken ? stats.accepted : stats.refused).fetch_add(items, std::memory_order_relaxed);
}

void IngestBatch::commit() {
  if (waiting_ == 0) return;
  pending_bytes_ = 0;
  waiting_ = 0;
  for (const Signal signal : kSignals) {
    SignalBatch* const batch = batches_[index_of(signal)].get();
    if (batch == nullptr || batch->waiting.empty()) continue;
    const AppendOutcome outcome = batch->write(*logs_[index_of(signal)], source_);
    IngestResult result;
    if (outcome != AppendOutcome::stored) {
      result.outcome = IngestResult::Outcome::full;
      result.message = outcome == AppendOutcome::full
                           ? "the buffer is full, try again later"
                           : "the buffer cannot be written, try again later";
    }
    // The callbacks may accept() again: they must not find this batch half answered.
    std::vector<SignalBatch::Waiting> answered;
    answered.swap(batch->waiting);
    for (SignalBatch::Waiting& waiting : answered) {
      Counter& counter =
          outcome == AppendOutcome::stored ? waiting.stats->accepted : waiting.stats->refused;
      counter.fetch_add(waiting.items, std::memory_order_relaxed);
      result.items = waiting.items;
      waiting.done(result);
    }
  }
}

void IngestBatch::send_to(const SignalLogs& logs) {
  commit();
  logs_ = logs;
}

}  // namespace holdfast
