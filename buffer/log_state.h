// What the log knows of its segments and readers. Inside the buffer only; guarded by the log's
// mutex.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "buffer/cursor.h"
#include "buffer/log.h"

namespace holdfast {

/// One file. Segments stand in the order of their first_seq.
struct Segment {
  std::uint64_t first_seq = 0;
  std::uint64_t next_seq = 0;   // after its last record
  std::string file;             // its name; ".wip" while open or when it could not be renamed
  bool sealed = false;          // takes no more records
  std::uint64_t data_end = 0;   // readable up to here
  std::uint64_t allocated = 0;  // bytes of disk
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::int64_t created_unix_ns = 0;
  std::int64_t created_steady_ns = 0;       // its age by a clock that does not jump
  std::uint64_t damage_reported_up_to = 0;  // offset below which damage was counted
};

/// A place in the log and what lies before it in its segment.
struct ReadPosition {
  std::uint64_t segment = 0;  // first_seq; 0: before all
  std::uint64_t offset = 0;
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::uint64_t next_seq = 0;
};

/// What one claim took from one segment.
struct ClaimPart {
  ReadPosition end;  // after it
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  DropCounts corrupt;     // stepped over in it
  bool finished = false;  // the segment has no more
  bool gone = false;      // purged while it was claimed
  DropReason gone_reason = DropReason::folder_full;
};

struct ReaderState {
  std::string name;
  ReadPosition acknowledged;
  ReadPosition claimed;
  std::vector<ClaimPart> parts;  // claimed, not acknowledged
  std::uint64_t pending_items = 0;
  std::uint64_t pending_records = 0;
  std::uint64_t recovered_items = 0;
  DropCounts drops[kDropReasonCount]{};
  std::uint64_t saved_seq = 0;  // that the cursor file holds
  // Segments below it may go. Higher than saved_seq while the cursor cannot be written: they are
  // delivered all the same, and their room is needed.
  std::uint64_t deletable_seq = 0;
};

inline void add_drop(ReaderState& reader, DropReason reason, const DropCounts& counts) {
  DropCounts& sum = reader.drops[static_cast<std::size_t>(reason)];
  sum.items += counts.items;
  sum.records += counts.records;
  sum.bytes += counts.bytes;
}

}  // namespace holdfast
