// What a start finds in a segment: its totals, from the seal or from a scan.
#include <algorithm>
#include <array>

#include "buffer/log_impl.h"
#include "buffer/segment_walk.h"

namespace holdfast {
namespace {

using Step = SegmentReader::Step;

// Older dates come from a machine whose clock was not set yet: such a file's age is counted from
// now on.
constexpr std::int64_t kEarliestPlausibleUnixNs = 1'577'836'800LL * kNsPerSecond;  // 2020-01-01

constexpr std::size_t kSectorBytes = 512;

bool is_zeros(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == std::string_view::npos;
}

/// A file without a byte that was ever set: made by a start or an append that a crash has cut
/// short.
bool is_blank(File& file, std::uint64_t from) {
  std::string window(64U << 10, '\0');
  for (std::uint64_t at = from;; at += window.size()) {
    const auto got = file.pread(window.data(), window.size(), at);
    if (!got) return false;
    if (!is_zeros(std::string_view(window).substr(0, *got))) return false;
    if (*got < window.size()) return true;
  }
}

/// Has a crash cut a write short where these bytes of a header should be? Whole sectors are missing
/// then, as zeros.
bool lacks_a_sector(std::string_view bytes, std::uint64_t offset) {
  const std::uint64_t to_boundary = kSectorBytes - offset % kSectorBytes;
  const std::string_view first = bytes.substr(0, static_cast<std::size_t>(to_boundary));
  const std::string_view second = bytes.substr(first.size());
  return is_zeros(first) || (!second.empty() && is_zeros(second));
}

}  // namespace

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

std::optional<Segment> LogImpl::examine(const SegmentName& name, const std::string& file_name) {
  const std::string path = path_of(file_name);
  auto reader = SegmentReader::open(fs_, path, SegmentReader::Unreadable::is_damage);
  if (!reader) {
    set_aside(name, file_name, reader.error());
    return std::nullopt;
  }
  const auto size = reader->file().size();
  if (!size) {
    set_aside(name, file_name, size.error());
    return std::nullopt;
  }
  if (!name.sealed) {
    // What a killed process has written, and readers are about to see, need not be synced.
    if (Status synced = reader->file().fdatasync(); !synced) {
      report("an open segment cannot be synced", synced.error().message);
    }
  }
  const auto allocated = reader->file().allocated();
  Segment segment;
  segment.first_seq = reader->header().first_seq;
  segment.next_seq = segment.first_seq;
  segment.file = file_name;
  segment.sealed = true;
  segment.created_unix_ns = reader->header().created_unix_ns;
  segment.created_steady_ns = clock_.steady_ns() - age_of(reader->header());
  segment.allocated = allocated ? *allocated : *size;
  if (segment.first_seq != name.first_seq) {
    report("a segment's name lies: the numbers inside it count", path);
    take_up_seq(name.first_seq + 1);  // no new file may get this name
  }
  if (!read_seal(*reader, *size, segment)) scan_whole(*reader, *size, segment);
  if (segment.records == 0 || segment.next_seq > kSeqTakenUpMax) {
    // Nothing was acknowledged from a file without a whole record, unless it has been damaged
    // since; and no number is as high.
    set_aside(name, file_name, Error{0, "no whole record: " + path});
    return std::nullopt;
  }
  if (reader->header_was_damaged()) {
    report("a segment's header is damaged: its records are read all the same", path);
    counters_.corrupt_bytes += kSegmentHeaderBytes;
    segment.damage_reported.push_back(0);
  }
  return segment;
}

void LogImpl::set_aside(const SegmentName& name, const std::string& file_name, const Error& why) {
  const std::string path = path_of(file_name);
  const auto file = fs_.open(path, FileSystem::Mode::read);
  const auto size = file ? (*file)->size() : Result<std::uint64_t>(file.error());
  // How many numbers it holds is unknown; each record takes some bytes.
  take_up_seq(name.first_seq + 1);
  if (size) take_up_seq(name.first_seq + *size);
  if (SegmentReader::is_unknown_version(why)) {
    ++counters_.segments_unknown_version;
    report("a segment of another format version is left alone", path);
    return;
  }
  SegmentHeaderBytes header{};
  const bool has_header =
      file && (*file)->pread(header.data(), header.size(), 0).ok() &&
      parse_segment_header({header.data(), header.size()}).error == SegmentHeaderError::none;
  if (size && is_blank(**file, has_header ? kSegmentHeaderBytes : 0)) {
    if (Status gone = fs_.unlink(path); !gone) {
      report("an empty segment cannot be deleted", gone.error().message);
    }
    return;
  }
  const auto allocated = file ? (*file)->allocated() : Result<std::uint64_t>(kDiskBlockBytes);
  counters_.corrupt_bytes += size ? *size : 0;
  if (why.code != 0) {
    ++counters_.write_errors;
    counters_.last_error = why.message;
  }
  const std::uint64_t takes = allocated ? *allocated : kDiskBlockBytes;
  const bool moved =
      quarantine_file(file_name, takes,
                      {why.code != 0 ? "a segment cannot be read and was moved to quarantine"
                                     : "a segment without a whole record was moved to quarantine",
                       why.message});
  if (!moved) left_alone_bytes_ += takes;
}

bool LogImpl::read_seal(SegmentReader& reader, std::uint64_t size, Segment& segment) {
  if (size < kSegmentHeaderBytes + kRecordHeaderBytes) return false;
  const std::uint64_t at = size - kRecordHeaderBytes;
  RecordHeaderBytes bytes{};
  const auto got = reader.file().pread(bytes.data(), bytes.size(), at);
  if (!got || *got != bytes.size()) return false;
  const auto header = parse_record_header({bytes.data(), bytes.size()}, reader.header().nonce);
  if (!header || header->type != RecordType::seal) return false;
  // One that cannot be true is not believed: the records tell.
  if (header->seq <= segment.first_seq || header->request_count > header->seq - segment.first_seq) {
    return false;
  }
  segment.next_seq = header->seq;
  segment.items = header->item_total;
  segment.records = header->request_count;
  segment.data_end = at;
  segment.sources_known = false;
  return true;
}

void LogImpl::scan_whole(SegmentReader& reader, std::uint64_t size, Segment& segment) {
  segment.data_end = kSegmentHeaderBytes;
  std::optional<RecordHeader> seal;  // not at the end: bytes have come behind it, or changed places
  bool damaged_tail = false;
  SegmentWalk walk(reader, size);
  Step step;
  while (walk.next(step)) {
    if (step.kind == Step::Kind::seal) seal = step.header;
    if (step.kind == Step::Kind::damage && step.tail && !seal) {
      damaged_tail = is_damaged_tail(reader, step, segment);
    }
    if (!SegmentWalk::has_record(step)) continue;
    segment.items += step.header.item_count;
    ++segment.records;
    count_source(segment, source_counts_of(step.header));
    segment.first_seq = std::min(segment.first_seq, step.header.seq);
    segment.next_seq = std::max(segment.next_seq, step.header.seq + 1);
    segment.data_end = reader.offset();
  }
  if (step.kind == Step::Kind::io_error) {
    report("a segment cannot be read to its end", step.error.message);
  }
  if (seal) {
    segment.next_seq = std::max(segment.next_seq, seal->seq);
    segment.items = std::max(segment.items, seal->item_total);
    segment.records = std::max<std::uint64_t>(segment.records, seal->request_count);
  }
  // Numbers follow one another within a segment: those of lost headers are known by their absence.
  const std::uint64_t numbers = segment.next_seq - segment.first_seq;
  if (segment.records > 0 && numbers <= size / kRecordHeaderBytes) {
    segment.records = std::max(segment.records, numbers);
  }
  // What follows may have held more of them.
  const std::uint64_t rest = size - segment.data_end;
  take_up_seq(segment.next_seq + rest / kRecordHeaderBytes);
  if (segment.records > 0 && (damaged_tail || step.kind == Step::Kind::io_error)) {
    segment.data_end = size;                  // a reader will meet it, and count what is lost
    segment.records += damaged_tail ? 1 : 0;  // at least
  }
}

/// What follows the last whole record. True: it was acknowledged, and is damaged.
bool LogImpl::is_damaged_tail(SegmentReader& reader, const Step& tail, const Segment& segment) {
  if (segment.records == 0) return false;  // it is set aside as a whole
  RecordHeaderBytes bytes{};
  BadBlocks bad;
  const auto got = pread_around(reader.file(), bytes.data(), bytes.size(), tail.offset, bad);
  const bool resembles_header =
      got && resembles_record_header({bytes.data(), *got}, segment.next_seq);
  if (tail.length == kRecordHeaderBytes && !tail.has_header &&
      (bad.count > 0 || resembles_header)) {
    counters_.corrupt_bytes += tail.length;  // no record is as short: it is the seal
    report("a segment's seal is damaged: nothing else is", segment.file);
    return false;
  }
  const bool cut_off = tail.has_header || !got || *got < bytes.size();
  const bool torn =
      cut_off || !resembles_header || lacks_a_sector({bytes.data(), bytes.size()}, tail.offset);
  if (!torn || bad.count > 0) return true;
  counters_.torn_tail_bytes += tail.length;
  report("a torn tail was left by a crash: nothing in it was acknowledged",
         segment.file + ": " + std::to_string(tail.length) + " bytes");
  return false;
}

}  // namespace holdfast
