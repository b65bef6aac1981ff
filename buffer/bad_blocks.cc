#include "buffer/bad_blocks.h"

#include <algorithm>
#include <cerrno>

namespace holdfast {

bool is_medium_error(int code) {
  // What Linux says of a bad sector, a failed checksum or a broken inode (block/blk-core.c, XFS,
  // ext4).
  return code == EIO || code == EUCLEAN || code == EBADMSG || code == ENODATA || code == EILSEQ;
}

void BadBlocks::add(std::uint64_t block) {
  if (count > 0 && block <= last) return;
  if (count++ == 0) first = block;
  last = block;
}

Result<std::size_t> pread_around(File& file, char* to, std::size_t length, std::uint64_t offset,
                                 BadBlocks& bad) {
  auto got = file.pread(to, length, offset);
  if (got || !is_medium_error(got.error().code)) return got;
  const auto size = file.size();
  if (!size) return size.error();
  const std::uint64_t end = std::min(offset + length, std::max(*size, offset));
  for (std::uint64_t at = offset; at < end;) {
    const std::uint64_t block = at / kDiskBlockBytes * kDiskBlockBytes;
    const auto wanted = static_cast<std::size_t>(std::min(end, block + kDiskBlockBytes) - at);
    char* const piece = to + (at - offset);
    auto part = file.pread(piece, wanted, at);
    if (!part && !is_medium_error(part.error().code)) return part.error();
    if (!part) {
      std::fill_n(piece, wanted, '\0');
      bad.add(block);
    } else if (*part < wanted) {
      return static_cast<std::size_t>(at - offset) + *part;  // it has been cut meanwhile
    }
    at += wanted;
  }
  return static_cast<std::size_t>(end - offset);
}

}  // namespace holdfast
