// What a log must hold, kept in memory beside it: every record that was ever appended, what became
// of it, and where each reader stands.
//
// A value: a copy is the model of another log in the same state. Owned by CheckedLog.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/log.h"

namespace holdfast {

/// A record's bytes follow from its number and size; the number travels as the checksum of the raw
/// bytes, which the log does not look at.
struct ModelRecord {
  enum class Fate : std::uint8_t {
    stored,   // append said so
    unknown,  // append failed after something was written, or never returned: it may turn up
    refused,  // append failed before anything was written: it must never turn up
  };
  std::uint32_t id = 0;
  std::uint32_t size = 0;
  Fate fate = Fate::refused;
  std::uint64_t seq = 0;  // of one that is stored
  std::int64_t appended_ns = 0;
  bool durable = false;       // survives a loss of power
  bool dropped = false;       // its segment has gone
  std::uint32_t settled = 0;  // a bit for each reader that has it or was told of its loss

  std::uint32_t items() const { return 1 + id % 7; }
  std::uint16_t source() const { return static_cast<std::uint16_t>(id / 2 % 3); }
  std::string stored_bytes() const;
  std::string extension() const;
};

struct ModelSegment {
  std::int64_t created_steady_ns = 0;
  bool sealed = false;
  std::uint64_t allocated = 0;
  std::string file;
};

struct ModelReader {
  struct Claimed {
    std::uint64_t seq = 0;
    std::uint32_t id = 0;
    bool gone = false;  // its segment was dropped meanwhile
    DropReason reason = DropReason::folder_full;
  };
  std::string name;
  bool configured = false;
  std::uint16_t skipped = 0;         // the source that it skips; 0: none
  std::uint64_t acknowledged = 0;    // all below are done with
  std::uint64_t cursor = 0;          // what the log says of that; damage may hold it back
  std::uint64_t furthest = 0;        // where its cursor can be at most
  std::uint64_t position = 0;        // next to claim
  std::uint64_t written_cursor = 0;  // at least so far after a kill
  std::uint64_t durable_cursor = 0;  // at least so far after a loss of power
  std::vector<Claimed> claimed;
  std::array<DropCounts, kDropReasonCount> drops{};
  // Counted by the log from headers or seals whose records are not whole, none of them stored for
  // good: items and records that are to be counted as corrupt or dropped one day.
  DropCounts phantoms;

  bool wants(const ModelRecord& record) const { return skipped == 0 || record.source() != skipped; }
};

/// "a-2" skips source 2, in every life; a name without a dash skips nothing.
ReaderSpec spec_of(const std::string& name);
std::vector<ReaderSpec> specs_of(const std::vector<std::string>& names);

struct LogModel {
  std::uint32_t next_id = 1;
  std::uint64_t next_seq = 1;  // no new record has a number below
  std::map<std::uint32_t, ModelRecord> records;
  std::set<std::uint32_t> unsettled;               // stored, and some reader waits for it
  std::map<std::uint64_t, std::uint32_t> log;      // what is in the log now, by sequence number
  std::map<std::uint64_t, std::uint32_t> seen;     // whose number that is, for good
  std::map<std::uint64_t, ModelSegment> segments;  // by first sequence number
  std::vector<ModelReader> readers;
  std::map<std::string, std::string> quarantined;  // path → bytes
  std::uint64_t appended_items = 0;                // since the log was opened
  std::uint64_t appended_records = 0;
  std::int64_t cursors_saved_ns = 0;

  ModelReader& reader(std::string_view name);
  std::uint32_t bit(const ModelReader& reader) const;
  std::uint32_t configured_bits() const;
  /// Of those that are configured and want it.
  std::uint32_t wanted_bits(const ModelRecord& record) const;
  void settle(std::uint32_t id, std::uint32_t bits);
  /// The segment that holds this number, nullptr if none does.
  const ModelSegment* segment_of(std::uint64_t seq) const;
  /// What the reader has not acknowledged.
  DropCounts pending(const ModelReader& reader) const;
};

}  // namespace holdfast
