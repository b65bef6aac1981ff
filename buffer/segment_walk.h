// The steps of a segment from its first record to an end, in bounded memory: for counting, where
// the bytes themselves are not wanted.
//
// Owned by one thread, for one pass.
#pragma once

#include <cstdint>
#include <string>

#include "buffer/segment_reader.h"

namespace holdfast {

class SegmentWalk {
 public:
  SegmentWalk(SegmentReader& reader, std::uint64_t end) : reader_(reader), end_(end) {
    reader_.seek(kSegmentHeaderBytes);
    reader_.start_arena(arena_);
  }

  /// False: the end, or what cannot be read.
  bool next(SegmentReader::Step& step) {
    using Kind = SegmentReader::Step::Kind;
    if (arena_.size() > kArenaBytesMax) reader_.forget(arena_, 0);
    step = reader_.next(end_, arena_);
    return step.kind != Kind::end && step.kind != Kind::io_error;
  }

  static bool has_record(const SegmentReader::Step& step) {
    using Kind = SegmentReader::Step::Kind;
    return step.kind == Kind::record || step.kind == Kind::bad_record;
  }

 private:
  static constexpr std::size_t kArenaBytesMax = 1U << 20;

  SegmentReader& reader_;
  const std::uint64_t end_;
  std::string arena_;
};

}  // namespace holdfast
