#include "agent/content_coding.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <zlib.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/coded_bodies.h"

namespace holdfast {
namespace {

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
      {ContentCoding::snappy, "snappy"}, {ContentCoding::snappy_framed, "x-snappy-framed"},
      {ContentCoding::lz4, "lz4"}};
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
