#include "tests/support/checked_log.h"

#include <algorithm>
#include <cerrno>

#include "buffer/segment_format.h"

namespace holdfast {
namespace {

using Operation = SimulatedFileSystem::Operation;

constexpr std::uint64_t kBlock = kDiskBlockBytes;
constexpr std::size_t kStoryLines = 60;

}  // namespace

LogOptions CheckedLog::small_options() {
  LogOptions options;
  options.directory = "/buffer/traces";
  options.file_bytes_max = 8 << 10;
  options.folder_bytes_max = 64 << 10;
  options.free_bytes_min = 0;
  options.quarantine_bytes_max = 16 << 10;
  return options;
}

bool CheckedLog::expect(bool holds, std::string_view what) {
  if (!holds && ok()) failure_ = what;
  return holds;
}

bool CheckedLog::expect_equal(std::uint64_t is, std::uint64_t should_be, std::string_view what) {
  return expect(is == should_be, std::string(what) + " is " + std::to_string(is) + ", not " +
                                     std::to_string(should_be));
}

void CheckedLog::tell(std::string line) {
  story_.push_back(std::move(line));
  if (story_.size() > kStoryLines) story_.pop_front();
}

std::string CheckedLog::story() const {
  std::string text;
  for (const std::string& line : story_) text += line + "\n";
  for (const std::string& folder : {options_.directory, options_.directory + "/quarantine"}) {
    for (const DirectoryEntry& entry : fs_.disk().list(folder)) {
      const std::string path = folder + "/" + entry.name;
      text += path + ": " + std::to_string(entry.is_regular ? allocated(path) : 0) + " bytes\n";
    }
  }
  return text;
}

CheckedLog::Before CheckedLog::before() const {
  return {fs_.failures(), fs_.failures(Operation::unlink), fs_.calls(Operation::pwritev),
          fs_.disk().free_bytes(), log_->stats()};
}

// ---- append -----------------------------------------------------------------------------------

void CheckedLog::append(const std::vector<std::uint32_t>& sizes) {
  if (!runs()) return;
  const Before before = this->before();
  std::vector<std::uint32_t> ids;
  std::vector<std::pair<std::string, std::string>> bytes;
  for (const std::uint32_t size : sizes) {
    ModelRecord record;
    record.id = model_.next_id++;
    record.size = size;
    record.appended_ns = clock_.steady_ns();
    ids.push_back(record.id);
    bytes.emplace_back(record.stored_bytes(), record.extension());
    model_.records.emplace(record.id, record);
  }
  std::vector<NewRecord> records;
  std::uint64_t length = kSegmentHeaderBytes;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    NewRecord& record = records.emplace_back();
    record.stored = bytes[i].first;
    record.extension = bytes[i].second;
    record.raw_length = sizes[i];
    record.raw_crc32 = ids[i];
    record.item_count = model_.records.at(ids[i]).items();
    record.codec = Codec::identity;
    record.source = model_.records.at(ids[i]).source();
    RecordHeader header;
    header.stored_length = sizes[i];
    header.extension_length = static_cast<std::uint32_t>(record.extension.size());
    length += header.padded_length();
  }
  const AppendOutcome outcome = log_->append(records);
  tell("append of " + std::to_string(sizes.size()) + ", " + std::to_string(length) +
       " bytes, beside " + std::to_string(before.free_bytes) + " free: " +
       (outcome == AppendOutcome::stored ? "stored"
        : outcome == AppendOutcome::full ? "full"
                                         : "failed"));
  observe_segments(DropReason::folder_full, length, before);
  settle_append(ids, outcome, before);
  if (outcome == AppendOutcome::stored && !failed_since(before) && !stopped()) {
    const std::uint64_t bytes = bytes_on_disk();
    expect(bytes <= options_.folder_bytes_max ||
               log_->stats().quarantine_bytes > options_.quarantine_bytes_max,
           "the folder takes " + std::to_string(bytes) + " bytes");
  }
  if (outcome != AppendOutcome::stored && !stopped() && ok()) {
    // A second try goes to a new segment. Room that cannot be made is no error of the write.
    const bool one_error = fs_.failures() == before.failures + 1 && fs_.last_failure() != ENOSPC &&
                           fs_.last_failure() != EDQUOT &&
                           fs_.failures(Operation::unlink) == before.failed_unlinks;
    if (outcome == AppendOutcome::failed) {
      expect(failed_since(before) && !one_error,
             "an append failed, and the disk did not fail twice");
    } else if (!failed_since(before) || one_error) {
      check_refusal(length, before);
    }
  }
  check_stats(log_->stats());
}

