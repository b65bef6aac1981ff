// A checked log's upkeep, and the ways in which it ends.
#include <algorithm>

#include "tests/support/checked_log.h"

namespace holdfast {

void CheckedLog::maintain() {
  if (!runs()) return;
  const Before before = this->before();
  const std::int64_t now = clock_.steady_ns();
  log_->maintain();
  tell("upkeep at " + std::to_string(now / kNsPerMs));
  const bool cursors_due = now - model_.cursors_saved_ns >= kNsPerSecond;
  if (cursors_due) model_.cursors_saved_ns = now;
  const bool disturbed = failed_since(before) || stopped();
  if (!disturbed && cursors_due) cursors_are_durable();
  if (disturbed) cursors_may_be_lost();
  const std::uint64_t oldest_before = model_.segments.empty() ? 0 : model_.segments.begin()->first;
  observe_segments(DropReason::expired, 0, before);
  if (disturbed) {
    doom_unsynced();
    check_stats(log_->stats());
    return;
  }
  if (options_.durability == Durability::interval) {
    const std::int64_t synced_through = now - options_.sync_interval.count() * kNsPerMs;
    for (const auto& [seq, id] : model_.log) {
      ModelRecord& record = model_.records.at(id);
      if (record.appended_ns <= synced_through) record.durable = true;
    }
  }
  for (const auto& [first_seq, segment] : model_.segments) {
    const std::int64_t age = now - segment.created_steady_ns;
    expect(segment.sealed || age < options_.write_age_max.count() * kNsPerMs ||
               could_not_be_deleted(segment),
           "a segment past its age for writing is open after upkeep");
  }
  // Only the oldest is looked at, and deleting goes on for a while after it failed.
  if (!model_.segments.empty() && model_.segments.begin()->first == oldest_before &&
      fs_.failed_unlinks().size() == failed_unlinks_at_open_) {
    const ModelSegment& oldest = model_.segments.begin()->second;
    const std::int64_t age = now - oldest.created_steady_ns;
    expect(age < options_.read_age_max.count() * kNsPerMs,
           oldest.file + " is there after upkeep, " + std::to_string(age / kNsPerMs) + " ms old");
  }
  check_stats(log_->stats());
}

void CheckedLog::cursors_are_durable() {
  for (const ReaderStats& shown : log_->stats().readers) {
    ModelReader& reader = model_.reader(shown.name);
    reader.written_cursor = reader.durable_cursor = reader.cursor = shown.next_seq;
    reader.furthest = std::max(reader.furthest, shown.next_seq);
  }
}

/// A failed sync may take what was written before it.
void CheckedLog::cursors_may_be_lost() {
  for (ModelReader& reader : model_.readers) reader.written_cursor = reader.durable_cursor;
}

/// What `interval` had not synced before a sync failed may never be durable.
void CheckedLog::doom_unsynced() {
  if (options_.durability == Durability::batch) return;
  for (const auto& [seq, id] : model_.log) model_.records.at(id).appended_ns = INT64_MAX;
}

// ---- readers that come and go -----------------------------------------------------------------

void CheckedLog::take_up_readers(const std::vector<std::string>& names) {
  for (ModelReader& reader : model_.readers) {
    if (power_was_lost_) reader.written_cursor = reader.durable_cursor;
    if (std::find(names.begin(), names.end(), reader.name) == names.end()) {
      reader.configured = false;
    }
  }
  for (const ReaderStats& shown : log_->stats().readers) take_up_reader(shown);
  note_unsettled();
}

void CheckedLog::take_up_reader(const ReaderStats& shown) {
  ModelReader& reader = model_.reader(shown.name);
  const std::string what =
      "the cursor of " + reader.name + " is " + std::to_string(shown.next_seq) + ", ";
  expect(shown.next_seq >= reader.written_cursor,
         what + "at least " + std::to_string(reader.written_cursor) + " was written");
  const std::uint64_t most = std::max(reader.acknowledged, reader.furthest);
  expect(shown.next_seq <= most, what + "only " + std::to_string(most) + " was acknowledged");
  if (!reader.configured) {  // it was away: what went meanwhile is not its loss
    for (const std::uint32_t id : std::set<std::uint32_t>(model_.unsettled)) {
      const ModelRecord& record = model_.records.at(id);
      const bool there = record.seq >= shown.next_seq && is_in_log(record);
      if (!there) model_.settle(id, model_.bit(reader));
    }
  }
  reader.configured = true;
  reader.furthest = reader.acknowledged = reader.cursor = reader.position = shown.next_seq;
  reader.written_cursor = shown.next_seq;
  if (power_was_lost_) reader.durable_cursor = shown.next_seq;
  reader.claimed.clear();
  reader.drops = {};
  const DropCounts whole = model_.pending(reader);
  expect(shown.pending_records >= whole.records && shown.pending_items >= whole.items,
         "whole records on the disk are not pending for " + reader.name);
  reader.phantoms.records = shown.pending_records - whole.records;
  reader.phantoms.items = shown.pending_items - whole.items;
  expect_equal(shown.recovered_items, shown.pending_items, "the number of recovered items");
}

void CheckedLog::note_unsettled() {
  for (const auto& [seq, id] : model_.log) {
    const ModelRecord& record = model_.records.at(id);
    // Of one whose segment has gone, all of then were told: its stale blocks are owed to nobody.
    if (record.dropped || record.fate != ModelRecord::Fate::stored || record.seq != seq) continue;
    const std::uint32_t wanted = model_.wanted_bits(record);
    if ((record.settled & wanted) != wanted) model_.unsettled.insert(id);
  }
}

bool CheckedLog::set_readers(const std::vector<std::string>& names) {
  if (!runs()) return false;
  // What could not be deleted is on the disk, and not in the log: a start would bring it back.
  if (fs_.failed_unlinks().size() != failed_unlinks_at_open_) return false;
  const Before before = this->before();
  const auto is_named = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (ModelReader& reader : model_.readers) {  // as a drain that is stopped
    if (reader.configured && !is_named(reader.name)) rewind(reader.name);
  }
  if (!runs()) return false;
  std::string line = "readers:";
  for (const std::string& name : names) line += " " + name;
  tell(line);
  const Status set = log_->set_readers(specs_of(names));
  expect(set.ok(), "readers were refused");
  const bool disturbed = failed_since(before) || stopped();
  for (ModelReader& reader : model_.readers) {
    if (!reader.configured || is_named(reader.name)) continue;
    reader.configured = false;
    if (!disturbed) reader.written_cursor = reader.durable_cursor = reader.cursor;
  }
  if (stopped()) return true;
  for (const ReaderStats& shown : log_->stats().readers) {
    if (!model_.reader(shown.name).configured) take_up_reader(shown);
  }
  note_unsettled();
  check_stats(log_->stats());
  return true;
}

void CheckedLog::close() {
  if (!runs()) return;
  const Before before = this->before();
  tell("close");
  log_->close();
  if (!failed_since(before) && !stopped()) {
    for (const auto& [seq, id] : model_.log) {
      ModelRecord& record = model_.records.at(id);
      const bool synced = options_.durability == Durability::interval;
      if (synced && record.appended_ns != INT64_MAX) record.durable = true;
    }
    cursors_are_durable();
  } else {
    cursors_may_be_lost();
  }
  observe_segments(DropReason::expired, 0, before);
  check_stats(log_->stats());
  settle_gone();
  log_.reset();
}

/// What was dropped while it was on its way upstream: the count that was to decide goes with the
/// process.
void CheckedLog::settle_gone() {
  for (ModelReader& reader : model_.readers) {
    for (const ModelReader::Claimed& claimed : reader.claimed) {
      if (claimed.gone) model_.settle(claimed.id, model_.bit(reader));
    }
  }
}

void CheckedLog::kill() {
  if (!ok()) return;
  tell("kill");
  settle_gone();
  log_.reset();
  fs_.kill();
}

void CheckedLog::lose_power(const CrashPolicy& policy) {
  if (!ok()) return;
  tell("power lost");
  settle_gone();
  log_.reset();
  fs_.lose_power(policy);
  clock_.boot(clock_.boot_id() + 1);
  power_was_lost_ = true;
}

void CheckedLog::drain() {
  if (!runs()) return;
  const Before before = this->before();
  if (options_.drain == DrainMode::windowed) {
    clock_.advance_ms(std::max(options_.write_age_max, options_.read_age_min).count());
    maintain();
    clock_.advance_ms(options_.read_age_min.count());
  }
  for (std::size_t i = 0; i < model_.readers.size() && ok(); ++i) {
    if (!model_.readers[i].configured) continue;
    const std::string name = model_.readers[i].name;
    rewind(name);
    while (runs() && model_.pending(model_.readers[i]).records > 0) {
      claim(name);
      if (failed_since(before) || stopped()) return;
      if (!expect(!model_.readers[i].claimed.empty(), "what is pending cannot be claimed")) return;
      acknowledge(name);
    }
    claim(name);  // over what may be left of damage
    acknowledge(name);
  }
  for (int i = 0; i < 2; ++i) {
    clock_.advance_ms(2'000);
    maintain();
  }
  if (!runs() || failed_since(before) || model_.configured_bits() == 0) return;
  for (const ReaderStats& reader : log_->stats().readers) {
    expect_equal(reader.pending_records, 0, "pending records after everything is delivered");
    expect_equal(reader.pending_items, 0, "pending items after everything is delivered");
  }
  // What could not be deleted is found by the next start.
  if (failed_at_open_ || fs_.failed_unlinks().size() != failed_unlinks_at_open_) return;
  for (const DirectoryEntry& entry : fs_.disk().list(options_.directory)) {
    expect(!entry.is_regular || entry.name.starts_with("cursor-") || entry.name == "reserve",
           "left on the disk after everything is delivered: " + entry.name);
  }
}

}  // namespace holdfast
