// Walks the records of one segment file and tells whole records, damage and the end apart.
//
// Damage never ends the walk: a bad payload is stepped over by its trusted length, a bad header by
// searching for the next one whose checksum holds, a damaged segment header is made up for
// (segment_salvage.h). Owned by one thread; the file may grow meanwhile, up to the `data_end` that
// is passed in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "buffer/bad_blocks.h"
#include "buffer/filesystem.h"
#include "buffer/segment_format.h"

namespace holdfast {

class SegmentReader {
 public:
  /// What to make of blocks that the disk cannot give.
  enum class Unreadable : std::uint8_t {
    fails,      // the read fails, and may be tried again
    is_damage,  // they are stepped over
  };

  /// Opens the file and checks its header; the name must be a segment's. Errors: errno of open or
  /// read; code 0 with a message for a header that is of another version or past mending.
  static Result<SegmentReader> open(FileSystem& fs, const std::string& path,
                                    Unreadable unreadable = Unreadable::fails);
  static bool is_unknown_version(const Error& error);

  const SegmentHeader& header() const { return header_; }
  /// The header was damaged: it has been put together from what was left.
  bool header_was_damaged() const { return header_was_damaged_; }
  std::uint64_t offset() const { return offset_; }
  void seek(std::uint64_t offset) { offset_ = offset; }
  File& file() { return *file_; }

  /// Between two reads the file need not be held open: a file that is deleted meanwhile gives its
  /// room back at once.
  void close() { file_.reset(); }
  Status reopen(FileSystem& fs, const std::string& path);
  void treat_unreadable_as(Unreadable unreadable) { unreadable_ = unreadable; }

  /// The arena gets the bytes that are read; call it when the arena has been cleared or belongs to
  /// another segment.
  void start_arena(const std::string& arena) {
    arena_base_ = arena.size(), arena_offset_ = offset_;
  }

  /// Takes out of the arena what has been stepped over since `keep`, a place in it.
  void forget(std::string& arena, std::size_t keep);

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
    bool has_header = false;  // of damage: a whole header stands at its beginning
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::size_t payload_at = 0;
    std::size_t payload_length = 0;
    bool tail = false;  // damage that reaches data_end
    BadBlocks bad;      // that were stepped over with it
    Error error;
  };

  /// The next step below `data_end`; moves on, except after io_error.
  Step next(std::uint64_t data_end, std::string& arena);

 private:
  SegmentReader(std::unique_ptr<File> file, const SegmentHeader& header, Unreadable unreadable)
      : file_(std::move(file)),
        header_(header),
        offset_(kSegmentHeaderBytes),
        unreadable_(unreadable) {}

  Result<std::size_t> read(char* to, std::size_t length, std::uint64_t offset, BadBlocks& bad);
  /// Makes arena hold `length` bytes from offset_; false: `step` says why not.
  bool fill(std::uint64_t length, std::uint64_t data_end, std::string& arena, Step& step);
  void resync(std::uint64_t data_end, Step& step);
  std::uint64_t up_to_whole_header(std::uint64_t length, std::uint64_t data_end,
                                   std::string& arena);
  void move_to(std::uint64_t offset, const std::string& arena);

  std::unique_ptr<File> file_;
  SegmentHeader header_;
  std::uint64_t offset_;
  Unreadable unreadable_;
  bool header_was_damaged_ = false;
  std::size_t arena_base_ = 0;      // where in the arena this segment's bytes start
  std::uint64_t arena_offset_ = 0;  // and which offset of the file that is
};

}  // namespace holdfast
