// Bodies in every content coding, each made by the coding's own library.
#pragma once

#include <gtest/gtest.h>
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/content_coding.h"
#include "buffer/deflate.h"

namespace holdfast {

inline constexpr std::size_t kLimit = 20U << 20;

inline std::string telemetry_like(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) {
    text += "span-" + std::to_string(i * 2654435761U) + " service.name=checkout ";
  }
  text.resize(bytes);
  return text;
}

inline std::string noise(std::size_t bytes) {
  std::string text(bytes, '\0');
  std::uint64_t state = 88172645463325252ULL;
  for (char& byte : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state);
  }
  return text;
}

inline std::string zlib_deflate(const std::string& raw, int window_bits, int level = 6) {
  z_stream stream{};
  EXPECT_EQ(Z_OK, deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY));
  std::string out(deflateBound(&stream, raw.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data()));
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(Z_STREAM_END, deflate(&stream, Z_FINISH));
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string zstd_stream(const std::string& raw, bool with_size, bool with_checksum) {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, with_size ? 1 : 0);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, with_checksum ? 1 : 0);
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  out.resize(ZSTD_compress2(context.get(), out.data(), out.size(), raw.data(), raw.size()));
  return out;
}

inline std::string lz4_frame(const std::string& raw, bool checksums) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.contentChecksumFlag =
      checksums ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum;
  preferences.frameInfo.blockChecksumFlag =
      checksums ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
  preferences.frameInfo.contentSize = checksums ? raw.size() : 0;
  std::string out(LZ4F_compressFrameBound(raw.size(), &preferences), '\0');
  out.resize(LZ4F_compressFrame(out.data(), out.size(), raw.data(), raw.size(), &preferences));
  return out;
}

inline std::string snappy_chunk(char type, std::string_view raw, std::string_view payload) {
  const std::uint32_t crc = crc32c(0, raw);
  const std::uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8U;
  const std::size_t length = payload.size() + 4;
  std::string out(1, type);
  for (int i = 0; i < 3; ++i) out += static_cast<char>(length >> (8 * i));
  for (int i = 0; i < 4; ++i) out += static_cast<char>(masked >> (8 * i));
  return out.append(payload);
}

inline const std::string kSnappyStream{"\xff\x06\x00\x00sNaPpY", 10};

/// As golang/snappy writes it: chunks of 64 KiB, stored where compression does not pay.
inline std::string snappy_framed(const std::string& raw) {
  std::string out = kSnappyStream;
  for (std::size_t at = 0; at < raw.size(); at += 65536) {
    const std::string part = raw.substr(at, 65536);
    std::string packed;
    snappy::Compress(part.data(), part.size(), &packed);
    const bool pays = packed.size() < part.size();
    out += snappy_chunk(pays ? '\x00' : '\x01', part, pays ? packed : part);
  }
  return out;
}

inline std::string snappy_block(const std::string& raw) {
  std::string out;
  snappy::Compress(raw.data(), raw.size(), &out);
  return out;
}

struct Coded {
  const char* name;    // of the case
  const char* coding;  // Content-Encoding
  std::string body;
};

/// Every coding that a client of the Collector may send, made by its own library.
inline std::vector<Coded> every_coding(const std::string& raw) {
  return {{"gzip", "gzip", zlib_deflate(raw, 15 + 16)},
          {"gzip stored", "gzip", zlib_deflate(raw, 15 + 16, 0)},
          {"zlib", "zlib", zlib_deflate(raw, 15)},
          {"deflate", "deflate", zlib_deflate(raw, 15)},
          {"zstd", "zstd", zstd_stream(raw, true, false)},
          {"zstd without size, with checksum", "zstd", zstd_stream(raw, false, true)},
          {"snappy block", "snappy", snappy_block(raw)},
          {"snappy framed", "snappy", snappy_framed(raw)},
          {"x-snappy-framed", "x-snappy-framed", snappy_framed(raw)},
          {"lz4", "lz4", lz4_frame(raw, false)},
          {"lz4 with checksums", "lz4", lz4_frame(raw, true)}};
}

inline DecodeError decode(const Coded& coded, std::string& out, std::size_t limit = kLimit) {
  return decode_content(coded.coding, coded.body, limit, out);
}

}  // namespace holdfast
