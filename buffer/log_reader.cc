// Readers: each takes records in order from where it is, and says when it is done with them.
#include <algorithm>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::size_t kArenaBytesKept = 1U << 20;
constexpr std::size_t kForgottenBytesMin = 1U << 20;

}  // namespace

std::optional<LogReaderImpl::Target> LogReaderImpl::next_target() {
  const std::int64_t now = log_.clock_.steady_ns();
  std::lock_guard lock(log_.mutex_);
  if (pass_skipped_locked(place_)) passed_ = true;
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
      place_ = {segment.first_seq, kSegmentHeaderBytes, 0, 0,
                std::max(place_.next_seq, segment.first_seq)};
    }
    const Sources& skipped = skipped_in(segment);
    const DropCounts own = counts_without(segment, skipped);
    return Target{.first_seq = segment.first_seq,
                  .path = log_.path_of(segment.file),
                  .data_end = segment.data_end,
                  .next_seq = segment.next_seq,
                  .items = own.items,
                  .records = own.records,
                  .skipped_bytes = segment.data_end - own.bytes,
                  .skipped = skipped,
                  .sealed = segment.sealed,
                  .given_up = segment.given_up};
  }
  return std::nullopt;
}

const Sources& LogReaderImpl::skipped_in(const Segment& segment) const {
  return skipped_at(rules_, segment.first_seq);
}

/// Moves `place` over what is left of the next segments, as far as all of that is skipped; without
/// reading it.
bool LogReaderImpl::pass_skipped_locked(ReadPosition& place) const {
  if (rules_.empty()) return false;
  bool moved = false;
  for (auto at = log_.from_locked(place.segment); at != log_.segments_.end(); ++at) {
    const bool inside = at->first_seq == place.segment;
    if (!inside || place.offset < at->data_end) {
      const DropCounts own = counts_without(*at, skipped_in(*at));
      if (own.records > (inside ? place.records : 0)) break;
      place = end_of(*at, own, place.next_seq);
      moved = true;
    }
    if (!at->sealed) break;
  }
  return moved;
}

/// The same for a reader that has nothing in its hands: it is done with them. The cursor's file
/// follows with the next upkeep.
bool LogReaderImpl::settle_skipped_locked() {
  if (!state_.parts.empty()) return false;
  ReadPosition place = state_.claimed;
  if (!pass_skipped_locked(place)) return false;
  const std::uint64_t dropped_below = state_.acknowledged.next_seq;
  state_.claimed = state_.acknowledged = place;
  state_.acknowledged.next_seq = std::max(place.next_seq, dropped_below);
  return true;
}

void LogReaderImpl::add_pending_locked(std::span<const NewRecord* const> records, DropCounts sum,
                                       const Sources& skipped) {
  if (!skipped.empty()) {
    for (const NewRecord* record : records) {
      if (!contains(skipped, record->source)) continue;
      sum.items -= record->item_count;
      --sum.records;
    }
  }
  state_.pending_items += sum.items;
  state_.pending_records += sum.records;
}

Status LogReaderImpl::open_target(const Target& target) {
  if (open_segment_ != target.first_seq) {
    open_.reset();
    open_segment_ = target.first_seq;
    around_ = false;
  }
  Status opened = open_file(target, target.path);
  if (!opened && opened.error().code == ENOENT && target.path.ends_with(".wip")) {
    // Sealed since the target was looked up.
    opened = open_file(target, target.path.substr(0, target.path.size() - 4) + ".seg");
  }
  if (!opened) return opened;
  open_->seek(place_.offset);
  open_->start_arena(arena_);
  return {};
}

Status LogReaderImpl::open_file(const Target& target, const std::string& path) {
  const auto unreadable =
      around_ ? SegmentReader::Unreadable::is_damage : SegmentReader::Unreadable::fails;
  if (open_ != nullptr) {
    open_->treat_unreadable_as(unreadable);
    return open_->reopen(log_.fs_, path);
  }
  auto reader = SegmentReader::open(log_.fs_, path, unreadable);
  if (!reader) return reader.error();
  open_ = std::make_unique<SegmentReader>(std::move(*reader));
  if (open_->header_was_damaged() && is_new_damage(target, 0, kSegmentHeaderBytes)) {
    log_.report("a segment's header is damaged: its records are read all the same", path);
  }
  return {};
}

