#include "agent/content_coding.h"

#include <gtest/gtest.h>
#include <lz4frame.h>
#include <malloc.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <string>
#include <vector>

#include "buffer/deflate.h"

namespace holdfast {
namespace {

constexpr std::size_t kLimit = 20U << 20;

std::string telemetry_like(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) {
    text += "span-" + std::to_string(i * 2654435761U) + " service.name=checkout ";
  }
  text.resize(bytes);
  return text;
}

std::string noise(std::size_t bytes) {
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

std::string zlib_deflate(const std::string& raw, int window_bits, int level = 6) {
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

std::string zstd_stream(const std::string& raw, bool with_size, bool with_checksum) {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, with_size ? 1 : 0);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, with_checksum ? 1 : 0);
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  out.resize(ZSTD_compress2(context.get(), out.data(), out.size(), raw.data(), raw.size()));
  return out;
}

std::string lz4_frame(const std::string& raw, bool checksums) {
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

std::string snappy_chunk(char type, std::string_view raw, std::string_view payload) {
  const std::uint32_t crc = crc32c(0, raw);
  const std::uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8U;
  const std::size_t length = payload.size() + 4;
  std::string out(1, type);
  for (int i = 0; i < 3; ++i) out += static_cast<char>(length >> (8 * i));
  for (int i = 0; i < 4; ++i) out += static_cast<char>(masked >> (8 * i));
  return out.append(payload);
}

const std::string kSnappyStream{"\xff\x06\x00\x00sNaPpY", 10};

/// As golang/snappy writes it: chunks of 64 KiB, stored where compression does not pay.
std::string snappy_framed(const std::string& raw) {
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

std::string snappy_block(const std::string& raw) {
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
std::vector<Coded> every_coding(const std::string& raw) {
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

DecodeError decode(const Coded& coded, std::string& out, std::size_t limit = kLimit) {
  return decode_content(coded.coding, coded.body, limit, out);
}

TEST(ContentCoding, EveryCodingIsReadBack) {
  for (const std::string& raw :
       {std::string("x"), telemetry_like(530), telemetry_like(174'000), noise(100'000),
        std::string(3'000'000, 'a'), telemetry_like(65536), noise(65536)}) {
    for (const Coded& coded : every_coding(raw)) {
      std::string out = "before";
      EXPECT_EQ(DecodeError::none, decode(coded, out)) << coded.name << " of " << raw.size();
      EXPECT_TRUE(out == "before" + raw) << coded.name << " of " << raw.size();
    }
  }
}

TEST(ContentCoding, IdentityAndNoCodingArePassedOn) {
  for (const char* coding : {"", "identity"}) {
    std::string out;
    EXPECT_EQ(DecodeError::none, decode_content(coding, "abc", 3, out));
    EXPECT_EQ("abc", out);
    EXPECT_EQ(DecodeError::too_large, decode_content(coding, "abcd", 3, out));
    EXPECT_EQ("abc", out);
  }
}

TEST(ContentCoding, UnknownCodingsAreUnsupported) {
  for (const char* coding : {"br", "GZIP", "gzip, gzip", "compress", " gzip"}) {
    std::string out;
    EXPECT_EQ(DecodeError::unsupported, decode_content(coding, "abc", kLimit, out)) << coding;
  }
}

TEST(ContentCoding, CodedEmptyBodiesAreEmpty) {
  for (const Coded& coded : every_coding("")) {
    std::string out;
    EXPECT_EQ(DecodeError::none, decode(coded, out)) << coded.name;
    EXPECT_EQ("", out) << coded.name;
  }
}

TEST(ContentCoding, NoBytesAtAllAreNoStreamWhereACodingHasAHeader) {
  for (const char* coding : {"gzip", "zlib", "deflate", "snappy"}) {
    std::string out;
    EXPECT_EQ(DecodeError::corrupt, decode_content(coding, "", kLimit, out)) << coding;
  }
  for (const char* coding : {"zstd", "lz4", "x-snappy-framed"}) {  // zero frames
    std::string out;
    EXPECT_EQ(DecodeError::none, decode_content(coding, "", kLimit, out)) << coding;
  }
}

TEST(ContentCoding, TruncationAtEveryByteIsCorruptOrEndsAtAFrame) {
  const std::string raw = telemetry_like(3'000) + noise(500);
  for (const Coded& coded : every_coding(raw)) {
    for (std::size_t length = 0; length < coded.body.size(); ++length) {
      std::string out;
      const Coded cut{coded.name, coded.coding, coded.body.substr(0, length)};
      const DecodeError error = decode(cut, out);
      if (error == DecodeError::none) {
        // Formats that are a run of frames end cleanly before the first one; nothing else does.
        EXPECT_EQ("", out) << coded.name << " cut to " << length;
        EXPECT_TRUE(length == 0 || cut.body == kSnappyStream) << coded.name << " " << length;
      } else {
        EXPECT_EQ(DecodeError::corrupt, error) << coded.name << " cut to " << length;
      }
    }
  }
}

TEST(ContentCoding, FlippedBitsNeverGiveOtherBytesWhereThereIsAChecksum) {
  const std::string raw = telemetry_like(2'000);
  for (const Coded& coded : every_coding(raw)) {
    const std::string name = coded.name;
    const bool checked = name != "zstd" && name != "snappy block" && name != "lz4";
    for (std::size_t i = 0; i < coded.body.size() * 8; ++i) {
      Coded flipped = coded;
      flipped.body[i / 8] = static_cast<char>(flipped.body[i / 8] ^ (1 << (i % 8)));
      std::string out;
      const DecodeError error = decode(flipped, out, 1 << 20);
      EXPECT_LE(out.size(), 1U << 20) << name;
      if (checked && error == DecodeError::none && !out.empty()) {
        EXPECT_TRUE(out == raw) << name << " bit " << i;
      }
    }
  }
}

TEST(ContentCoding, TrailingGarbageIsCorrupt) {
  const std::string raw = telemetry_like(1'000);
  for (const std::string& tail : {std::string("x"), std::string("garbage and more of it"),
                                  std::string(1, '\0'), std::string(64, '\0')}) {
    for (Coded coded : every_coding(raw)) {
      coded.body += tail;
      std::string out;
      EXPECT_EQ(DecodeError::corrupt, decode(coded, out)) << coded.name << " + " << tail.size();
    }
  }
}

TEST(ContentCoding, MembersAndFramesAreReadToTheEnd) {
  const std::string first = telemetry_like(70'000);
  const std::string second = noise(3'000);
  const std::vector<Coded> firsts = every_coding(first);
  const std::vector<Coded> seconds = every_coding(second);
  const std::vector<Coded> empties = every_coding("");
  for (std::size_t i = 0; i < firsts.size(); ++i) {
    const std::string coding = firsts[i].coding;
    const std::string name = firsts[i].name;
    const Coded joined{firsts[i].name, firsts[i].coding,
                       firsts[i].body + empties[i].body + seconds[i].body};
    std::string out;
    if (coding == "zlib" || coding == "deflate" || name == "snappy block") {
      EXPECT_EQ(DecodeError::corrupt, decode(joined, out)) << name;  // one stream, by definition
    } else {
      EXPECT_EQ(DecodeError::none, decode(joined, out)) << name;
      EXPECT_TRUE(out == first + second) << name;
    }
  }
}

TEST(ContentCoding, ManyTinyGzipMembersAreReadToTheEnd) {
  std::string body;
  std::string raw;
  for (int i = 0; i < 2'000; ++i) {
    const std::string part = telemetry_like(static_cast<std::size_t>(i % 40));
    body += zlib_deflate(part, 15 + 16);
    raw += part;
  }
  std::string out;
  EXPECT_EQ(DecodeError::none, decode_content("gzip", body, kLimit, out));
  EXPECT_TRUE(out == raw);
}

TEST(ContentCoding, GzipHeadersWithAllOptionalFieldsAreRead) {
  const std::string raw = telemetry_like(5'000);
  z_stream stream{};
  ASSERT_EQ(Z_OK, deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY));
  std::string extra(300, 'e');
  std::string name = "spans.pb";
  std::string comment(200, 'c');
  gz_header header{};
  header.extra = reinterpret_cast<Bytef*>(extra.data());
  header.extra_len = static_cast<uInt>(extra.size());
  header.name = reinterpret_cast<Bytef*>(name.data());
  header.comment = reinterpret_cast<Bytef*>(comment.data());
  header.hcrc = 1;
  deflateSetHeader(&stream, &header);
  std::string body(10'000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data()));
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = reinterpret_cast<Bytef*>(body.data());
  stream.avail_out = static_cast<uInt>(body.size());
  ASSERT_EQ(Z_STREAM_END, deflate(&stream, Z_FINISH));
  body.resize(stream.total_out);
  deflateEnd(&stream);
  std::string out;
  EXPECT_EQ(DecodeError::none, decode_content("gzip", body, kLimit, out));
  EXPECT_TRUE(out == raw);
  for (std::size_t length = 1; length < 540; ++length) {  // cut inside the header
    std::string nothing;
    EXPECT_EQ(DecodeError::corrupt, decode_content("gzip", body.substr(0, length), kLimit, nothing))
        << length;
  }
}

TEST(ContentCoding, AFullFlushAndAnEmptyFinalBlockAreOneMember) {
  const std::string raw = telemetry_like(50'000);
  std::string fragment;
  Deflater deflater;
  ASSERT_TRUE(deflater.fragment(raw, fragment).ok());
  std::string body;
  GzipJoiner joiner(body);
  joiner.add(fragment, crc32_gzip(0, raw), static_cast<std::uint32_t>(raw.size()));
  joiner.finish();
  std::string out;
  EXPECT_EQ(DecodeError::none, decode_content("gzip", body, kLimit, out));
  EXPECT_TRUE(out == raw);
}

TEST(ContentCoding, ExactlyTheLimitPassesAndOneByteLessDoesNot) {
  for (const std::string& raw : {std::string("x"), telemetry_like(9'000), noise(70'000)}) {
    for (const Coded& coded : every_coding(raw)) {
      std::string out;
      EXPECT_EQ(DecodeError::none, decode(coded, out, raw.size())) << coded.name;
      EXPECT_TRUE(out == raw) << coded.name;
      std::string less;
      EXPECT_EQ(DecodeError::too_large, decode(coded, less, raw.size() - 1)) << coded.name;
      EXPECT_LT(less.size(), raw.size()) << coded.name;
      std::string none_at_all;
      EXPECT_EQ(DecodeError::too_large, decode(coded, none_at_all, 0)) << coded.name;
      EXPECT_EQ("", none_at_all);
    }
  }
}

/// One gigabyte of zeros in one gzip member, from one fragment said a thousand times.
std::string gzip_bomb() {
  const std::string zeros(1 << 20, '\0');
  const std::uint32_t crc = crc32_gzip(0, zeros);
  std::string fragment;
  Deflater deflater;
  EXPECT_TRUE(deflater.fragment(zeros, fragment).ok());
  std::string bomb;
  GzipJoiner joiner(bomb);
  for (int i = 0; i < 1024; ++i) {
    joiner.add(fragment, crc, static_cast<std::uint32_t>(zeros.size()));
  }
  joiner.finish();
  return bomb;
}

TEST(ContentCoding, BombsStopAtTheLimit) {
  const std::string gigabyte_gzip = gzip_bomb();
  const std::string zeros(64U << 20, '\0');
  std::vector<Coded> bombs = every_coding(zeros);
  for (Coded& bomb : bombs) {
    if (std::string(bomb.coding) == "gzip") bomb.body = gigabyte_gzip;
  }
  // Frames that repeat come to as much as one likes.
  for (Coded& bomb : bombs) {
    if (std::string(bomb.coding) != "zstd") continue;
    const std::string frame = bomb.body;
    for (int i = 1; i < 16; ++i) bomb.body += frame;
  }
  constexpr std::size_t kSmall = 1U << 20;
  for (const Coded& bomb : bombs) {
    std::string out;
    EXPECT_EQ(DecodeError::too_large, decode(bomb, out, kSmall)) << bomb.name;
    EXPECT_LE(out.size(), kSmall) << bomb.name;
    EXPECT_LE(out.capacity(), 2 * kSmall) << bomb.name;
  }
}

TEST(ContentCoding, ALyingLengthTakesNoMemory) {
  // snappy: 16 MiB announced, three bytes there. zstd: a size in the frame header, one raw byte.
  const std::string snappy{"\x80\x80\x80\x08\x00zz", 7};
  const std::string zstd{"\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x01\x09\x00\x00z", 13};
  const std::string framed = kSnappyStream + snappy_chunk('\x00', "", snappy);
  for (const auto& [coding, body] : {std::pair<const char*, std::string>{"snappy", snappy},
                                     {"zstd", zstd},
                                     {"x-snappy-framed", framed}}) {
    std::string out;
    EXPECT_EQ(DecodeError::corrupt, decode_content(coding, body, kLimit, out)) << coding;
    EXPECT_LT(out.capacity(), 4096U) << coding;
  }
  std::string out;
  const std::string four_gigabytes{"\xff\xff\xff\xff\x0f\x00zz", 8};
  EXPECT_EQ(DecodeError::too_large, decode_content("snappy", four_gigabytes, kLimit, out));
  EXPECT_LT(out.capacity(), 4096U);
}

TEST(ContentCoding, SnappyFramesFollowTheFramingFormat) {
  const std::string raw = "telemetry";
  const std::string data = snappy_chunk('\x01', raw, raw);
  const std::string padding{"\xfe\x03\x00\x00zzz", 7};
  const std::string skippable{"\x80\x01\x00\x00z", 5};
  const std::string unskippable{"\x02\x01\x00\x00z", 5};
  std::string out;
  EXPECT_EQ(DecodeError::none,
            decode_content("snappy", kSnappyStream + padding + data + skippable + kSnappyStream,
                           kLimit, out));
  EXPECT_EQ(raw, out);
  std::string wrong_sum = data;
  wrong_sum[4] = static_cast<char>(wrong_sum[4] ^ 1);
  const std::string large(65537, 'x');
  for (const std::string& body : {data, kSnappyStream + unskippable, kSnappyStream + wrong_sum,
                                  kSnappyStream + std::string("\xff\x06\x00\x00sNaPpZ", 10),
                                  kSnappyStream + snappy_chunk('\x01', large, large),
                                  kSnappyStream + std::string("\x00\x03\x00\x00zzz", 7)}) {
    std::string nothing;
    EXPECT_EQ(DecodeError::corrupt, decode_content("x-snappy-framed", body, kLimit, nothing));
    EXPECT_EQ("", nothing);
  }
}

TEST(ContentCoding, WhatIsEncodedIsReadByTheCodingsOwnLibraryAndByUs) {
  const std::vector<std::pair<ContentCoding, const char*>> codings{
      {ContentCoding::identity, ""},     {ContentCoding::gzip, "gzip"},
      {ContentCoding::zlib, "zlib"},     {ContentCoding::zstd, "zstd"},
      {ContentCoding::snappy, "snappy"}, {ContentCoding::lz4, "lz4"}};
  for (const std::string& raw : {std::string(), std::string("x"), telemetry_like(174'000),
                                 noise(300'000), std::string(2'000'000, '\0')}) {
    for (const auto& [coding, name] : codings) {
      const Result<std::string> coded = encode_content(coding, raw);
      ASSERT_TRUE(coded.ok()) << name;
      std::string out;
      EXPECT_EQ(DecodeError::none, decode_content(name, *coded, kLimit, out)) << name;
      EXPECT_TRUE(out == raw) << name << " of " << raw.size();
    }
  }
}

TEST(ContentCoding, EncodedGzipAndZlibAreOneStreamForZlib) {
  const std::string raw = telemetry_like(400'000);
  for (const auto& [coding, window_bits] :
       {std::pair{ContentCoding::gzip, 31}, std::pair{ContentCoding::zlib, 15}}) {
    const Result<std::string> coded = encode_content(coding, raw);
    ASSERT_TRUE(coded.ok());
    EXPECT_LT(coded->size(), raw.size() / 2);
    z_stream stream{};
    ASSERT_EQ(Z_OK, inflateInit2(&stream, window_bits));
    std::string out(raw.size() + 1, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(coded->data()));
    stream.avail_in = static_cast<uInt>(coded->size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(Z_STREAM_END, inflate(&stream, Z_FINISH));
    EXPECT_EQ(0U, stream.avail_in);
    EXPECT_EQ(raw.size(), stream.total_out);
    inflateEnd(&stream);
  }
}

TEST(ContentCoding, ManyCallsLeaveNoMemoryBehind) {
  const std::vector<Coded> codings = every_coding(telemetry_like(174'000));
  const auto run = [&codings] {
    for (const Coded& coded : codings) {
      std::string out;
      EXPECT_EQ(DecodeError::none, decode(coded, out)) << coded.name;
    }
  };
  run();
  const auto before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (int i = 0; i < 50; ++i) run();
  const auto after = mallinfo2().uordblks + mallinfo2().hblkhd;
  EXPECT_LT(after, before + 65536);
}

}  // namespace
}  // namespace holdfast
