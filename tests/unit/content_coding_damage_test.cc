// Torn, flipped, lying and explosive bodies.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/content_coding.h"
#include "tests/support/coded_bodies.h"

namespace holdfast {
namespace {

TEST(ContentCodingDamage, TruncationAtEveryByteIsCorruptOrEndsAtAFrame) {
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

TEST(ContentCodingDamage, FlippedBitsNeverGiveOtherBytesWhereThereIsAChecksum) {
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

TEST(ContentCodingDamage, TrailingGarbageIsCorrupt) {
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

TEST(ContentCodingDamage, ExactlyTheLimitPassesAndOneByteLessDoesNot) {
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

TEST(ContentCodingDamage, BombsStopAtTheLimit) {
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

TEST(ContentCodingDamage, ALyingLengthTakesNoMemory) {
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

}  // namespace
}  // namespace holdfast
