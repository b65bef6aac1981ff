// What the log knows of its segments and readers. Inside the buffer only; guarded by the log's
// mutex.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "buffer/cursor.h"
#include "buffer/log.h"
#include "buffer/segment_format.h"

namespace holdfast {

/// What of one segment came from one source.
struct SourceCounts {
  std::uint16_t source = 0;
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;  // of the file
};

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
  std::int64_t created_steady_ns = 0;          // its age by a clock that does not jump
  bool given_up = false;                       // it can no longer be opened
  std::vector<SourceCounts> sources;           // of its records, but for source 0
  bool sources_known = true;                   // a seal does not tell
  std::vector<std::uint64_t> damage_reported;  // offsets of it, ascending
};

inline SourceCounts source_counts_of(const RecordHeader& header) {
  return {header.source, header.item_count, 1, header.padded_length()};
}

inline void count_source(Segment& segment, const SourceCounts& more) {
  if (more.source == 0) return;
  auto counts = std::find_if(segment.sources.begin(), segment.sources.end(),
                             [&](const SourceCounts& one) { return one.source == more.source; });
  if (counts == segment.sources.end()) {
    counts = segment.sources.insert(counts, {.source = more.source});
  }
  counts->items += more.items;
  counts->records += more.records;
  counts->bytes += more.bytes;
}

/// What is left of a segment without the records of `skipped`.
inline DropCounts counts_without(const Segment& segment, const Sources& skipped) {
  DropCounts left{segment.items, segment.records, segment.data_end};
  for (const SourceCounts& counts : segment.sources) {
    if (!contains(skipped, counts.source)) continue;
    left.items -= std::min(left.items, counts.items);
    left.records -= std::min(left.records, counts.records);
    left.bytes -= std::min(left.bytes, counts.bytes);
  }
  return left;
}

/// A place in the log and what lies before it in its segment, but for what its reader skips.
struct ReadPosition {
  std::uint64_t segment = 0;  // first_seq; 0: before all
  std::uint64_t offset = 0;
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::uint64_t next_seq = 0;  // all below are done with; damage holds it back to a segment's end
  std::uint64_t skipped_bytes = 0;  // of `offset`
};

/// After all of a segment, of which `own` is not skipped.
inline ReadPosition end_of(const Segment& segment, const DropCounts& own, std::uint64_t next_seq) {
  return {segment.first_seq,
          segment.data_end,
          own.items,
          own.records,
          std::max(next_seq, segment.next_seq),
          segment.data_end - own.bytes};
}

/// What one claim took from one segment.
struct ClaimPart {
  ReadPosition end;  // after it
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  DropCounts corrupt;              // stepped over in it
  std::int64_t recount_items = 0;  // by which the start was wrong about what was pending
  bool gone = false;               // purged while it was claimed
  DropReason gone_reason = DropReason::folder_full;
};

/// As ReaderState::saved_seq: the cursor's file must be written again, wherever it stands.
inline constexpr std::uint64_t kNotSaved = UINT64_MAX;

struct ReaderState {
  std::string name;
  ReadPosition acknowledged;
  ReadPosition claimed;
  std::vector<ClaimPart> parts;  // claimed, not acknowledged
  std::uint64_t pending_items = 0;
  std::uint64_t pending_records = 0;
  std::uint64_t recovered_items = 0;
  std::uint64_t uncounted_items = 0;  // acknowledged before a recount has told of them
  DropCounts drops[kDropReasonCount]{};
  // That the cursor's file holds. 0 at the start: what a killed process has written need not be
  // synced.
  std::uint64_t saved_seq = 0;
  // Segments below it may go. Higher than saved_seq while the cursor cannot be written: they are
  // delivered all the same, and their room is needed.
  std::uint64_t deletable_seq = 0;
};

inline void take_off_pending(ReaderState& reader, const ClaimPart& part) {
  const std::uint64_t items = part.items + part.corrupt.items;
  const std::uint64_t more = items - std::min(items, reader.pending_items);
  reader.pending_items -= items - more;
  reader.recovered_items += more;
  reader.uncounted_items += more;
  reader.pending_records -= std::min(reader.pending_records, part.records + part.corrupt.records);
}

/// What reading has shown: so many more items (or fewer) than the start took for pending.
inline void recount(ReaderState& reader, std::int64_t items) {
  if (items < 0) {
    const std::uint64_t fewer = -static_cast<std::uint64_t>(items);
    reader.pending_items -= std::min(reader.pending_items, fewer);
    reader.recovered_items -= std::min(reader.recovered_items, fewer);
  } else {
    const std::uint64_t known = std::min(reader.uncounted_items, static_cast<std::uint64_t>(items));
    const std::uint64_t more = static_cast<std::uint64_t>(items) - known;
    reader.uncounted_items -= known;
    reader.pending_items += more;
    reader.recovered_items += more;
  }
}

inline void add_drop(ReaderState& reader, DropReason reason, const DropCounts& counts) {
  DropCounts& sum = reader.drops[static_cast<std::size_t>(reason)];
  sum.items += counts.items;
  sum.records += counts.records;
  sum.bytes += counts.bytes;
}

}  // namespace holdfast