void CheckedLog::settle_append(const std::vector<std::uint32_t>& ids, AppendOutcome outcome,
                               const Before& before) {
  const LogStats stats = log_->stats();
  expect(stats.next_seq >= before.stats.next_seq, "the next sequence number went back");
  const bool wrote = fs_.calls(Operation::pwritev) != before.writes;
  if (failed_since(before)) doom_unsynced();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ModelRecord& record = model_.records.at(ids[i]);
    if (outcome != AppendOutcome::stored) {
      record.fate = wrote ? ModelRecord::Fate::unknown : ModelRecord::Fate::refused;
      continue;
    }
    record.fate = ModelRecord::Fate::stored;
    record.durable = options_.durability == Durability::batch;
    record.seq = stats.next_seq - ids.size() + i;
    expect(record.seq >= before.stats.next_seq, "a new record has an old sequence number");
    model_.log[record.seq] = record.id;
    expect(model_.seen.emplace(record.seq, record.id).second,
           "number " + std::to_string(record.seq) + " is used again");
    model_.appended_items += record.items();
    ++model_.appended_records;
    if (model_.wanted_bits(record) != 0) model_.unsettled.insert(record.id);
  }
  model_.next_seq = stats.next_seq;
}

/// Was there a reason to say that the disk or the folder is full?
void CheckedLog::check_refusal(std::uint64_t bytes, const Before& before) {
  std::uint64_t segments = 0;
  for (const auto& [first_seq, segment] : model_.segments) segments += segment.allocated;
  const std::uint64_t limit = bytes_for_segments();
  // Files that cannot be deleted take room that nothing can win back.
  if (fs_.failed_unlinks().size() != failed_unlinks_at_open_) return;
  // While the disk is full the reserve is owed as well.
  const std::uint64_t reserve = rounded_to_blocks(options_.folder_bytes_max / 64);
  // What a first try wrote in vain is missing to the second.
  const std::uint64_t free = std::min(before.free_bytes, fs_.disk().free_bytes());
  const bool floor = free < options_.free_bytes_min + reserve + bytes;
  const bool too_large = rounded_to_blocks(bytes) + 2 * kBlock > limit;
  const bool full = options_.overflow == Overflow::reject &&
                    segments + rounded_to_blocks(bytes) + 2 * kBlock > limit;
  expect(floor || too_large || full, "an append was refused without need");
}

// ---- readers ----------------------------------------------------------------------------------

/// It may be there still: the log tries again, and has taken it off its list.
bool CheckedLog::could_not_be_deleted(const ModelSegment& segment) const {
  const auto since_open =
      fs_.failed_unlinks().begin() + static_cast<std::ptrdiff_t>(failed_unlinks_at_open_);
  return std::find(since_open, fs_.failed_unlinks().end(),
                   options_.directory + "/" + segment.file) != fs_.failed_unlinks().end();
}

bool CheckedLog::is_in_window(const ModelSegment& segment) const {
  const std::int64_t age = clock_.steady_ns() - segment.created_steady_ns;
  return options_.drain == DrainMode::live ||
         (segment.sealed && age >= options_.read_age_min.count() * kNsPerMs);
}

/// Its reader goes over it without a look at its age.
bool CheckedLog::is_all_skipped(const ModelReader& reader, std::uint64_t first_seq) const {
  const auto next = model_.segments.upper_bound(first_seq);
  const auto from = model_.log.lower_bound(std::max(first_seq, reader.position));
  const auto to =
      next == model_.segments.end() ? model_.log.end() : model_.log.lower_bound(next->first);
  return reader.skipped != 0 && from != to && std::none_of(from, to, [&](const auto& entry) {
           return reader.wants(model_.records.at(entry.second));
         });
}

std::vector<std::uint32_t> CheckedLog::expected_claim(const ModelReader& reader,
                                                      const ClaimLimits& limits, bool& more) const {
  std::vector<std::uint32_t> expected;
  std::uint64_t items = 0;
  std::uint64_t raw_bytes = 0;
  more = false;
  // Also a segment without a whole record holds up what comes behind it.
  std::uint64_t blocked_from = UINT64_MAX;
  for (auto at = model_.segments.upper_bound(reader.position); at != model_.segments.end(); ++at) {
    if (is_in_window(at->second) || could_not_be_deleted(at->second)) continue;
    if (is_all_skipped(reader, at->first)) continue;
    blocked_from = std::min(blocked_from, at->first);
  }
  for (auto at = model_.log.lower_bound(reader.position); at != model_.log.end(); ++at) {
    const ModelRecord& record = model_.records.at(at->second);
    if (!reader.wants(record)) continue;
    if (!is_in_window(*model_.segment_of(at->first)) || at->first >= blocked_from) break;
    if (!expected.empty() &&
        (items + record.items() > limits.items_max ||
         raw_bytes + record.size > limits.raw_bytes_max || expected.size() >= limits.records_max)) {
      more = true;
      break;
    }
    items += record.items();
    raw_bytes += record.size;
    expected.push_back(record.id);
  }
  return expected;
}

