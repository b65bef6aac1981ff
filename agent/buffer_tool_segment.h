// What lies in one segment file, piece by piece, and writing it anew with some of its records: what
// repair and purge are made of.
//
// The caller holds the directory's lock. Single-threaded.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/buffer_tool_files.h"
#include "buffer/filesystem.h"
#include "buffer/segment_format.h"

namespace holdfast {

/// Bytes of a segment in one piece: a whole record, or what is none.
struct SegmentPart {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t seq = 0;  // of a stretch without a record: the number that was expected there
  std::uint32_t items = 0;
  std::uint16_t source = 0;
  std::int64_t received_unix_ns = 0;
  bool record = false;  // its checksums hold and its bytes inflate
  bool empty = false;   // nothing but zeros
};

struct SegmentScan {
  SegmentHeader header;
  std::vector<SegmentPart> parts;  // all between header and seal; the header too if it is damaged
  std::uint64_t size = 0;
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t next_seq = 0;
  bool sealed = false;
  bool damaged = false;  // some part is no record
};

/// Errors: errno; code 0 for a header past mending (then nothing in the file can be read).
Result<SegmentScan> scan_segment(FileSystem& fs, const std::string& folder,
                                 const std::string& file);

/// Writes the records for which `keep` is true to a new sealed file of the same sequence numbers
/// and puts it in the place of `file`, which ends in ".seg". A crash leaves the one or the other.
Status rewrite_segment(FileSystem& fs, const std::string& folder, const std::string& file,
                       const SegmentScan& scan,
                       const std::function<bool(const SegmentPart&)>& keep);

inline constexpr std::string_view kRewriteEnding = ".tmp";

/// The bytes of one part as they lie there; zeros for blocks that the disk cannot give.
Result<std::string> read_part(FileSystem& fs, const std::string& path, const SegmentPart& part);

}  // namespace holdfast
