// Room: what the folder and the disk still take, what is dropped or refused for want of it, and the
// files that could not be deleted.
#include <algorithm>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kReserveBytesMax = 1U << 20;
constexpr std::uint64_t kReserveShare = 64;  // of a small folder: its 64th part
constexpr std::int64_t kFreeCheckIntervalNs = kNsPerSecond;
constexpr std::int64_t kReserveRetryNs = 60 * kNsPerSecond;
// Refused requests may be large: that there is room for so much is worth saying.
constexpr std::uint64_t kRoomWorthTellingBytes = 1U << 20;

}  // namespace

std::uint64_t LogImpl::folder_bytes_for_segments() const {
  // Set aside, whether they take it or not: quarantine, cursors and reserve grow when the folder
  // may be full. Only a segment that was moved there as it was takes the quarantine past its share.
  const std::uint64_t quarantine =
      std::max<std::uint64_t>(quarantine_.stats().bytes, quarantine_bytes_max_);
  const std::uint64_t others = quarantine + cursors_bytes_ + left_alone_bytes_ + reserve_.bytes();
  const std::uint64_t all = folder_bytes_max_;
  return all - std::min(all, others);
}

std::uint64_t LogImpl::reserve_bytes_wanted() const {
  return rounded_to_blocks(std::min(kReserveBytesMax, options_.folder_bytes_max / kReserveShare),
                           block_bytes_);
}

std::uint64_t LogImpl::record_bytes_max() const {
  constexpr std::uint64_t kAround = kSegmentHeaderBytes + 2 * kRecordHeaderBytes + 8;
  const std::uint64_t folder = folder_bytes_for_segments() / block_bytes_ * block_bytes_;
  return std::min<std::uint64_t>(kStoredBytesMax, folder - std::min(folder, kAround));
}

bool LogImpl::folder_has_room_locked(std::uint64_t bytes) const {
  // The seal that will close the segment is counted from its first record on: sealing needs no
  // check.
  const std::uint64_t end = active_ ? active_->end : kSegmentHeaderBytes;
  const std::uint64_t there = active_ ? segments_.back().allocated : 0;
  const std::uint64_t then = rounded_to_blocks(end + bytes + kRecordHeaderBytes, block_bytes_);
  return segments_bytes_ - there + then <= folder_bytes_for_segments();
}

bool LogImpl::fits_in_no_folder(std::uint64_t bytes) {
  std::uint64_t taken = 0;
  {
    std::lock_guard lock(mutex_);
    for (const Undeleted& file : undeleted_) taken += file.allocated;
  }
  const std::uint64_t whole = kSegmentHeaderBytes + bytes + kRecordHeaderBytes;
  return taken + rounded_to_blocks(whole, block_bytes_) > folder_bytes_for_segments();
}

AppendOutcome LogImpl::make_room(std::uint64_t bytes) {
  if (!disk_has_room(bytes)) {
    report("the file system is full to its floor: requests are refused", options_.directory);
    refused_for_room(bytes);
    return AppendOutcome::full;
  }
  // What fits in no folder, however empty, must not push out what does.
  if (fits_in_no_folder(bytes)) {
    report("a request is larger than the folder may be and is refused", options_.directory);
    return AppendOutcome::full;
  }
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      if (folder_has_room_locked(bytes)) return AppendOutcome::stored;
    }
    if (options_.overflow == Overflow::reject || !purge_oldest(DropReason::folder_full)) {
      refused_for_room(bytes);
      return AppendOutcome::full;
    }
  }
}

bool LogImpl::disk_has_room(std::uint64_t bytes) {
  // What the reserve gave away is for cursors and quarantine, not for more of what filled the disk.
  if (reserve_.is_owed() && !make_reserve()) return false;
  if (options_.free_bytes_min == 0) return true;
  const std::int64_t now = clock_.steady_ns();
  const bool stale =
      free_checked_ns_ == INT64_MIN || now - free_checked_ns_ >= kFreeCheckIntervalNs;
  if (stale || free_left_ < bytes) {
    const auto free = fs_.free_bytes(options_.directory);
    if (!free) return true;  // it cannot be asked: the write itself will tell
    free_checked_ns_ = now;
    free_left_ = *free > options_.free_bytes_min ? *free - options_.free_bytes_min : 0;
  }
  const bool room = free_left_ >= bytes;
  if (room) free_left_ -= bytes;
  return room;
}

bool LogImpl::room_for_reserve() {
  const auto free = fs_.free_bytes(options_.directory);
  return !free || *free >= options_.free_bytes_min + reserve_.bytes();
}

/// False: it is owed still. That there is none for another reason stops nobody.
bool LogImpl::make_reserve() {
  if (reserve_.is_there()) return true;
  const std::int64_t now = clock_.steady_ns();
  if (!reserve_.is_owed()) {
    if (now < reserve_again_ns_) return true;
    std::lock_guard lock(mutex_);
    if (segments_bytes_ > folder_bytes_for_segments()) return true;
  }
  if (!room_for_reserve()) return !reserve_.is_owed();
  const Status made = reserve_.make();
  if (!made && !is_out_of_room(made.error())) {
    report("the reserve for a full disk cannot be made", made.error().message);
    reserve_again_ns_ = now + kReserveRetryNs;
  }
  return !reserve_.is_owed();
}

