// Upkeep: sealing, expiry, purging, cursors, and deleting what all readers are past.
#include <algorithm>
#include <array>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::int64_t kIdleBeforeRetireNs = kNsPerSecond;
constexpr std::int64_t kCursorIntervalNs = kNsPerSecond;
constexpr std::int64_t kFullCheckIntervalNs = kNsPerSecond;
constexpr std::int64_t kDeleteRetryNs = kNsPerSecond;
constexpr std::int64_t kQuarantineLookIntervalNs = 60 * kNsPerSecond;

}  // namespace

void LogImpl::want_maintenance_at(std::int64_t steady_ns) {
  std::int64_t due = next_due_ns_.load(std::memory_order_relaxed);
  while (steady_ns < due) {
    if (next_due_ns_.compare_exchange_weak(due, steady_ns, std::memory_order_relaxed)) {
      if (wake_) wake_();
      return;
    }
  }
}

std::int64_t LogImpl::maintain() {
  std::lock_guard upkeep(upkeep_mutex_);
  const std::int64_t now = clock_.steady_ns();
  next_due_ns_.store(INT64_MAX, std::memory_order_relaxed);
  {
    std::lock_guard writer(writer_mutex_);
    sync_interval(now);
    retire_or_seal(now);
    expire(now);
  }
  if (now - last_cursor_save_ns_ >= kCursorIntervalNs) {
    save_cursors();
    delete_consumed();
    delete_again();
  }
  look_for_room();
  if (now - quarantine_seen_ns_ >= kQuarantineLookIntervalNs) {
    quarantine_seen_ns_ = now;
    quarantine_.look_again();
  }
  // What was asked for meanwhile woke the caller already; here it is only remembered.
  const std::int64_t mine = std::max(next_due(), now + kNsPerMs);
  std::int64_t due = next_due_ns_.load(std::memory_order_relaxed);
  while (mine < due && !next_due_ns_.compare_exchange_weak(due, mine, std::memory_order_relaxed)) {
  }
  return std::min(mine, due);
}

std::int64_t LogImpl::next_due() {
  std::int64_t due = INT64_MAX;
  std::lock_guard writer(writer_mutex_);
  std::lock_guard lock(mutex_);
  if (counters_.disk_nearly_full || reserve_.is_owed())
    due = clock_.steady_ns() + kFullCheckIntervalNs;
  if (quarantine_.stats().entries > 0) {
    due = std::min(due, quarantine_seen_ns_ + kQuarantineLookIntervalNs);
  }
  if (active_ && active_->records > 0) {
    due = std::min(due, active_->created_steady_ns + options_.write_age_max.count() * kNsPerMs);
    if (all_past_locked(segments_.back()))
      due = std::min(due, last_append_ns_ + kIdleBeforeRetireNs);
    if (active_->dirty && options_.durability == Durability::interval) {
      due = std::min(due, last_sync_ns_ + options_.sync_interval.count() * kNsPerMs);
    }
  }
  if (!segments_.empty()) {
    const Segment& oldest = segments_.front();
    due = std::min(due, std::max(expire_again_ns_, oldest.created_steady_ns +
                                                       options_.read_age_max.count() * kNsPerMs));
    if (oldest.sealed && all_past_locked(oldest))
      due = std::min(due, last_cursor_save_ns_ + kCursorIntervalNs);
  }
  if (!undeleted_.empty()) due = std::min(due, last_cursor_save_ns_ + kCursorIntervalNs);
  for (const auto& reader : readers_) {
    if (reader->state_.acknowledged.next_seq != reader->state_.saved_seq) {
      due = std::min(due, last_cursor_save_ns_ + kCursorIntervalNs);
    }
  }
  return due;
}

/// Every reader has what it wants of the segment.
bool LogImpl::all_past_locked(const Segment& segment) const {
  return !readers_.empty() &&
         std::all_of(readers_.begin(), readers_.end(), [&](const auto& reader) {
           return reader->state_.acknowledged.next_seq >= segment.next_seq ||
                  counts_without(segment, reader->skipped_in(segment)).records == 0;
         });
}

/// The same, and no start will ask for it again.
bool LogImpl::is_consumed_locked(const Segment& segment) const {
  return segment.sealed && !readers_.empty() &&
         std::all_of(readers_.begin(), readers_.end(), [&](const auto& reader) {
           return reader->state_.deletable_seq >= segment.next_seq ||
                  counts_without(segment, reader->skipped_in(segment)).records == 0;
         });
}

void LogImpl::sync_interval(std::int64_t now) {
  if (!active_ || !active_->dirty || options_.durability != Durability::interval) return;
  if (now - last_sync_ns_ < options_.sync_interval.count() * kNsPerMs) return;
  last_sync_ns_ = now;
  if (Status synced = active_->file->fdatasync(); !synced) {
    note_error("a segment cannot be synced", synced.error());
    active_->dirty = false;  // never tried again on this file
    abandon_active();
    return;
  }
  active_->dirty = false;
  std::lock_guard lock(mutex_);
  ++counters_.syncs;
}

