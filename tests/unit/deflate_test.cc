// Fragments, their joining and the checksums, read back by zlib as a stranger would.
#include "buffer/deflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <vector>

namespace holdfast {
namespace {

std::string gunzip_single_member(const std::string& body) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  std::string out;
  std::string chunk(1 << 16, '\0');
  int outcome = Z_OK;
  while (outcome == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
    stream.avail_out = static_cast<uInt>(chunk.size());
    outcome = inflate(&stream, Z_NO_FLUSH);
    out.append(chunk.data(), chunk.size() - stream.avail_out);
  }
  EXPECT_EQ(outcome, Z_STREAM_END);
  EXPECT_EQ(stream.avail_in, 0U) << "bytes after the one member";
  inflateEnd(&stream);
  return out;
}

std::string random_bytes(std::size_t length, unsigned seed, int alphabet) {
  std::mt19937 random(seed);
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() % static_cast<unsigned>(alphabet));
  return bytes;
}

TEST(Crc32c, KnownAnswers) {
  // RFC 3720 appendix B.4.
  EXPECT_EQ(crc32c(0, std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(0, std::string(32, '\xff')), 0x62A8AB43U);
  std::string ascending(32, '\0');
  for (int i = 0; i < 32; ++i) ascending[static_cast<std::size_t>(i)] = static_cast<char>(i);
  EXPECT_EQ(crc32c(0, ascending), 0x46DD794EU);
  EXPECT_EQ(crc32c(0, "123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(0, ""), 0U);
}

TEST(Crc32c, InstructionAndTableAgreeAtEveryLengthAndCut) {
  const std::string bytes = random_bytes(300, 1, 256);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const std::string_view part(bytes.data(), length);
    ASSERT_EQ(crc32c(7, part), crc32c_by_table(7, part)) << length;
    ASSERT_EQ(crc32c(crc32c(0, part), std::string_view(bytes).substr(length)), crc32c(0, bytes));
  }
}

TEST(Crc32Gzip, AgreesWithZlibAndCombines) {
  const std::string a = random_bytes(1000, 2, 256);
  const std::string b = random_bytes(777, 3, 256);
  const auto zlib_crc = [](const std::string& s) {
    return static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(s.data()), static_cast<uInt>(s.size())));
  };
  EXPECT_EQ(crc32_gzip(0, a), zlib_crc(a));
  EXPECT_EQ(crc32_gzip(crc32_gzip(0, a), b), zlib_crc(a + b));
  EXPECT_EQ(crc32_combine_gzip(zlib_crc(a), zlib_crc(b), b.size()), zlib_crc(a + b));
}

TEST(Deflate, FragmentsOfEverySizeInflateAlone) {
  Deflater deflater;
  for (const std::size_t length :
       {1U, 2U, 63U, 588U, 4096U, 65'535U, 65'536U, 200'000U, 5'000'000U}) {
    for (const int alphabet : {1, 4, 60, 256}) {
      const std::string raw = random_bytes(length, static_cast<unsigned>(length), alphabet);
      std::string fragment = "kept";
      ASSERT_TRUE(deflater.fragment(raw, fragment));
      ASSERT_EQ(fragment.substr(0, 4), "kept");
      ASSERT_LE(fragment.size(), raw.size() + raw.size() / 1000 + 128);
      std::string back;
      ASSERT_TRUE(inflate_fragment(std::string_view(fragment).substr(4),
                                   static_cast<std::uint32_t>(length), back));
      ASSERT_EQ(back, raw);
    }
  }
}

TEST(Deflate, FragmentWithTheWrongLengthOrCutShortIsRefused) {
  Deflater deflater;
  const std::string raw = random_bytes(5000, 5, 20);
  std::string fragment;
  ASSERT_TRUE(deflater.fragment(raw, fragment));
  std::string out = "kept";
  EXPECT_FALSE(inflate_fragment(fragment, 4999, out));
  EXPECT_FALSE(inflate_fragment(fragment, 5001, out));
  for (std::size_t cut = 0; cut < fragment.size() - 5; cut += 7) {
    EXPECT_FALSE(inflate_fragment(std::string_view(fragment).substr(0, cut), 5000, out)) << cut;
  }
  EXPECT_EQ(out, "kept");
}

TEST(GzipJoiner, AnyNumberOfFragmentsIsOneMember) {
  Deflater deflater;
  std::string raw_all;
  std::string body;
  GzipJoiner joiner(body);
  for (unsigned i = 0; i < 200; ++i) {
    const std::string raw = random_bytes(1 + i * 37, i, i % 2 == 0 ? 30 : 256);
    std::string fragment;
    ASSERT_TRUE(deflater.fragment(raw, fragment));
    joiner.add(fragment, crc32_gzip(0, raw), static_cast<std::uint32_t>(raw.size()));
    raw_all += raw;
  }
  joiner.finish();
  EXPECT_EQ(gunzip_single_member(body), raw_all);
}

TEST(GzipJoiner, NoFragmentsIsAnEmptyMember) {
  std::string body;
  GzipJoiner joiner(body);
  joiner.finish();
  EXPECT_EQ(gunzip_single_member(body), "");
}

}  // namespace
}  // namespace holdfast
