// What a reader makes of damage: it is stepped over, counted, reported once, and kept in
// quarantine.
#include <algorithm>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::size_t kDamageBytesMax = 64U << 10;  // of one place
// Of one segment. More are counted and reported, but would push out of the quarantine what others
// have refused.
constexpr std::size_t kPlacesKeptMax = 256;
constexpr int kReadFailuresMax = 3;

std::string describe(const std::string& path, const SegmentReader::Step& step) {
  std::string text =
      path + " at " + std::to_string(step.offset) + ", " + std::to_string(step.length) + " bytes";
  if (step.bad.count > 0) {
    text += ", of which the disk cannot read " + std::to_string(step.bad.count) +
            " blocks of 4096 from " + std::to_string(step.bad.first) + " to " +
            std::to_string(step.bad.last + kDiskBlockBytes);
  }
  return text;
}

}  // namespace

/// A file that could not be opened or read: wait, and try again?
LogReaderImpl::AfterFailure LogReaderImpl::after_failure(const Target& target) {
  const bool medium = is_medium_error(failure_.code);
  // The file is gone, its header is past mending (no errno), or the disk cannot read it. Everything
  // else (too many open files, no memory, permissions) may pass, and costs nothing but time.
  const bool is_final = medium || failure_.code == ENOENT || failure_.code == 0;
  if (++failures_ > kReadFailuresMax && is_final) {
    if (medium && !around_) {
      around_ = true;
      return AfterFailure::read_around;
    }
    if (target.sealed) return AfterFailure::give_up;
  }
  log_.note_error("a segment cannot be read", failure_);
  not_before_ = std::chrono::steady_clock::now() +
                (failures_ == 1 ? std::chrono::milliseconds{0} : log_.options_.read_retry_pause);
  return AfterFailure::wait;
}

/// False: another reader has met it, or this one before a rewind.
bool LogReaderImpl::is_new_damage(const Target& target, std::uint64_t offset,
                                  std::uint64_t length) {
  std::lock_guard lock(log_.mutex_);
  Segment* const segment = log_.find_locked(target.first_seq);
  if (segment == nullptr) return false;
  auto& known = segment->damage_reported;
  const auto at = std::lower_bound(known.begin(), known.end(), offset);
  if (at != known.end() && *at == offset) return false;
  known.insert(at, offset);
  log_.counters_.corrupt_bytes += length;
  return true;
}

void LogReaderImpl::step_over(const Target& target, const SegmentReader::Step& step,
                              ClaimPart& part) {
  if (step.kind == SegmentReader::Step::Kind::bad_record) {
    part.corrupt.items += step.header.item_count;
    ++part.corrupt.records;
  }
  part.corrupt.bytes += step.length;
  if (!is_new_damage(target, step.offset, step.length)) return;
  std::size_t places = 0;
  {
    std::lock_guard lock(log_.mutex_);
    const Segment* const segment = log_.find_locked(target.first_seq);
    places = segment == nullptr ? 0 : segment->damage_reported.size();
  }
  const std::string what = describe(target.path, step);
  if (places > kPlacesKeptMax) {
    log_.report("damaged bytes in a segment were stepped over: they are too many for quarantine",
                what);
    return;
  }
  const Status kept = quarantine_damage(step, what);
  log_.report(kept.ok() ? "damaged bytes in a segment were stepped over and put into quarantine"
                        : "damaged bytes in a segment were stepped over, and cannot be put into "
                          "quarantine",
              kept.ok() ? what : what + ": " + kept.error().message);
}

Status LogReaderImpl::quarantine_damage(const SegmentReader::Step& step, std::string_view what) {
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(step.length, kDamageBytesMax)),
                    '\0');
  BadBlocks bad;
  const auto got = pread_around(open_->file(), bytes.data(), bytes.size(), step.offset, bad);
  bytes.resize(got ? *got : 0);
  QuarantineEntry entry;
  entry.seq = place_.next_seq;
  entry.request_index = static_cast<std::uint32_t>(step.offset / 8);  // tells places apart
  entry.item_count = step.header.item_count;
  entry.reason = "corrupt";
  entry.message = what;
  entry.bytes = bytes;
  return log_.quarantine(entry);
}

/// The rest of the segment is lost to this reader. The file is kept, whole: somebody may know how
/// to read it.
void LogReaderImpl::give_up(const Target& target, ClaimPart& part) {
  const std::uint64_t rest = target.data_end - std::min(target.data_end, place_.offset);
  part.corrupt.bytes += rest;
  place_.offset = target.data_end;
  settle(target, part);
  if (target.given_up) return;
  std::string file;
  std::uint64_t allocated = 0;
  {
    std::lock_guard lock(log_.mutex_);
    Segment* const segment = log_.find_locked(target.first_seq);
    if (segment == nullptr || segment->given_up) return;
    segment->given_up = true;
    file = segment->file;
    allocated = segment->allocated;
    log_.counters_.corrupt_bytes += rest;
  }
  const std::string what = target.path + ": " + failure_.message;
  bool moved = false;
  if (failure_.code == ENOENT) {
    log_.report("a segment is gone: its records are counted as corrupt", what);
    moved = true;
  } else {
    moved = log_.quarantine_file(
        file, allocated,
        {"a segment is given up and was moved to quarantine: its records are counted as corrupt",
         what});
  }
  std::lock_guard lock(log_.mutex_);
  Segment* const segment = log_.find_locked(target.first_seq);
  if (segment != nullptr && moved) log_.set_allocated_locked(*segment, 0);
}

}  // namespace holdfast
