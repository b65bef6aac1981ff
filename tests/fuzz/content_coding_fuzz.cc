// Any bytes in any coding: never more than the limit, never another answer than zlib's for gzip.
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/content_coding.h"

namespace {

constexpr std::size_t kLimit = 1U << 20;

/// What zlib makes of a single gzip member; false unless it ends with the input.
bool zlib_inflate(std::string_view body, std::string& out) {
  z_stream stream{};
  if (inflateInit2(&stream, 31) != Z_OK) std::abort();
  out.resize(kLimit);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&stream, Z_FINISH);
  const bool whole = code == Z_STREAM_END && stream.avail_in == 0;
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return whole;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using holdfast::DecodeError;
  static constexpr std::string_view kCodings[] = {
      "gzip", "zlib", "zstd", "snappy", "x-snappy-framed", "lz4"};
  if (size == 0) return 0;
  const std::string_view coding = kCodings[data[0] % std::size(kCodings)];
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string out = "before";
  const DecodeError error = holdfast::decode_content(coding, body, kLimit, out);
  if (out.size() > 6 + kLimit || out.compare(0, 6, "before") != 0) std::abort();
  if (coding == "gzip") {
    std::string expected;
    if (zlib_inflate(body, expected)) {
      if (error != DecodeError::none || out.substr(6) != expected) std::abort();
    }
  }
  return 0;
}
