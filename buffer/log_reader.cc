// Readers: each takes records in order from where it is, and says when it is done with them.
#include <algorithm>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::size_t kQuarantinedDamageBytesMax = 64U << 10;
constexpr std::size_t kArenaBytesKept = 1U << 20;
constexpr int kReadFailuresMax = 3;
constexpr std::chrono::seconds kPauseAfterFailure{1};

/// The file is gone, its header is damaged (no errno), or the disk cannot read it. Everything else
/// (too many open files, no memory, permissions) may pass, and costs nothing but time.
bool is_final(int code) { return code == ENOENT || code == EIO || code == 0; }

}  // namespace

std::optional<LogReaderImpl::Target> LogReaderImpl::next_target() {
  const std::int64_t now = log_.clock_.steady_ns();
  std::lock_guard lock(log_.mutex_);
  for (auto at = log_.from_locked(place_.segment); at != log_.segments_.end(); ++at) {
    const Segment& segment = *at;
    if (segment.first_seq == place_.segment && place_.offset >= segment.data_end) {
      if (!segment.sealed) return std::nullopt;
      continue;
    }
    if (log_.options_.drain == DrainMode::windowed) {
      const std::int64_t readable_at =
          segment.created_steady_ns + log_.options_.read_age_min.count() * kNsPerMs;
      if (!segment.sealed || now < readable_at) return std::nullopt;
    }
    if (segment.first_seq != place_.segment) {
      place_ = {segment.first_seq, kSegmentHeaderBytes, 0, 0, place_.next_seq};
    }
    return Target{segment.first_seq, log_.path_of(segment.file), segment.data_end, segment.next_seq,
                  segment.sealed};
  }
  return std::nullopt;
}

bool LogReaderImpl::open_target(const Target& target) {
  if (open_ != nullptr && open_segment_ == target.first_seq) {
    open_->seek(place_.offset);
    open_->start_arena(arena_);
    return true;
  }
  open_.reset();
  auto reader = SegmentReader::open(log_.fs_, target.path);
  if (!reader) {
    log_.report("a segment cannot be opened for reading", reader.error().message);
    failure_ = reader.error().code;
    return false;
  }
  open_ = std::make_unique<SegmentReader>(std::move(*reader));
  open_segment_ = target.first_seq;
  open_->seek(place_.offset);
  open_->start_arena(arena_);
  return true;
}

Claim LogReaderImpl::claim(const ClaimLimits& limits) {
  Claim claim;
  if (std::chrono::steady_clock::now() < not_before_) return claim;
  if (arena_.capacity() > kArenaBytesKept) arena_.shrink_to_fit();
  arena_.clear();
  pieces_.clear();
  std::vector<ClaimPart> parts;
  {
    std::lock_guard lock(log_.mutex_);
    place_ = state_.claimed;
  }
  for (;;) {
    const auto target = next_target();
    if (!target) break;
    ClaimPart part;
    Read outcome = Read::failed;
    if (open_target(*target)) outcome = read_target(*target, limits, claim, part);
    if (outcome == Read::failed) {
      // A rename or a purge may have come between: the next look finds the new name or the next
      // segment.
      if (++failures_ <= kReadFailuresMax || !is_final(failure_) || !target->sealed) {
        not_before_ = std::chrono::steady_clock::now() +
                      (failures_ == 1 ? std::chrono::seconds{0} : kPauseAfterFailure);
        open_.reset();
        break;
      }
      skip_unreadable(*target, "the file cannot be read", part);
      outcome = Read::finished;
    }
    failures_ = 0;
    part.finished = outcome == Read::finished && target->sealed;
    if (part.finished) place_.next_seq = std::max(place_.next_seq, target->next_seq);
    part.end = place_;
    parts.push_back(part);
    if (outcome == Read::limited) {
      claim.limited = true;
      break;
    }
    if (!target->sealed) break;
  }
  keep_parts(parts, claim);
  return claim;
}

