// Opening: what a start makes of the directory that it finds. Nothing in here fails on damage, and
// nothing is wiped.
#include <algorithm>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

constexpr std::size_t kBeginningBytesMax = 1U << 20;

/// Of two segments with the same numbers: which one stays?
/// One whose name tells the truth: after a loss of power a new file may show blocks of an old one.
bool is_better(const Segment& a, const Segment& b) {
  const auto name_is_true = [](const Segment& segment) {
    return parse_segment_name(segment.file)->first_seq == segment.first_seq;
  };
  if (name_is_true(a) != name_is_true(b)) return name_is_true(a);
  if (a.records != b.records) return a.records > b.records;
  if (a.created_unix_ns != b.created_unix_ns) return a.created_unix_ns < b.created_unix_ns;
  return a.file < b.file;
}

}  // namespace

Status LogImpl::recover(const std::vector<ReaderSpec>& readers) {
  if (Status made = fs_.make_directories(options_.directory, 0750); !made) {
    // One that is there will do: the listing below tells.
    note_error("the directory cannot be made or synced", made.error());
  }
  block_bytes_ = fs_.block_bytes(options_.directory);
  if (Status opened = quarantine_.open(); !opened) {
    report("the quarantine cannot be read", opened.error().message);
  }
  if (Status scanned = scan_directory(); !scanned) return scanned;
  // A killed process may have made names that it did not come to sync: cursors, the quarantine.
  if (Status synced = fs_.sync_directory(options_.directory); !synced) {
    note_error("the directory cannot be synced", synced.error());
  }
  take_up_seq(quarantine_.stats().next_seq);
  if (Status taken = take_up_readers(readers); !taken) return taken;
  reserve_.open(reserve_bytes_wanted());
  last_append_ns_ = clock_.steady_ns();
  last_sync_ns_ = last_append_ns_;
  quarantine_seen_ns_ = last_append_ns_;
  return {};
}

/// Numbers below it are never given out.
void LogImpl::take_up_seq(std::uint64_t next_seq) {
  if (next_seq <= kSeqTakenUpMax) next_seq_ = std::max(next_seq_, next_seq);
}

Status LogImpl::scan_directory() {
  auto listed = fs_.list(options_.directory);
  if (!listed) return listed.error();
  for (const DirectoryEntry& entry : *listed) {
    if (!entry.is_regular) continue;
    if (entry.name.starts_with("cursor-")) {
      // Also of exporters that are not configured now: when one comes back, no number below its
      // cursor may be new.
      cursors_bytes_ += rounded_to_blocks(kCursorBytes, block_bytes_);
      const auto cursor = Cursor::open_file(fs_, options_.directory, entry.name);
      if (cursor) take_up_seq(cursor->next_seq());
    }
    const auto name = parse_segment_name(entry.name);
    if (!name) continue;  // quarantine, strangers: left alone
    if (auto segment = examine(*name, entry.name)) segments_.push_back(std::move(*segment));
  }
  std::sort(segments_.begin(), segments_.end(), [](const Segment& a, const Segment& b) {
    return a.first_seq != b.first_seq ? a.first_seq < b.first_seq : is_better(a, b);
  });
  resolve_overlaps();
  for (Segment& segment : segments_) adopt(segment, *listed);
  return {};
}

/// No number may be there twice: a reader would not know which of the two it has had.
void LogImpl::resolve_overlaps() {
  std::deque<Segment> kept;
  for (Segment& segment : segments_) {
    bool stays = true;
    while (stays && !kept.empty() && segment.first_seq < kept.back().next_seq) {
      const Segment* const other = &kept.back();
      stays = is_better(segment, *other);
      const Segment loser = stays ? *other : segment;
      const std::string winner = stays ? segment.file : other->file;
      if (stays) kept.pop_back();
      const bool moved =
          quarantine_file(loser.file, loser.allocated,
                          {"a segment with the numbers of another one was moved to quarantine",
                           loser.file + ", beside " + winner});
      if (!moved) left_alone_bytes_ += loser.allocated;
    }
    if (stays) kept.push_back(std::move(segment));
  }
  segments_.swap(kept);
}

void LogImpl::adopt(Segment& segment, const std::vector<DirectoryEntry>& listed) {
  if (segment.file.ends_with(".wip")) {
    // Sealed as it is: an old segment is never appended to, so nothing has to be cut off. Nothing
    // may be written over either.
    const std::string sealed_name = segment.file.substr(0, segment.file.size() - 4) + ".seg";
    const bool taken = std::any_of(listed.begin(), listed.end(), [&](const DirectoryEntry& entry) {
      return entry.name == sealed_name;
    });
    const Status renamed = taken ? Status(Error{EEXIST, sealed_name + " is there as well"})
                                 : fs_.rename(path_of(segment.file), path_of(sealed_name));
    if (renamed.ok()) segment.file = sealed_name;
    if (!renamed) report("an open segment cannot be renamed", renamed.error().message);
  }
  segments_bytes_ += segment.allocated;
  take_up_seq(segment.next_seq);
}

/// As it is: left where it lies it would pass for delivered as soon as a cursor is beyond it.
bool LogImpl::quarantine_file(const std::string& file_name, std::uint64_t allocated,
                              const Reason& why) {
  const std::string path = path_of(file_name);
  Status moved = quarantine_.take_in(path, allocated);
  if (!moved && moved.error().code == EFBIG) moved = quarantine_beginning(path, why);
  if (moved.ok()) {
    report(why.message, why.detail);
    return true;
  }
  note_error("a segment cannot be moved to quarantine and is left alone",
             Error{moved.error().code, file_name + ": " + moved.error().message});
  return false;
}

/// Of a file that is larger than the whole quarantine.
Status LogImpl::quarantine_beginning(const std::string& path, const Reason& why) {
  auto file = fs_.open(path, FileSystem::Mode::read);
  if (!file) return file.error();
  std::string bytes(kBeginningBytesMax, '\0');
  BadBlocks bad;
  const auto got = pread_around(**file, bytes.data(), bytes.size(), 0, bad);
  const auto name = parse_segment_name(std::string_view(path).substr(path.rfind('/') + 1));
  if (!got) return got.error();
  if (!name) return Error{EINVAL, "not a segment: " + path};
  const std::string message = std::string(why.message) + ", which has room for its beginning only";
  QuarantineEntry entry;
  entry.seq = name->first_seq;
  entry.reason = "corrupt";
  entry.message = message;
  entry.bytes = std::string_view(bytes).substr(0, *got);
  if (Status kept = quarantine(entry); !kept) return kept;
  return fs_.unlink(path);
}

}  // namespace holdfast
