// Reading around the blocks of a file that the disk can no longer give.
//
// A disk loses sectors, and a file system that checks what it reads gives none of a bad block; all
// around them can still be read. Thread safety: that of File::pread.
#pragma once

#include <cstdint>

#include "buffer/filesystem.h"
#include "buffer/result.h"

namespace holdfast {

/// Did the medium fail, or what the file system keeps about it? All other errors (want of memory,
/// of descriptors, of permission) may pass, and say nothing about the bytes.
bool is_medium_error(int code);

/// Blocks that could not be read: how many, and where the first and the last of them begin.
struct BadBlocks {
  std::uint64_t count = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  void add(std::uint64_t block);  // in ascending order; one that comes again is counted once
};

/// As File::pread. Where the medium fails, blocks of 4 KiB are read one by one; zeros stand for
/// those that fail again, and no checksum takes them for what was there.
Result<std::size_t> pread_around(File& file, char* to, std::size_t length, std::uint64_t offset,
                                 BadBlocks& bad);

}  // namespace holdfast