void LogImpl::refused_for_room(std::uint64_t bytes) {
  refused_bytes_ = std::min(bytes, kRoomWorthTellingBytes);
  std::lock_guard lock(mutex_);
  counters_.disk_nearly_full = true;
}

void LogImpl::look_for_room() {
  std::lock_guard writer(writer_mutex_);
  bool room = make_reserve();
  {
    std::lock_guard lock(mutex_);
    if (!counters_.disk_nearly_full) return;
  }
  // Nobody may be appending: what is told about the disk must not wait for the next request. What
  // was refused last has to fit, and a disk that was full has to show it: statvfs knows no quotas.
  room = room && disk_has_room(refused_bytes_);
  if (room && disk_refused_) {
    room = room_for_reserve();
    if (room) {
      const Status proved = reserve_.prove_room();
      room = proved.ok() || !is_out_of_room(proved.error());
    }
  }
  if (room) disk_refused_ = false;
  std::lock_guard lock(mutex_);
  counters_.disk_nearly_full =
      !room || (options_.overflow == Overflow::reject && !folder_has_room_locked(refused_bytes_));
}

bool LogImpl::purge_oldest(DropReason reason) {
  bool only_active = false;
  std::uint64_t first_seq = 0;
  {
    std::lock_guard lock(mutex_);
    if (segments_.empty()) return false;
    only_active = !segments_.front().sealed;
    first_seq = segments_.front().first_seq;
  }
  if (only_active) seal_active(false);
  std::string file;
  {
    std::lock_guard lock(mutex_);
    // Upkeep may have deleted it meanwhile, as delivered: then there is room already.
    if (segments_.empty() || segments_.front().first_seq != first_seq) return true;
    file = segments_.front().file;
  }
  // First the file: if it cannot go, dropping what is in it would win no room.
  if (Status gone = fs_.unlink(path_of(file)); !gone && gone.error().code != ENOENT) {
    note_error("a segment cannot be deleted", gone.error());
    return false;
  }
  {
    std::lock_guard lock(mutex_);
    if (segments_.empty() || segments_.front().first_seq != first_seq) return true;
    drop_segment_locked(segments_.front(), reason);
    segments_bytes_ -= segments_.front().allocated;
    segments_.pop_front();
  }
  tell_readers();  // one that waits may hold it open, and with it its room
  report(reason == DropReason::expired ? "a segment was dropped: older than max_file_age_for_read"
                                       : "a segment was dropped: the folder is full",
         file);
  return true;
}

void LogImpl::drop_segment_locked(const Segment& segment, DropReason reason) {
  for (const auto& reader : readers_) {
    ReaderState& state = reader->state_;
    if (state.acknowledged.next_seq >= segment.next_seq) continue;
    DropCounts left = counts_without(segment, reader->skipped_in(segment));
    if (left.records == 0) left = {};
    const auto take_off = [&left](std::uint64_t items, std::uint64_t records) {
      left.items -= std::min(left.items, items);
      left.records -= std::min(left.records, records);
    };
    if (state.acknowledged.segment == segment.first_seq) {
      take_off(state.acknowledged.items, state.acknowledged.records);
      left.bytes -=
          std::min(left.bytes, state.acknowledged.offset - state.acknowledged.skipped_bytes);
    }
    for (ClaimPart& part : state.parts) {  // on their way upstream: theirs is decided later
      if (part.end.segment != segment.first_seq) continue;
      take_off(part.items + part.corrupt.items, part.records + part.corrupt.records);
      part.gone = true;
      part.gone_reason = reason;
    }
    state.pending_items -= std::min(state.pending_items, left.items);
    state.pending_records -= std::min(state.pending_records, left.records);
    add_drop(state, reason, left);
    // The cursor goes on to say which numbers were used, when no segment is left that does.
    state.acknowledged.next_seq = segment.next_seq;
  }
}

/// The file is in nobody's list any more, and its bytes are in segments_bytes_ until it is gone.
void LogImpl::delete_file(const std::string& path, std::uint64_t allocated) {
  const Status gone = fs_.unlink(path);
  const bool deleted = gone.ok() || gone.error().code == ENOENT;
  if (!deleted) note_error("a file cannot be deleted and is tried again", gone.error());
  std::lock_guard lock(mutex_);
  if (deleted) {
    segments_bytes_ -= allocated;
  } else {
    undeleted_.push_back({path, allocated});
  }
}

void LogImpl::delete_again() {
  std::vector<Undeleted> files;
  {
    std::lock_guard lock(mutex_);
    files = undeleted_;
  }
  for (const Undeleted& file : files) {
    const Status gone = fs_.unlink(file.path);
    if (!gone && gone.error().code != ENOENT) continue;  // it was reported the first time
    std::lock_guard lock(mutex_);
    segments_bytes_ -= file.allocated;
    std::erase_if(undeleted_, [&](const Undeleted& other) { return other.path == file.path; });
  }
}

Status LogImpl::quarantine(const QuarantineEntry& entry) {
  return with_reserve([&] { return quarantine_.add(entry); });
}

}  // namespace holdfast
