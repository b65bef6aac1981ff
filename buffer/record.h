// A record as callers of the log see it: opaque bytes with what is needed to count, verify and join
// them.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

enum class Codec : std::uint8_t { identity = 0, deflate_fragment = 1 };

/// To be appended. The views must live until append() returns.
struct NewRecord {
  std::string_view stored;  // bytes for the disk, in `codec`
  std::string_view
      extension;  // request boundaries (see agent/request_boundaries.h), or empty for one request
  std::uint32_t raw_length = 0;
  std::uint32_t raw_crc32 = 0;  // gzip's
  std::uint32_t item_count = 0;
  std::uint32_t request_count = 1;
  Codec codec = Codec::deflate_fragment;
  std::uint16_t source = 0;  // where it came from, for readers that skip some; 0: read by all
};

/// As read back, both checksums verified.
struct Record {
  std::uint64_t seq = 0;
  std::int64_t received_unix_ns = 0;
  std::string_view stored;
  std::string_view extension;
  std::uint32_t raw_length = 0;
  std::uint32_t raw_crc32 = 0;
  std::uint32_t item_count = 0;
  std::uint32_t request_count = 1;
  Codec codec = Codec::deflate_fragment;
  std::uint16_t source = 0;
};

}  // namespace holdfast