void LogImpl::retire_or_seal(std::int64_t now) {
  if (!active_ || active_->records == 0) return;
  bool delivered = false;
  {
    std::lock_guard lock(mutex_);
    delivered = all_past_locked(segments_.back());
  }
  const bool idle = now - last_append_ns_ >= kIdleBeforeRetireNs;
  const bool old = now - active_->created_steady_ns >= options_.write_age_max.count() * kNsPerMs;
  // Delivered and idle: sealed so that it can go, and a buffer that has caught up holds next to
  // nothing.
  if (delivered && (idle || old)) {
    seal_active(false);
  } else if (old) {
    seal_active(options_.durability != Durability::none);
  }
}

void LogImpl::seal_active(bool sync) {
  RecordHeader seal;
  seal.type = RecordType::seal;
  {
    std::lock_guard lock(mutex_);
    seal.seq = segments_.back().next_seq;
  }
  seal.item_total = active_->items;
  seal.request_count = static_cast<std::uint32_t>(active_->records);
  RecordHeaderBytes bytes = encode_record_header(seal, active_->header.nonce);
  const iovec part{bytes.data(), bytes.size()};
  // The seal only saves a scan at the next start: without it nothing is lost.
  Status status = active_->file->pwritev({&part, 1}, active_->end);
  if (sync) {  // also without a seal: the records are still owed to the disk
    const Status synced = active_->file->fdatasync();
    if (status.ok()) status = synced;
  }
  if (!status) note_error("a segment cannot be sealed", status.error());
  const std::string sealed_name = active_->stem + ".seg";
  const Status renamed = with_reserve(
      [&] { return fs_.rename(path_of(active_->stem + ".wip"), path_of(sealed_name)); });
  if (!renamed) note_error("a segment cannot be renamed", renamed.error());
  if (renamed.ok() && sync) {
    if (Status synced = fs_.sync_directory(options_.directory); !synced) {
      note_error("the directory cannot be synced", synced.error());
    }
  }
  const std::uint64_t first_seq = active_->header.first_seq;
  const std::string path = path_of(renamed.ok() ? sealed_name : active_->stem + ".wip");
  {
    std::lock_guard lock(mutex_);
    Segment& segment = segments_.back();
    segment.sealed = true;
    if (renamed.ok()) segment.file = sealed_name;
    set_allocated_locked(segment,
                         rounded_to_blocks(active_->end + kRecordHeaderBytes, block_bytes_));
    ++publications_;
  }
  active_.reset();
  readable_.notify_all();  // windowed readers wait for sealed files
  // Measured when it is closed: until then XFS keeps room beyond its end.
  const auto file = fs_.open(path, FileSystem::Mode::read);
  const auto allocated = file ? (*file)->allocated() : Result<std::uint64_t>(file.error());
  if (!allocated) return;
  std::lock_guard lock(mutex_);
  if (Segment* const segment = find_locked(first_seq)) set_allocated_locked(*segment, *allocated);
}

void LogImpl::expire(std::int64_t now) {
  if (now < expire_again_ns_) return;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (segments_.empty()) return;
      const Segment& oldest = segments_.front();
      if (now - oldest.created_steady_ns < options_.read_age_max.count() * kNsPerMs) return;
    }
    if (!purge_oldest(DropReason::expired)) {
      expire_again_ns_ = now + kDeleteRetryNs;
      return;
    }
  }
}

void LogImpl::save_cursors() {
  last_cursor_save_ns_ = clock_.steady_ns();
  for (const auto& reader : readers_) {
    ReaderState& state = reader->state_;
    std::uint64_t seq = 0;
    {
      std::lock_guard lock(mutex_);
      seq = state.acknowledged.next_seq;
      if (seq == state.saved_seq) continue;
    }
    const Status saved = with_reserve([&] { return reader->cursor_.save(seq, clock_.unix_ns()); });
    if (!saved) note_error("a cursor cannot be written", saved.error());
    std::lock_guard lock(mutex_);
    if (saved.ok()) state.saved_seq = seq;
    // Whatever became of the cursor, delivered is delivered: a folder that cannot forget would fill
    // and refuse. An old cursor finds its segments gone and goes on at the next one that is there.
    state.deletable_seq = seq;
  }
}

void LogImpl::delete_consumed() {
  std::vector<Undeleted> consumed;
  {
    std::lock_guard lock(mutex_);
    // One that waits for its upstream must not hold what it skips: then also from the middle.
    const bool any_skips = std::any_of(readers_.begin(), readers_.end(),
                                       [](const auto& reader) { return !reader->rules_.empty(); });
    for (auto at = segments_.begin(); at != segments_.end();) {
      if (is_consumed_locked(*at)) {
        consumed.push_back({at->file, at->allocated});
        at = segments_.erase(at);
      } else if (any_skips) {
        ++at;
      } else {
        break;
      }
    }
  }
  for (const Undeleted& file : consumed) delete_file(path_of(file.path), file.allocated);
  if (!consumed.empty()) tell_readers();
}

void LogImpl::tell_readers() {
  {
    std::lock_guard lock(mutex_);
    ++publications_;
  }
  readable_.notify_all();
}

void LogImpl::close() {
  std::lock_guard upkeep(upkeep_mutex_);
  {
    std::lock_guard writer(writer_mutex_);
    if (active_ && active_->records > 0) seal_active(true);
  }
  save_cursors();
  delete_consumed();
}

}  // namespace holdfast
