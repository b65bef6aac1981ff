// Opening: what a start makes of the directory that it finds. Nothing in here fails on damage, and
// nothing is wiped.
#include <algorithm>
#include <cerrno>

#include "buffer/log_impl.h"

namespace holdfast {
namespace {

// Older dates come from a machine whose clock was not set yet: such a file's age is counted from
// now on.
constexpr std::int64_t kEarliestPlausibleUnixNs = 1'577'836'800LL * kNsPerSecond;  // 2020-01-01

constexpr std::size_t kQuarantinedDamageBytesMax = 1U << 20;
constexpr std::uint64_t kReserveBytesMax = 1U << 20;
constexpr std::uint64_t kReserveShare = 64;  // of a small folder: its 64th part

}  // namespace

Status LogImpl::recover(const std::vector<std::string>& readers) {
  if (Status made = fs_.make_directories(options_.directory, 0750); !made) return made;
  block_bytes_ = fs_.block_bytes(options_.directory);
  if (Status opened = quarantine_.open(); !opened) {
    report("the quarantine cannot be read", opened.error().message);
  }
  if (Status scanned = scan_directory(); !scanned) return scanned;
  next_seq_ = std::max(next_seq_, quarantine_.stats().next_seq);
  for (const Segment& segment : segments_) next_seq_ = std::max(next_seq_, segment.next_seq);
  for (const std::string& name : readers) take_up_reader(name);
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    place_reader(*readers_[i], cursors_[i]->next_seq());
  }
  reserve_.open(rounded_to_blocks(
      std::min(kReserveBytesMax, options_.folder_bytes_max / kReserveShare), block_bytes_));
  last_append_ns_ = clock_.steady_ns();
  last_sync_ns_ = last_append_ns_;
  return {};
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
      if (cursor) next_seq_ = std::max(next_seq_, cursor->next_seq());
    }
    const auto name = parse_segment_name(entry.name);
    if (!name) continue;  // quarantine, strangers: left alone
    adopt(*name, entry.name);
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const Segment& a, const Segment& b) { return a.first_seq < b.first_seq; });
  return {};
}

void LogImpl::adopt(const SegmentName& name, std::string_view file_name) {
  const std::string path = path_of(file_name);
  auto segment = examine(name, path);
  if (!segment) return;
  if (segment->records == 0 && segment->data_end <= kSegmentHeaderBytes) {
    // Nothing was acknowledged from a file without a whole record, unless it has been damaged
    // since.
    set_aside(path, file_name, kSegmentHeaderBytes, "no whole record");
    next_seq_ = std::max(next_seq_, name.first_seq);
    return;
  }
  if (!name.sealed) {
    // Sealed as it is: an old segment is never appended to, so nothing has to be cut off.
    const std::string sealed_name = std::string(file_name.substr(0, file_name.size() - 4)) + ".seg";
    const Status renamed = fs_.rename(path, path_of(sealed_name));
    if (renamed.ok()) segment->file = sealed_name;
    if (!renamed) report("an open segment cannot be renamed", renamed.error().message);
  }
  segments_bytes_ += segment->allocated;
  segments_.push_back(std::move(*segment));
}

/// Of a segment that an earlier life left. Within one start of the machine by a clock that nobody
/// sets; else by the wall clock, as far as its dates can be true.
std::int64_t LogImpl::age_of(const SegmentHeader& header) const {
  const std::int64_t since_boot = clock_.boottime_ns() - header.created_boottime_ns;
  if (header.boot_id != 0 && header.boot_id == clock_.boot_id() && since_boot >= 0) {
    return since_boot;
  }
  const std::int64_t age = clock_.unix_ns() - header.created_unix_ns;
  return header.created_unix_ns >= kEarliestPlausibleUnixNs && age > 0 ? age : 0;
}

std::optional<Segment> LogImpl::examine(const SegmentName& name, const std::string& path) {
  auto reader = SegmentReader::open(fs_, path);
  const std::string_view file_name = std::string_view(path).substr(options_.directory.size() + 1);
  if (!reader) {
    next_seq_ = std::max(next_seq_, name.first_seq + 1);
    if (reader.error().message.starts_with("unknown format version")) {
      ++counters_.segments_unknown_version;
      report("a segment of another format version is left alone", path);
    } else if (reader.error().code == 0) {
      set_aside(path, file_name, 0, reader.error().message);
    } else {
      move_aside(path, file_name, reader.error());
    }
    return std::nullopt;
  }
  const auto size = reader->file().size();
  if (!size) {
    move_aside(path, file_name, size.error());
    return std::nullopt;
  }
  Segment segment;
  segment.first_seq = name.first_seq;
  segment.next_seq = name.first_seq;
  segment.file = std::string(file_name);
  segment.sealed = true;
  segment.created_unix_ns = reader->header().created_unix_ns;
  segment.created_steady_ns = clock_.steady_ns() - age_of(reader->header());
  const auto allocated = reader->file().allocated();
  segment.allocated = allocated ? *allocated : *size;
  if (!read_seal(*reader, *size, segment)) scan_whole(*reader, *size, segment);
  return segment;
}

bool LogImpl::read_seal(SegmentReader& reader, std::uint64_t size, Segment& segment) {
  if (size < kSegmentHeaderBytes + kRecordHeaderBytes) return false;
  const std::uint64_t at = size - kRecordHeaderBytes;
  RecordHeaderBytes bytes{};
  const auto got = reader.file().pread(bytes.data(), bytes.size(), at);
  if (!got || *got != bytes.size()) return false;
  const auto header = parse_record_header({bytes.data(), bytes.size()}, reader.header().nonce);
  if (!header || header->type != RecordType::seal || header->seq < segment.first_seq) return false;
  segment.next_seq = header->seq;
  segment.items = header->item_total;
  segment.records = header->request_count;
  segment.data_end = at;
  return true;
}

