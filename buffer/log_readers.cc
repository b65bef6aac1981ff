// Which readers and limits the log has: at the start, and changed while it runs.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <iterator>
#include <set>

#include "buffer/log_impl.h"
#include "buffer/segment_walk.h"

namespace holdfast {
namespace {

Sources ascending(Sources sources) {
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  std::erase(sources, 0);
  return sources;
}

/// What holds up to `from_seq` and is not behind the reader yet, and `sources` from there on.
SkipRules rules_with(SkipRules rules, const Sources& sources, std::uint64_t from_seq,
                     std::uint64_t next_seq) {
  while (rules.size() > 1 && rules[1].from_seq <= next_seq) rules.erase(rules.begin());
  if (sources == (rules.empty() ? Sources() : rules.back().sources)) return rules;
  if (!rules.empty() && rules.back().from_seq == from_seq) {
    rules.back().sources = sources;
  } else {
    rules.push_back({from_seq, sources});
  }
  if (rules.size() == 1 && rules.front().sources.empty()) rules.clear();
  return rules;
}

/// Without the oldest rules, where there are too many: what two of them skip is skipped in both.
void make_fit(SkipRules& rules) {
  while (rules.size() > 1 && !fit_in_cursor(rules)) {
    Sources both;
    std::set_intersection(rules[0].sources.begin(), rules[0].sources.end(),
                          rules[1].sources.begin(), rules[1].sources.end(),
                          std::back_inserter(both));
    rules[1] = {rules[0].from_seq, std::move(both)};
    rules.erase(rules.begin());
  }
}

Status check(const std::vector<ReaderSpec>& specs) {
  std::set<std::string_view> names;
  for (const ReaderSpec& spec : specs) {
    if (spec.name.empty() || !names.insert(spec.name).second) {
      return Error{EINVAL, "a reader's name is empty or there twice: \"" + spec.name + "\""};
    }
    if (!fit_in_cursor({{0, ascending(spec.skipped_sources)}})) {
      return Error{EINVAL, "the reader " + spec.name + " skips too many sources"};
    }
  }
  return {};
}

}  // namespace

Status LogImpl::take_up_readers(const std::vector<ReaderSpec>& specs) {
  if (Status good = check(specs); !good) return good;
  for (const ReaderSpec& spec : specs) add_reader(spec);
  return {};
}

void LogImpl::add_reader(const ReaderSpec& spec) {
  Cursor cursor = Cursor::open(fs_, options_.directory, spec.name, clock_.unix_ns());
  if (cursor.was_damaged()) {
    report("a cursor is damaged: its exporter starts again at the oldest record", spec.name);
  }
  if (!cursor.obstacle().empty()) {
    report("a cursor cannot be read: its exporter starts again at the oldest record",
           cursor.obstacle());
  }
  if (!cursor.has_file()) cursors_bytes_ += rounded_to_blocks(kCursorBytes, block_bytes_);
  // A start has read all cursors; this one was put here since.
  if (cursor.next_seq() > next_seq_ && active_)
    seal_active(options_.durability != Durability::none);
  {
    std::lock_guard lock(mutex_);
    take_up_seq(cursor.next_seq());
  }
  auto reader = std::make_unique<LogReaderImpl>(*this, spec.name, std::move(cursor));
  const std::uint64_t from = begin_reader(*reader, spec);
  if (!reader->rules_.empty()) count_sources();
  place_reader(*reader, from);
  std::lock_guard lock(mutex_);
  readers_.push_back(std::move(reader));
}

/// Its rules, and the number of its first record. Both are written where they must not be
/// forgotten.
std::uint64_t LogImpl::begin_reader(LogReaderImpl& reader, const ReaderSpec& spec) {
  Cursor& cursor = reader.cursor_;
  const Sources skipped = ascending(spec.skipped_sources);
  const bool is_known = cursor.has_file() && !cursor.was_damaged();
  const bool is_new = !cursor.has_file() && cursor.obstacle().empty();
  std::uint64_t from = cursor.next_seq();
  if (is_new && spec.starts_at_newest) from = next_seq_;
  const SkipRules rules = rules_with(cursor.rules(), skipped, is_known ? next_seq_ : 0, from);
  const bool changed = rules != cursor.rules();
  if (changed && is_known && active_) seal_active(options_.durability != Durability::none);
  if (changed) set_rules(reader, rules);
  if (!changed && from == cursor.next_seq()) return from;
  const Status saved = with_reserve([&] { return cursor.save(from, clock_.unix_ns()); });
  if (saved.ok()) return from;
  note_error("a cursor cannot be written", saved.error());
  reader.state_.saved_seq = kNotSaved;
  // A start after a crash would take what has come meanwhile for older than this reader.
  return is_new ? 0 : from;
}

void LogImpl::set_rules(LogReaderImpl& reader, SkipRules rules) {
  make_fit(rules);
  reader.cursor_.set_rules(rules);
  std::lock_guard lock(mutex_);
  reader.rules_ = std::move(rules);
}

/// What the seals do not tell: whose records the segments of an earlier life hold. Takes no lock
/// while it reads.
void LogImpl::count_sources() {
  Segment segment;
  for (std::uint64_t from_seq = 0;; from_seq = segment.first_seq + 1) {
    {
      std::lock_guard lock(mutex_);
      const auto unknown = std::find_if(from_locked(from_seq), segments_.end(),
                                        [](const Segment& one) { return !one.sources_known; });
      if (unknown == segments_.end()) return;
      segment = *unknown;
    }
    auto reader =
        SegmentReader::open(fs_, path_of(segment.file), SegmentReader::Unreadable::is_damage);
    if (reader) {
      SegmentWalk walk(*reader, segment.data_end);
      SegmentReader::Step step;
      while (walk.next(step)) {
        if (SegmentWalk::has_record(step)) count_source(segment, source_counts_of(step.header));
      }
    }
    std::lock_guard lock(mutex_);
    Segment* const there = find_locked(segment.first_seq);
    if (there == nullptr) continue;
    there->sources = std::move(segment.sources);
    there->sources_known = true;
  }
}

void LogImpl::place_reader(LogReaderImpl& reader, std::uint64_t cursor_seq) {
  ReaderState& state = reader.state_;
  state.deletable_seq = cursor_seq;
  reader.skip_below_ = cursor_seq;
  state.acknowledged.next_seq = cursor_seq;
  for (const Segment& segment : segments_) {
    const DropCounts own = counts_without(segment, reader.skipped_in(segment));
    if (segment.next_seq <= cursor_seq) {
      state.acknowledged = end_of(segment, own, cursor_seq);
      continue;
    }
    state.pending_items += own.items;
    state.pending_records += own.records;
    if (segment.first_seq >= cursor_seq) continue;
    state.acknowledged = {segment.first_seq, kSegmentHeaderBytes, 0, 0, cursor_seq};
    place_within(segment, cursor_seq, reader);
    state.pending_items -= std::min(state.pending_items, state.acknowledged.items);
    state.pending_records -= std::min(state.pending_records, state.acknowledged.records);
  }
  state.claimed = state.acknowledged;
  state.recovered_items = state.pending_items;
}

/// The cursor stands inside this segment: what lies below it was delivered, or skipped.
void LogImpl::place_within(const Segment& segment, std::uint64_t cursor_seq,
                           LogReaderImpl& reader) {
  ReadPosition& place = reader.state_.acknowledged;
  const Sources& skipped = reader.skipped_in(segment);
  const std::uint64_t below = std::min(segment.records, cursor_seq - segment.first_seq);
  place.records = below;
  auto file = SegmentReader::open(fs_, path_of(segment.file), SegmentReader::Unreadable::is_damage);
  if (!file) return;
  std::uint64_t items_below = 0;
  std::uint64_t found_below = 0;
  std::uint64_t items_from = 0;
  std::uint64_t found_from = 0;
  DropCounts skipped_below;
  SegmentWalk walk(*file, segment.data_end);
  SegmentReader::Step step;
  while (found_below < below && walk.next(step)) {
    if (!SegmentWalk::has_record(step)) continue;
    const RecordHeader& header = step.header;
    const bool is_below = header.seq < cursor_seq;
    (is_below ? items_below : items_from) += header.item_count;
    ++(is_below ? found_below : found_from);
    if (is_below && found_from == 0) place.offset = file->offset();
    if (!is_below || !contains(skipped, header.source)) continue;
    skipped_below.items += header.item_count;
    ++skipped_below.records;
    skipped_below.bytes += header.padded_length();
  }
  // Where something delivered has been damaged since, its items are what the others leave.
  const bool all_from_found = found_from + below >= segment.records;
  if (found_below < below && all_from_found) {
    items_below = segment.items - std::min(segment.items, items_from);
  }
  place.items = items_below - std::min(items_below, skipped_below.items);
  place.records -= std::min(place.records, skipped_below.records);
  place.skipped_bytes = skipped_below.bytes;
}

LogReaderImpl* LogImpl::find_reader(std::string_view name) {
  std::lock_guard lock(mutex_);
  const auto found = std::find_if(readers_.begin(), readers_.end(),
                                  [&](const auto& reader) { return reader->name() == name; });
  return found == readers_.end() ? nullptr : found->get();
}

LogReader& LogImpl::reader(std::string_view name) {
  LogReaderImpl* const found = find_reader(name);
  assert(found != nullptr);
  return *found;
}

// ---- while it runs ----------------------------------------------------------------------------

Status LogImpl::set_readers(const std::vector<ReaderSpec>& specs) {
  if (Status good = check(specs); !good) return good;
  std::lock_guard upkeep(upkeep_mutex_);
  for (const ReaderSpec& spec : specs) {
    const LogReaderImpl* const known = find_reader(spec.name);
    if (known == nullptr || fit_in_cursor(changed_rules(*known, spec))) continue;
    return Error{EBUSY, "the exporter " + spec.name +
                            " has too much to do that came while other routes were configured"};
  }
  const bool any_skips = std::any_of(specs.begin(), specs.end(), [](const ReaderSpec& spec) {
    return !spec.skipped_sources.empty();
  });
  if (any_skips) count_sources();  // now, while nobody waits
  retire_readers(specs);
  {
    std::lock_guard writer(writer_mutex_);
    for (const ReaderSpec& spec : specs) {
      if (LogReaderImpl* const known = find_reader(spec.name)) {
        change_skipped(*known, spec);
      } else {
        add_reader(spec);
      }
    }
  }
  want_maintenance_at(clock_.steady_ns());  // what was held for the retired ones may go
  return {};
}

SkipRules LogImpl::changed_rules(const LogReaderImpl& reader, const ReaderSpec& spec) const {
  std::lock_guard lock(mutex_);
  return rules_with(reader.rules_, ascending(spec.skipped_sources), next_seq_,
                    reader.state_.acknowledged.next_seq);
}

void LogImpl::change_skipped(LogReaderImpl& reader, const ReaderSpec& spec) {
  const SkipRules rules = changed_rules(reader, spec);
  std::uint64_t seq = 0;
  {
    std::lock_guard lock(mutex_);
    if (rules == reader.rules_) return;
    seq = reader.state_.acknowledged.next_seq;
  }
  // A rule begins with a segment.
  if (active_) seal_active(options_.durability != Durability::none);
  set_rules(reader, rules);
  const Status saved = with_reserve([&] { return reader.cursor_.save(seq, clock_.unix_ns()); });
  if (saved.ok()) return;
  note_error("a cursor cannot be written", saved.error());
  std::lock_guard lock(mutex_);
  reader.state_.saved_seq = kNotSaved;  // upkeep tries again
}

void LogImpl::retire_readers(const std::vector<ReaderSpec>& staying) {
  std::vector<std::unique_ptr<LogReaderImpl>> retired;
  {
    std::lock_guard lock(mutex_);
    const auto stays = [&](const auto& reader) {
      return std::any_of(staying.begin(), staying.end(),
                         [&](const ReaderSpec& spec) { return spec.name == reader->name(); });
    };
    const auto first = std::stable_partition(readers_.begin(), readers_.end(), stays);
    std::move(first, readers_.end(), std::back_inserter(retired));
    readers_.erase(first, readers_.end());
  }
  for (const auto& reader : retired) {
    const std::uint64_t seq = reader->state_.acknowledged.next_seq;
    const Status saved = with_reserve([&] { return reader->cursor_.save(seq, clock_.unix_ns()); });
    if (saved.ok()) continue;
    note_error("a cursor cannot be written", saved.error());
    if (!reader->cursor_.has_file()) {
      cursors_bytes_ -= rounded_to_blocks(kCursorBytes, block_bytes_);
    }
  }
}

Status LogImpl::set_limits(const LogOptions& options) {
  if (options.directory != options_.directory || options.stream_tag != options_.stream_tag) {
    return Error{EINVAL, "a log stays in its directory: " + options_.directory};
  }
  std::lock_guard upkeep(upkeep_mutex_);
  {
    std::lock_guard writer(writer_mutex_);
    // What was written so far is owed to the disk as it was promised when it came.
    if (active_ && options.durability != options_.durability) {
      seal_active(std::min(options.durability, options_.durability) != Durability::none);
    }
    {
      std::lock_guard lock(mutex_);
      take_limits(options);
    }
    if (reserve_bytes_wanted() != reserve_.bytes()) reserve_.open(reserve_bytes_wanted());
    free_checked_ns_ = expire_again_ns_ = INT64_MIN;
    const auto has_room = [this] {
      std::lock_guard lock(mutex_);
      return folder_has_room_locked(0);
    };
    while (options_.overflow == Overflow::drop_oldest && !has_room()) {
      if (!purge_oldest(DropReason::folder_full)) break;
    }
  }
  tell_readers();
  want_maintenance_at(clock_.steady_ns());
  return {};
}

void LogImpl::take_limits(const LogLimits& limits) {
  static_cast<LogLimits&>(options_) = with_quarantine_bounded(limits);
  folder_bytes_max_ = options_.folder_bytes_max;
  quarantine_bytes_max_ = options_.quarantine_bytes_max;
  quarantine_.set_bytes_max(options_.quarantine_bytes_max);
}

}  // namespace holdfast
