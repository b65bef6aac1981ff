// Walks the records of one segment file and tells whole records, damage and the end apart.
//
// Damage never ends the walk: a bad payload is stepped over by its trusted length, a bad header by
// searching for the next one whose checksum holds. Owned by one thread; the file may grow
// meanwhile, up to the `data_end` that is passed in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "buffer/filesystem.h"
#include "buffer/segment_format.h"

namespace holdfast {

class SegmentReader {
 public:
  /// Opens the file and checks its header. Errors: errno of open or read; code 0 with a message for
  /// a bad header.
  static Result<SegmentReader> open(FileSystem& fs, const std::string& path);

  const SegmentHeader& header() const { return header_; }
  std::uint64_t offset() const { return offset_; }
  void seek(std::uint64_t offset) { offset_ = offset; }
  File& file() { return *file_; }

  /// The arena gets the bytes that are read; call it when the arena has been cleared or belongs to
  /// another segment.
  void start_arena(const std::string& arena) {
    arena_base_ = arena.size(), arena_offset_ = offset_;
  }

  struct Step {
    enum class Kind : std::uint8_t {
      record,      // whole; its payload is at arena[payload_at, +payload_length)
      seal,        // the end record, with the segment's totals
      bad_record,  // header whole, payload damaged
      damage,      // `length` bytes from `offset` that hold no record
      end,         // data_end is reached
      io_error,
    } kind = Kind::end;
    RecordHeader header;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::size_t payload_at = 0;
    std::size_t payload_length = 0;
    bool tail = false;  // damage that reaches data_end
    Error error;
  };

  /// The next step below `data_end`; moves on, except after io_error.
  Step next(std::uint64_t data_end, std::string& arena);

 private:
  SegmentReader(std::unique_ptr<File> file, const SegmentHeader& header)
      : file_(std::move(file)), header_(header), offset_(kSegmentHeaderBytes) {}

  /// Makes arena hold `length` bytes from offset_; false: `step` says why not.
  bool fill(std::uint64_t length, std::uint64_t data_end, std::string& arena, Step& step);
  Step resync(std::uint64_t data_end);

  std::unique_ptr<File> file_;
  SegmentHeader header_;
  std::uint64_t offset_;
  std::size_t arena_base_ = 0;      // where in the arena this segment's bytes start
  std::uint64_t arena_offset_ = 0;  // and which offset of the file that is
};

}  // namespace holdfast