void LogImpl::scan_whole(SegmentReader& reader, std::uint64_t size, Segment& segment) {
  std::string arena;
  segment.data_end = kSegmentHeaderBytes;
  for (;;) {
    arena.clear();
    reader.start_arena(arena);
    const auto step = reader.next(size, arena);
    using Kind = SegmentReader::Step::Kind;
    if (step.kind == Kind::end || step.kind == Kind::seal) break;
    if (step.kind == Kind::io_error) {
      report("a segment cannot be read to its end", step.error.message);
      segment.data_end = size;  // the reader will meet it, and count what is lost
      break;
    }
    if (step.kind == Kind::damage) {
      if (step.tail) {
        counters_.torn_tail_bytes += step.length;
        report("a torn tail was left by a crash: nothing in it was acknowledged",
               segment.file + ": " + std::to_string(step.length) + " bytes");
        break;
      }
      continue;
    }
    segment.items += step.header.item_count;
    ++segment.records;
    segment.next_seq = std::max(segment.next_seq, step.header.seq + 1);
    segment.data_end = reader.offset();
  }
}

/// As it is: left where it lies it would pass for delivered as soon as a cursor is beyond it.
void LogImpl::move_aside(const std::string& path, std::string_view file_name, const Error& why) {
  const std::string folder = options_.directory + "/quarantine";
  Status moved = fs_.make_directories(folder, 0750);
  if (moved.ok()) moved = fs_.rename(path, folder + "/" + std::string(file_name));
  note_error(moved.ok() ? "a segment cannot be read and was moved to quarantine"
                        : "a segment can neither be read nor moved to quarantine",
             why);
}

void LogImpl::set_aside(const std::string& path, std::string_view file_name, std::uint64_t from,
                        std::string_view why) {
  auto file = fs_.open(path, FileSystem::Mode::read);
  if (!file) return;
  const auto size = (*file)->size();
  std::string bytes(
      size ? static_cast<std::size_t>(std::min<std::uint64_t>(*size, kQuarantinedDamageBytesMax))
           : 0,
      '\0');
  const auto got = (*file)->pread(bytes.data(), bytes.size(), from);
  bytes.resize(got ? *got : 0);
  const bool empty = bytes.find_first_not_of('\0') == std::string::npos;
  if (!empty) {
    QuarantineEntry entry;
    entry.seq = parse_segment_name(file_name)->first_seq;
    entry.reason = "corrupt";
    entry.message = why;
    entry.bytes = bytes;
    if (Status kept = keep_in_quarantine(entry); !kept) {
      report("a damaged segment cannot be put into quarantine and is left alone",
             kept.error().message);
      return;
    }
    counters_.corrupt_bytes += size ? *size : 0;
    report("a segment without a whole record or header was put into quarantine", path);
  }
  if (Status gone = fs_.unlink(path); !gone)
    report("a damaged segment cannot be deleted", gone.error().message);
}

void LogImpl::take_up_reader(const std::string& name) {
  Cursor cursor = Cursor::open(fs_, options_.directory, name, clock_.unix_ns());
  if (cursor.was_damaged()) {
    report("a cursor is damaged: its exporter starts again at the oldest record", name);
  }
  if (!cursor.obstacle().empty()) {
    report("a cursor cannot be read: its exporter starts again at the oldest record",
           cursor.obstacle());
  }
  if (!cursor.has_file()) cursors_bytes_ += rounded_to_blocks(kCursorBytes, block_bytes_);
  next_seq_ = std::max(next_seq_, cursor.next_seq());
  cursors_.push_back(std::make_unique<Cursor>(std::move(cursor)));
  readers_.push_back(std::make_unique<LogReaderImpl>(*this, name, *cursors_.back()));
}

void LogImpl::place_reader(LogReaderImpl& reader, std::uint64_t cursor_seq) {
  ReaderState& state = reader.state_;
  state.saved_seq = cursor_seq;
  state.deletable_seq = cursor_seq;
  reader.skip_below_ = cursor_seq;
  state.acknowledged.next_seq = cursor_seq;
  for (const Segment& segment : segments_) {
    if (segment.next_seq <= cursor_seq) {
      state.acknowledged.segment = segment.first_seq;
      state.acknowledged.offset = segment.data_end;
      continue;
    }
    state.pending_items += segment.items;
    state.pending_records += segment.records;
    if (segment.first_seq >= cursor_seq) continue;
    // The cursor stands inside this segment: what lies before it was delivered.
    state.acknowledged = {segment.first_seq, kSegmentHeaderBytes, 0, 0, cursor_seq};
    auto opened = SegmentReader::open(fs_, path_of(segment.file));
    std::string arena;
    while (opened) {
      arena.clear();
      opened->start_arena(arena);
      const auto step = opened->next(segment.data_end, arena);
      using Kind = SegmentReader::Step::Kind;
      if (step.kind != Kind::record && step.kind != Kind::bad_record && step.kind != Kind::damage)
        break;
      if (step.kind != Kind::damage && step.header.seq >= cursor_seq) break;
      state.acknowledged.offset = opened->offset();
      if (step.kind == Kind::damage) continue;
      state.acknowledged.items += step.header.item_count;
      ++state.acknowledged.records;
    }
    state.pending_items -= std::min(state.pending_items, state.acknowledged.items);
    state.pending_records -= std::min(state.pending_records, state.acknowledged.records);
  }
  state.claimed = state.acknowledged;
  state.recovered_items = state.pending_items;
}

}  // namespace holdfast
