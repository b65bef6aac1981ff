// What a checked log finds on its disk: after each step, and when it is opened.
#include <algorithm>

#include "buffer/cursor.h"
#include "buffer/segment_format.h"
#include "buffer/segment_reader.h"
#include "tests/support/checked_log.h"

namespace holdfast {
namespace {

constexpr std::int64_t kEarliestPlausibleUnixNs = 1'577'836'800 * kNsPerSecond;  // 2020-01-01

/// Within one start of the machine by a clock that nobody sets, else by the wall clock, as far as
/// its dates can be true.
std::int64_t age_of(const SegmentHeader& header, const Clock& clock) {
  if (header.boot_id == clock.boot_id()) return clock.boottime_ns() - header.created_boottime_ns;
  const std::int64_t age = clock.unix_ns() - header.created_unix_ns;
  return header.created_unix_ns >= kEarliestPlausibleUnixNs && age > 0 ? age : 0;
}

constexpr std::string_view kLeftAlone = "a segment cannot be moved to quarantine and is left alone";

std::string describe(const LogOptions& options) {
  return std::string("open: ") +
         (options.durability == Durability::batch      ? "batch, "
          : options.durability == Durability::interval ? "interval, "
                                                       : "none, ") +
         (options.overflow == Overflow::reject ? "reject, " : "drop_oldest, ") +
         (options.drain == DrainMode::live ? "live, " : "windowed, ") + "files of " +
         std::to_string(options.file_bytes_max) + " in a folder of " +
         std::to_string(options.folder_bytes_max) + ", " + std::to_string(options.free_bytes_min) +
         " free";
}

std::string_view stem_of(std::string_view file) { return file.substr(0, file.rfind('.')); }

}  // namespace

/// What the folder's limit leaves to segments at least: cursors, quarantine and reserve are set
/// aside.
std::uint64_t CheckedLog::bytes_for_segments() const {
  const std::uint64_t share =
      std::min(options_.quarantine_bytes_max, options_.folder_bytes_max / 4);
  const std::uint64_t reserve = rounded_to_blocks(options_.folder_bytes_max / 64);
  std::uint64_t others = std::max(share, log_->stats().quarantine_bytes) + reserve +
                         model_.readers.size() * kDiskBlockBytes;
  for (const DirectoryEntry& entry : fs_.disk().list(options_.directory)) {  // as others' cursors
    if (entry.name.find(kSetAsideMark) != std::string::npos) others += kDiskBlockBytes;
  }
  for (const std::string& file : left_alone_) others += allocated(options_.directory + "/" + file);
  return options_.folder_bytes_max - std::min(options_.folder_bytes_max, others);
}

std::uint64_t CheckedLog::allocated(const std::string& path) const {
  SimulatedDisk::Inode inode = 0;
  return fs_.disk().find(path, inode) == 0 ? fs_.disk().allocated(inode) : 0;
}

std::uint64_t CheckedLog::bytes_on_disk() const {
  std::uint64_t bytes = 0;
  for (const std::string& folder : {options_.directory, options_.directory + "/quarantine"}) {
    for (const DirectoryEntry& entry : fs_.disk().list(folder)) {
      if (entry.is_regular) bytes += allocated(folder + "/" + entry.name);
    }
  }
  return bytes;
}

/// By first sequence number: the one that is known, or the name's.
std::map<std::uint64_t, ModelSegment> CheckedLog::segments_on_disk() const {
  std::map<std::uint64_t, ModelSegment> found;
  for (const DirectoryEntry& entry : fs_.disk().list(options_.directory)) {
    const auto name = parse_segment_name(entry.name);
    if (!name || !entry.is_regular || left_alone_.contains(entry.name)) continue;
    std::uint64_t first_seq = name->first_seq;
    ModelSegment segment;
    segment.created_steady_ns = clock_.steady_ns();
    for (const auto& [known_seq, known] : model_.segments) {
      if (stem_of(known.file) != stem_of(entry.name)) continue;
      first_seq = known_seq;
      segment.created_steady_ns = known.created_steady_ns;
    }
    SimulatedDisk::Inode inode = 0;
    fs_.disk().find(options_.directory + "/" + entry.name, inode);
    segment.sealed = name->sealed;
    segment.allocated = fs_.disk().allocated(inode);
    segment.file = entry.name;
    for (std::size_t i = failed_renames_at_open_; i < fs_.failed_renames().size(); ++i) {
      if (fs_.failed_renames()[i].ends_with(entry.name)) segment.sealed = true;  // all the same
    }
    found[first_seq] = segment;
  }
  return found;
}

/// Compares the directory with the one before the step: what has gone was consumed or dropped.
void CheckedLog::observe_segments(DropReason reason, std::uint64_t wanted_bytes,
                                  const Before& before) {
  std::map<std::uint64_t, ModelSegment> now = segments_on_disk();
  std::uint64_t left = 0;
  for (const auto& [first_seq, segment] : model_.segments) left += segment.allocated;
  std::vector<std::uint64_t> gone;
  for (const auto& [first_seq, segment] : model_.segments) {
    if (now.contains(first_seq)) continue;
    if (drop_segment(first_seq, reason)) {
      const std::int64_t age = clock_.steady_ns() - segment.created_steady_ns;
      const bool needed =
          reason == DropReason::expired
              ? age >= options_.read_age_max.count() * kNsPerMs
              : left + rounded_to_blocks(wanted_bytes) + 2 * kDiskBlockBytes > bytes_for_segments();
      expect(needed || failed_since(before), "a segment was dropped without need: " + segment.file +
                                                 ": the folder held " + std::to_string(left) +
                                                 " bytes in segments");
    }
    left -= segment.allocated;
    gone.push_back(first_seq);
  }
  for (const std::uint64_t first_seq : gone) model_.segments.erase(first_seq);
  for (const auto& [first_seq, segment] : now) model_.segments[first_seq] = segment;
}

/// Takes its records out of the model; true: somebody was still waiting for one.
bool CheckedLog::drop_segment(std::uint64_t first_seq, DropReason reason) {
  const auto next_segment = model_.segments.upper_bound(first_seq);
  const auto from = model_.log.lower_bound(first_seq);
  const auto to = next_segment == model_.segments.end()
                      ? model_.log.end()
                      : model_.log.lower_bound(next_segment->first);
  bool waited_for = false;
  for (auto at = from; at != to; ++at) {
    model_.records.at(at->second).dropped = true;
    for (ModelReader& reader : model_.readers) {
      if (!reader.configured || at->first < reader.acknowledged) continue;
      if (!reader.wants(model_.records.at(at->second))) continue;
      waited_for = true;
      const auto claimed =
          std::find_if(reader.claimed.begin(), reader.claimed.end(),
                       [&](const ModelReader::Claimed& one) { return one.seq == at->first; });
      if (claimed != reader.claimed.end()) {
        claimed->gone = true;
        claimed->reason = reason;
        continue;
      }
      DropCounts& drops = reader.drops.at(static_cast<std::size_t>(reason));
      drops.items += model_.records.at(at->second).items();
      ++drops.records;
      model_.settle(at->second, model_.bit(reader));
    }
  }
  model_.log.erase(from, to);
  const std::uint64_t next =
      next_segment == model_.segments.end() ? model_.next_seq : next_segment->first;
  for (ModelReader& reader : model_.readers) {
    if (reader.configured) reader.furthest = std::max(reader.furthest, next);
  }
  return waited_for;
}

// ---- opening ----------------------------------------------------------------------------------

void CheckedLog::open(const LogOptions& options, const std::vector<std::string>& readers) {
  if (!ok()) return;
  options_ = options;
  left_alone_.clear();
  options_.report = [this](std::string_view message, std::string_view detail) {
    tell("  " + std::string(message) + " | " + std::string(detail));
    // What is in it is not in the log: what was stored and is missing now is lost.
    if (message == kLeftAlone && !is_open()) {
      left_alone_.insert(std::string(detail.substr(0, detail.find(": "))));
    }
  };
  tell(describe(options_));
  failed_unlinks_at_open_ = fs_.failed_unlinks().size();
  failed_renames_at_open_ = fs_.failed_renames().size();
  const std::uint64_t failures = fs_.failures();
  // The agent makes the root first.
  const std::string root = options_.directory.substr(0, options_.directory.rfind('/'));
  static_cast<void>(fs_.make_directories(root, 0750));
  auto opened = Log::open(fs_, clock_, options_, specs_of(readers));
  if (stopped()) return;
  if (!opened) {
    expect(fs_.failures() != failures, "a start failed: " + opened.error().message);
    return;
  }
  log_ = std::move(*opened);
  take_up_disk();
  forget_numbers();
  take_up_readers(readers);
  check_nothing_lost();
  check_quarantine();
  failed_at_open_ = fs_.failures() != failures;
  power_was_lost_ = false;
  model_.appended_items = 0;
  model_.appended_records = 0;
  model_.cursors_saved_ns = 0;
  check_stats(log_->stats());
}

void CheckedLog::take_up_disk() {
  model_.log.clear();
  model_.segments.clear();
  for (auto& [named_seq, segment] : segments_on_disk()) {
    std::uint64_t first_seq = named_seq;
    if (take_up_segment(first_seq, segment)) {
      model_.segments[first_seq] = segment;
    } else {
      left_alone_.insert(segment.file);
    }
  }
  const std::uint64_t next_seq = log_->stats().next_seq;
  expect(model_.log.empty() || model_.log.rbegin()->first < next_seq,
         "the next sequence number is taken");
  model_.next_seq = next_seq;
}

/// False: there is no record in it, and the log leaves it alone.
bool CheckedLog::take_up_segment(std::uint64_t& first_seq, ModelSegment& segment) {
  auto reader = SegmentReader::open(fs_, options_.directory + "/" + segment.file);
  if (!reader) return false;
  const SegmentHeader& header = reader->header();
  segment.created_steady_ns = clock_.steady_ns() - age_of(header, clock_);
  first_seq = header.first_seq;
  const auto size = reader->file().size();
  std::string arena;
  reader->start_arena(arena);
  bool has_records = false;
  using Kind = SegmentReader::Step::Kind;
  for (;;) {
    const auto step = reader->next(*size, arena);
    if (step.kind == Kind::end || step.kind == Kind::io_error) return has_records;
    if (step.kind == Kind::damage) continue;
    has_records = true;  // a seal knows of some
    if (step.kind != Kind::record) continue;
    const Record found = make_record(
        step.header, std::string_view(arena).substr(step.payload_at, step.payload_length));
    const std::string where = segment.file + " has record " + std::to_string(found.seq);
    const auto record = model_.records.find(found.raw_crc32);
    if (!expect(record != model_.records.end(), where + " that nobody appended")) return true;
    expect(record->second.fate != ModelRecord::Fate::refused, where + " that was refused");
    expect(found.stored == record->second.stored_bytes() &&
               found.extension == record->second.extension(),
           where + " with other bytes");
    expect(model_.log.emplace(found.seq, record->first).second, where + " a second time");
  }
}

/// Numbers that nothing on the disk bears any more: of what was lost with the power as documented,
/// and of what went before a cursor could say so.
void CheckedLog::forget_numbers() {
  std::uint64_t known_below = 0;
  for (const ModelReader& reader : model_.readers) {
    known_below =
        std::max(known_below, power_was_lost_ ? reader.durable_cursor : reader.written_cursor);
  }
  std::erase_if(model_.seen, [&](const auto& seen) {
    const ModelRecord& record = model_.records.at(seen.second);
    const bool lost = power_was_lost_ && !record.durable;
    const bool gone = record.dropped && seen.first >= known_below;
    return (lost || gone) && !model_.log.contains(seen.first);
  });
}

bool CheckedLog::is_in_log(const ModelRecord& record) const {
  const auto found = model_.log.find(record.seq);
  return found != model_.log.end() && found->second == record.id;
}

/// Every record that is stored is in the log for each reader that is not done with it, unless it
/// was to be lost with the power.
void CheckedLog::check_nothing_lost() {
  for (const std::uint32_t id : std::set<std::uint32_t>(model_.unsettled)) {
    const ModelRecord& record = model_.records.at(id);
    const bool there = is_in_log(record);
    for (const ModelReader& reader : model_.readers) {
      if ((model_.wanted_bits(record) & ~record.settled & model_.bit(reader)) == 0) continue;
      if (there && record.seq >= reader.acknowledged) continue;
      const bool documented = power_was_lost_ && !record.durable;
      expect(documented, "record " + std::to_string(record.seq) + " is lost for " + reader.name);
      model_.settle(id, model_.bit(reader));
    }
  }
}

// ---- quarantine -------------------------------------------------------------------------------

void CheckedLog::note_quarantined(const QuarantineEntry& entry) {
  const std::string folder = options_.directory + "/quarantine";
  for (const DirectoryEntry& file : fs_.disk().list(folder)) {
    SimulatedDisk::Inode inode = 0;
    fs_.disk().find(folder + "/" + file.name, inode);
    const std::string& content = fs_.disk().content(inode);
    if (content.starts_with("{\"seq\":" + std::to_string(entry.seq) + ",") &&
        content.ends_with(entry.bytes)) {
      model_.quarantined[folder + "/" + file.name] = entry.bytes;
      return;
    }
  }
  expect(entry.bytes.size() > options_.quarantine_bytes_max / 2,
         "what was put into quarantine is not there");
}

/// What is not there was pushed out, and nothing else happens to it.
void CheckedLog::check_quarantine() {
  for (auto at = model_.quarantined.begin(); at != model_.quarantined.end();) {
    SimulatedDisk::Inode inode = 0;
    if (fs_.disk().find(at->first, inode) == 0) {
      expect(fs_.disk().content(inode).ends_with(at->second),
             "quarantine is damaged: " + at->first);
      ++at;
    } else {
      expect(fs_.unlinked().contains(at->first), "quarantine is lost: " + at->first);
      at = model_.quarantined.erase(at);
    }
  }
}

// ---- what the log says ------------------------------------------------------------------------

void CheckedLog::check_stats(const LogStats& stats) {
  if (!ok()) return;
  expect_equal(fs_.misuses(), 0, "uses of handles from before a crash");
  if (stopped()) return;
  expect_equal(stats.appended_items, model_.appended_items, "the number of appended items");
  expect_equal(stats.appended_records, model_.appended_records, "the number of appended records");
  expect(model_.log.empty() || stats.next_seq > model_.log.rbegin()->first,
         "the next sequence number is taken");
  for (const ReaderStats& reader : stats.readers) check_reader(model_.reader(reader.name), reader);
}

/// Pending and drops are what the model has, and phantoms: these move from pending to drops.
void CheckedLog::check_reader(ModelReader& reader, const ReaderStats& stats) {
  const DropCounts pending = model_.pending(reader);
  const std::string of = " of " + reader.name;
  std::uint64_t items = stats.pending_items - pending.items;
  std::uint64_t records = stats.pending_records - pending.records;
  if (reader.phantoms.records == 0 && reader.phantoms.items == 0) {
    expect_equal(stats.pending_items, pending.items, "pending items" + of);
    expect_equal(stats.pending_records, pending.records, "pending records" + of);
  }
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    const std::string what = std::string(name_of(static_cast<DropReason>(i))) + of;
    expect(stats.drops[i].items >= reader.drops[i].items &&
               stats.drops[i].records >= reader.drops[i].records,
           "too few are counted as " + what);
    items += stats.drops[i].items - reader.drops[i].items;
    records += stats.drops[i].records - reader.drops[i].records;
  }
  expect_equal(items, reader.phantoms.items,
               "items that are pending or dropped without being" + of);
  expect_equal(records, reader.phantoms.records,
               "records that are pending or dropped without being" + of);
}

}  // namespace holdfast
