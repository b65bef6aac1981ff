// Deflate fragments that join into one gzip body: each record is compressed once, on its way to the
// disk, and leaves as it lies.
//
// A fragment is raw deflate (RFC 1951) that ends on a byte boundary with a full flush and has no
// final block. A gzip member (RFC 1952) is: header, any number of fragments, an empty final block
// (03 00), CRC-32 and length of the raw bytes. Thread safety: pure functions; a Deflater is its
// owner's alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "buffer/result.h"

namespace holdfast {

/// CRC-32 as gzip has it (polynomial 0xEDB88320), `crc` being that of the bytes before.
std::uint32_t crc32_gzip(std::uint32_t crc, std::string_view bytes);

/// The CRC-32 of A followed by B from theirs and the length of B.
std::uint32_t crc32_combine_gzip(std::uint32_t crc_a, std::uint32_t crc_b, std::uint64_t length_b);

/// CRC-32C (Castagnoli), `crc` being that of the bytes before. Hardware where there is some.
std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes);

/// The same by table: what a processor without the instruction runs; for tests.
std::uint32_t crc32c_by_table(std::uint32_t crc, std::string_view bytes);

/// The way back: the value before `bytes`, given `crc` after them.
std::uint32_t crc32c_before(std::uint32_t crc, std::string_view bytes);

class Deflater {
 public:
  Deflater();
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  /// Appends the fragment of `raw` to `out`. Fails only on a fault of the library.
  Status fragment(std::string_view raw, std::string& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Appends what a fragment holds to `out`; it must come to exactly `raw_length` bytes.
Status inflate_fragment(std::string_view fragment, std::uint32_t raw_length, std::string& out);

/// Builds one single-member gzip stream in `out` from fragments in order.
class GzipJoiner {
 public:
  explicit GzipJoiner(std::string& out);
  void add(std::string_view fragment, std::uint32_t raw_crc32, std::uint32_t raw_length);
  /// Writes the end. Nothing may be added after it.
  void finish();

 private:
  std::string& out_;
  std::uint32_t crc_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace holdfast