LogReaderImpl::Read LogReaderImpl::read_target(const Target& target, const ClaimLimits& limits,
                                               Claim& claim, ClaimPart& part) {
  for (;;) {
    const auto step = open_->next(target.data_end, arena_);
    using Kind = SegmentReader::Step::Kind;
    if (step.kind == Kind::io_error) {
      log_.note_error("a segment cannot be read", step.error);
      failure_ = step.error.code;
      return pieces_.empty() ? Read::failed : Read::limited;
    }
    if (step.kind == Kind::end || step.kind == Kind::seal) {
      place_.offset = target.data_end;
      return Read::finished;
    }
    const bool delivered_before = step.kind == Kind::record && step.header.seq < skip_below_;
    const bool over =
        !pieces_.empty() && (claim.items + step.header.item_count > limits.items_max ||
                             claim.raw_bytes + step.header.raw_length > limits.raw_bytes_max ||
                             pieces_.size() >= limits.records_max);
    if (step.kind == Kind::record && !delivered_before) {
      if (over) {
        open_->seek(step.offset);
        return Read::limited;
      }
      pieces_.push_back({step.header, step.payload_at, step.payload_length, target.first_seq});
      claim.items += step.header.item_count;
      claim.raw_bytes += step.header.raw_length;
      part.items += step.header.item_count;
      part.bytes += step.header.stored_length;
      ++part.records;
    } else if (!delivered_before) {
      step_over(target, step, part);
    }
    place_.offset = open_->offset();
    if (step.kind != Kind::damage) {
      place_.items += step.header.item_count;
      ++place_.records;
      place_.next_seq = step.header.seq + 1;
    }
  }
}

void LogReaderImpl::step_over(const Target& target, const SegmentReader::Step& step,
                              ClaimPart& part) {
  if (step.kind == SegmentReader::Step::Kind::bad_record) {
    part.corrupt.items += step.header.item_count;
    ++part.corrupt.records;
  }
  part.corrupt.bytes += step.length;
  bool first = false;
  {
    std::lock_guard lock(log_.mutex_);
    Segment* const found = log_.find_locked(target.first_seq);
    first = found != nullptr && found->damage_reported_up_to <= step.offset;
    if (first) {
      found->damage_reported_up_to = step.offset + step.length;
      log_.counters_.corrupt_bytes += step.length;
    }
  }
  if (!first) return;  // another reader has met it, or this one before a rewind
  std::string bytes(
      static_cast<std::size_t>(std::min<std::uint64_t>(step.length, kQuarantinedDamageBytesMax)),
      '\0');
  const auto got = open_->file().pread(bytes.data(), bytes.size(), step.offset);
  bytes.resize(got ? *got : 0);
  QuarantineEntry entry;
  entry.seq = place_.next_seq;
  entry.request_index = static_cast<std::uint32_t>(step.offset % 1'000'000);
  entry.item_count = step.header.item_count;
  entry.reason = "corrupt";
  entry.message = target.path;
  entry.bytes = bytes;
  log_.report("damaged bytes in a segment were stepped over and put into quarantine",
              target.path + " at " + std::to_string(step.offset) + ", " +
                  std::to_string(step.length) + " bytes");
  static_cast<void>(log_.keep_in_quarantine(entry));
}

void LogReaderImpl::skip_unreadable(const Target& target, std::string_view why, ClaimPart& part) {
  log_.report("a segment is given up: its records are counted as corrupt",
              target.path + ": " + std::string(why));
  part.corrupt.bytes += target.data_end - std::min(target.data_end, place_.offset);
  place_.offset = target.data_end;
  open_.reset();
}

void LogReaderImpl::keep_parts(std::vector<ClaimPart>& parts, Claim& claim) {
  std::lock_guard lock(log_.mutex_);
  std::vector<std::uint64_t> purged;  // while they were being read: counted as dropped already
  for (ClaimPart& part : parts) {
    const bool there = log_.find_locked(part.end.segment) != nullptr;
    if (there) {
      state_.parts.push_back(part);
    } else {
      purged.push_back(part.end.segment);
      claim.items -= part.items;
    }
  }
  if (!parts.empty()) state_.claimed = place_;
  claim.records.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    if (std::find(purged.begin(), purged.end(), piece.segment) != purged.end()) {
      claim.raw_bytes -= piece.header.raw_length;
      continue;
    }
    claim.records.push_back(make_record(
        piece.header, std::string_view(arena_).substr(piece.payload_at, piece.payload_length)));
  }
}