Claim LogReaderImpl::claim(const ClaimLimits& limits) {
  Claim claim;
  if (std::chrono::steady_clock::now() < not_before_) return claim;
  arena_.clear();
  if (arena_.capacity() > kArenaBytesKept) arena_.shrink_to_fit();
  pieces_.clear();
  std::vector<ClaimPart> parts;
  {
    std::lock_guard lock(log_.mutex_);
    place_ = state_.claimed;
    passed_ = false;
  }
  while (const auto target = next_target()) {
    const ReadPosition before = place_;
    ClaimPart part;
    Read outcome = Read::failed;
    if (!target->given_up) {
      const Status opened = open_target(*target);
      if (!opened) failure_ = opened.error();
      if (opened.ok()) outcome = read_target(*target, limits, claim, part);
      if (outcome == Read::failed) {
        place_ = before;
        part = {};
        const AfterFailure then = after_failure(*target);
        if (then == AfterFailure::wait) break;
        if (then == AfterFailure::read_around) continue;
      }
    }
    if (outcome == Read::failed) {
      give_up(*target, part);
      outcome = Read::finished;
    }
    failures_ = 0;
    part.end = place_;
    parts.push_back(part);
    passed_ = false;
    if (outcome == Read::limited) {
      claim.limited = true;
      break;
    }
    if (!target->sealed) break;
  }
  if (passed_) parts.push_back({.end = place_});
  if (open_ != nullptr) open_->close();
  keep_parts(parts, claim);
  return claim;
}

LogReaderImpl::Read LogReaderImpl::read_target(const Target& target, const ClaimLimits& limits,
                                               Claim& claim, ClaimPart& part) {
  std::size_t kept = arena_.size();  // what lies behind it in the arena is not needed any more
  for (;;) {
    if (arena_.size() > kept + kForgottenBytesMin) open_->forget(arena_, kept);
    const auto step = open_->next(target.data_end, arena_);
    using Kind = SegmentReader::Step::Kind;
    if (step.kind == Kind::io_error) {
      failure_ = step.error;
      return pieces_.empty() ? Read::failed : Read::limited;
    }
    if (step.kind == Kind::end) {
      place_.offset = target.data_end;
      settle(target, part);
      return Read::finished;
    }
    const bool has_record = step.kind == Kind::record || step.kind == Kind::bad_record;
    const bool delivered_before = has_record && step.header.seq < skip_below_;
    const bool skipped = has_record && contains(target.skipped, step.header.source);
    if (step.kind == Kind::record && !delivered_before && !skipped) {
      const bool over =
          !pieces_.empty() && (claim.items + step.header.item_count > limits.items_max ||
                               claim.raw_bytes + step.header.raw_length > limits.raw_bytes_max ||
                               pieces_.size() >= limits.records_max);
      if (over) return Read::limited;
      pieces_.push_back({step.header, step.payload_at, step.payload_length, target.first_seq});
      kept = step.payload_at + step.payload_length;
      claim.items += step.header.item_count;
      claim.raw_bytes += step.header.raw_length;
      part.items += step.header.item_count;
      part.bytes += step.header.stored_length;
      ++part.records;
    } else if (step.kind != Kind::seal && !delivered_before && !skipped) {
      step_over(target, step, part);
    }
    place_.offset = open_->offset();
    if (has_record && !delivered_before) pass(step.header, skipped);
  }
}

void LogReaderImpl::pass(const RecordHeader& header, bool skipped) {
  if (skipped) {
    place_.skipped_bytes += header.padded_length();
  } else {
    place_.items += header.item_count;
    ++place_.records;
  }
  // Where a number is missing it may have been lost, or be further on: only the end of the segment
  // tells. Until then a kill repeats what comes after it.
  if (place_.next_seq == header.seq) ++place_.next_seq;
}

/// At the end of what a segment has for now: it knows what it held, and what no step has shown was
/// lost to damage.
void LogReaderImpl::settle(const Target& target, ClaimPart& part) {
  if (place_.records < target.records) {
    part.corrupt.records += target.records - place_.records;
    part.corrupt.items += target.items - std::min(target.items, place_.items);
  } else {
    part.recount_items += static_cast<std::int64_t>(place_.items - target.items);
  }
  place_.items = target.items;
  place_.records = target.records;
  place_.skipped_bytes = target.skipped_bytes;
  place_.next_seq = std::max(place_.next_seq, target.next_seq);
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
    for (const ClaimPart& part : state_.parts) {
      if (!part.gone) recount(state_, part.recount_items);
      take_off_pending(state_, part);
      add_drop(state_, DropReason::corrupt, part.corrupt);
      const std::uint64_t dropped_below = state_.acknowledged.next_seq;
      state_.acknowledged = part.end;
      state_.acknowledged.next_seq = std::max(part.end.next_seq, dropped_below);
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
    take_off_pending(state_, part);
    add_drop(state_, part.gone_reason, {part.items, part.records, part.bytes});
    add_drop(state_, DropReason::corrupt, part.corrupt);
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
    if (settle_skipped_locked()) {
      lock.unlock();
      log_.want_maintenance_at(log_.clock_.steady_ns() + kNsPerSecond);
      lock.lock();
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

Status LogReaderImpl::quarantine(const QuarantineEntry& entry) { return log_.quarantine(entry); }

}  // namespace holdfast