void CheckedLog::claim(std::string_view name, const ClaimLimits& limits) {
  if (!runs()) return;
  const Before before = this->before();
  ModelReader& reader = model_.reader(name);
  bool more = false;
  const std::vector<std::uint32_t> expected = expected_claim(reader, limits, more);
  const Claim claim = log_->reader(name).claim(limits);
  tell("claim of " + std::string(name) + ": " + std::to_string(claim.records.size()));
  const bool disturbed = failed_since(before) || stopped();
  // Where damage took records, the log cannot know that all of a young segment is skipped.
  const bool may_wait =
      reader.skipped != 0 && reader.phantoms.records > 0 && options_.drain == DrainMode::windowed;
  if (!disturbed && !may_wait) {
    if (!expect_equal(claim.records.size(), expected.size(), "the number of claimed records")) {
      return;
    }
    if (reader.phantoms.records == 0) expect(claim.limited == more, "`limited` is not true");
  }
  std::uint64_t items = 0;
  std::uint64_t raw_bytes = 0;
  for (std::size_t i = 0; i < claim.records.size(); ++i) {
    const Record& record = claim.records[i];
    if (!expect(i < expected.size() && record.raw_crc32 == expected[i],
                "a claimed record is not the next in order")) {
      return;
    }
    const ModelRecord& model = model_.records.at(expected[i]);
    expect(model_.log.at(record.seq) == model.id, "a record has another one's sequence number");
    expect(record.stored == model.stored_bytes() && record.extension == model.extension(),
           "a record's bytes are not what was appended");
    expect(record.item_count == model.items(), "a record's items are not what was appended");
    items += record.item_count;
    raw_bytes += record.raw_length;
    reader.claimed.push_back({record.seq, model.id, false, DropReason::folder_full});
    reader.position = record.seq + 1;
  }
  expect_equal(claim.items, items, "the claim's sum of items");
  expect_equal(claim.raw_bytes, raw_bytes, "the claim's sum of bytes");
  check_stats(log_->stats());
}

void CheckedLog::acknowledge(std::string_view name) {
  if (!runs()) return;
  const Before before = this->before();
  ModelReader& reader = model_.reader(name);
  log_->reader(name).acknowledge();
  tell("acknowledge of " + std::string(name));
  for (const ModelReader::Claimed& claimed : reader.claimed) {
    model_.settle(claimed.id, model_.bit(reader));
    reader.acknowledged = std::max(reader.acknowledged, claimed.seq + 1);
  }
  reader.claimed.clear();
  const LogStats stats = log_->stats();
  for (const ReaderStats& shown : stats.readers) {
    if (shown.name != name) continue;
    // It may have come further, over damage or the end of a segment, but never over a record.
    auto next = model_.log.lower_bound(reader.acknowledged);
    while (next != model_.log.end() && !reader.wants(model_.records.at(next->second))) ++next;
    const bool held_back = reader.phantoms.records > 0;
    expect((shown.next_seq >= reader.acknowledged || held_back) &&
               (next == model_.log.end() || shown.next_seq <= next->first),
           "a reader's place is not behind what it acknowledged");
    reader.cursor = shown.next_seq;
    reader.acknowledged = std::max(reader.acknowledged, shown.next_seq);
    reader.position = std::max(reader.position, reader.acknowledged);
  }
  if (!failed_since(before) && !stopped()) reader.written_cursor = reader.cursor;
  check_stats(stats);
}

void CheckedLog::rewind(std::string_view name) {
  if (!runs()) return;
  ModelReader& reader = model_.reader(name);
  log_->reader(name).rewind();
  tell("rewind of " + std::string(name));
  for (const ModelReader::Claimed& claimed : reader.claimed) {
    if (!claimed.gone) continue;
    DropCounts& drops = reader.drops.at(static_cast<std::size_t>(claimed.reason));
    drops.items += model_.records.at(claimed.id).items();
    ++drops.records;
    model_.settle(claimed.id, model_.bit(reader));
  }
  reader.claimed.clear();
  reader.position = reader.acknowledged;
  check_stats(log_->stats());
}

void CheckedLog::quarantine(std::string_view name) {
  if (!runs()) return;
  ModelReader& reader = model_.reader(name);
  if (reader.claimed.empty()) return;
  const ModelReader::Claimed& first = reader.claimed.front();
  const std::string bytes = model_.records.at(first.id).stored_bytes();
  QuarantineEntry entry;
  entry.seq = first.seq;
  entry.item_count = model_.records.at(first.id).items();
  entry.reader = name;
  entry.reason = "rejected";
  entry.status = 400;
  entry.bytes = bytes;
  const Status kept = log_->reader(name).quarantine(entry);
  tell("quarantine of " + std::string(name));
  if (kept.ok()) note_quarantined(entry);
  if (kept.ok() || !stopped()) acknowledge(name);
}

}  // namespace holdfast