void LogReaderImpl::acknowledge() {
  std::uint64_t next_seq = 0;
  {
    std::lock_guard lock(log_.mutex_);
    const auto settle = [this](std::uint64_t items, std::uint64_t records) {
      state_.pending_items -= std::min(state_.pending_items, items);
      state_.pending_records -= std::min(state_.pending_records, records);
    };
    for (ClaimPart& part : state_.parts) {
      settle(part.items + part.corrupt.items, part.records + part.corrupt.records);
      add_drop(state_, DropReason::corrupt, part.corrupt);
      state_.acknowledged = part.end;
      if (!part.finished || part.gone) continue;
      // A sealed segment knows what it held: what no step has shown was lost to damage.
      const Segment* const found = log_.find_locked(part.end.segment);
      if (found == nullptr || part.end.records >= found->records) continue;
      const DropCounts lost{found->items - std::min(found->items, part.end.items),
                            found->records - part.end.records, 0};
      settle(lost.items, lost.records);
      add_drop(state_, DropReason::corrupt, lost);
    }
    state_.parts.clear();
    next_seq = state_.acknowledged.next_seq;
  }
  // Written at once, so that a kill repeats only what was in flight; maintain() syncs it, and tries
  // again after a failure.
  const Status wrote =
      log_.with_reserve([&] { return cursor_.write(next_seq, log_.clock_.unix_ns()); });
  if (!wrote) {
    log_.note_error("a cursor cannot be written", wrote.error());
  }
  log_.want_maintenance_at(log_.clock_.steady_ns() + kNsPerSecond);
}

void LogReaderImpl::rewind() {
  std::lock_guard lock(log_.mutex_);
  for (const ClaimPart& part : state_.parts) {
    if (!part.gone) continue;
    state_.pending_items -= std::min(state_.pending_items, part.items);
    state_.pending_records -= std::min(state_.pending_records, part.records);
    add_drop(state_, part.gone_reason, {part.items, part.records, part.bytes});
  }
  state_.parts.clear();
  state_.claimed = state_.acknowledged;
}

bool LogReaderImpl::wait_readable(std::stop_token stop,
                                  std::chrono::steady_clock::time_point deadline) {
  const auto pause_over = std::max(not_before_, std::chrono::steady_clock::time_point::min());
  std::unique_lock lock(log_.mutex_);
  for (;;) {
    if (stop.stop_requested()) return false;
    if (open_ != nullptr && log_.find_locked(open_segment_) == nullptr) {
      // Deleted: it would keep its room on the disk until it is closed.
      lock.unlock();
      open_.reset();
      lock.lock();
      continue;
    }
    const auto now = std::chrono::steady_clock::now();
    auto wake_at = deadline;
    auto next = log_.from_locked(state_.claimed.segment);
    if (next != log_.segments_.end() && next->first_seq == state_.claimed.segment &&
        state_.claimed.offset >= next->data_end) {
      ++next;
    }
    if (next != log_.segments_.end()) {
      std::int64_t wait_ns = 0;
      if (log_.options_.drain == DrainMode::windowed) {
        const std::int64_t readable_at =
            next->created_steady_ns + log_.options_.read_age_min.count() * kNsPerMs;
        wait_ns = readable_at - log_.clock_.steady_ns();
      }
      const bool ready = wait_ns <= 0 && (log_.options_.drain == DrainMode::live || next->sealed);
      if (ready && now >= pause_over) return true;
      if (pause_over > now) wake_at = std::min(wake_at, pause_over);
      if (wait_ns > 0) wake_at = std::min(wake_at, now + std::chrono::nanoseconds(wait_ns));
    }
    if (now >= deadline) return false;
    readable_wait(lock, stop, wake_at);
  }
}

void LogReaderImpl::readable_wait(std::unique_lock<std::mutex>& lock, const std::stop_token& stop,
                                  std::chrono::steady_clock::time_point until) {
  const std::uint64_t seen = log_.publications_;
  log_.readable_.wait_until(lock, stop, until, [&] { return log_.publications_ != seen; });
}

Status LogReaderImpl::quarantine(const QuarantineEntry& entry) {
  return log_.keep_in_quarantine(entry);
}

}  // namespace holdfast
