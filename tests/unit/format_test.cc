// The worked example of docs/format.md, byte by byte.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "buffer/deflate.h"
#include "buffer/segment_format.h"
#include "buffer/segment_reader.h"
#include "tests/support/memory_filesystem.h"

namespace holdfast {
namespace {

std::string example_segment() {
  SegmentHeader segment;
  segment.segment_id = 0x1122334455667788;
  segment.first_seq = 42;
  segment.created_unix_ns = 1'795'248'604'496'000'000;
  segment.nonce = 0xA1B2C3D4;
  RecordHeader record;
  record.codec = Codec::identity;
  record.stored_length = 5;
  record.payload_crc32c = crc32c(0, "hello");
  record.seq = 42;
  record.received_unix_ns = 1'795'248'604'497'000'000;
  record.item_count = 2;
  record.raw_length = 5;
  record.raw_crc32 = crc32_gzip(0, "hello");
  record.request_count = 1;
  RecordHeader seal;
  seal.type = RecordType::seal;
  seal.seq = 43;
  seal.request_count = 1;
  seal.item_total = 2;
  const auto segment_bytes = encode_segment_header(segment);
  const auto record_bytes = encode_record_header(record, segment.nonce);
  const auto seal_bytes = encode_record_header(seal, segment.nonce);
  std::string bytes(segment_bytes.data(), segment_bytes.size());
  bytes.append(record_bytes.data(), record_bytes.size());
  bytes.append("hello\0\0\0", 8);
  bytes.append(seal_bytes.data(), seal_bytes.size());
  return bytes;
}

std::string hex_dump(const std::string& bytes) {
  std::string out;
  for (std::size_t row = 0; row < bytes.size(); row += 16) {
    char text[24];
    std::snprintf(text, sizeof text, "%04zx ", row);
    out += text;
    for (std::size_t i = row; i < std::min(row + 16, bytes.size()); ++i) {
      std::snprintf(text, sizeof text, " %02x", static_cast<unsigned char>(bytes[i]));
      out += text;
    }
    out += "\n";
  }
  return out;
}

/// The bytes of the dump under "Worked example" in the document, and nothing but the document.
std::string documented_segment() {
  std::ifstream file(HOLDFAST_SOURCE_DIR "/docs/format.md");
  std::string bytes;
  bool here = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "## Worked example") here = true;
    unsigned offset = 0;
    int at = 0;
    if (!here || std::sscanf(line.c_str(), "%4x %n", &offset, &at) != 1 || at != 6) continue;
    EXPECT_EQ(offset, bytes.size());
    unsigned byte = 0;
    for (int used = 0; std::sscanf(line.c_str() + at, " %2x%n", &byte, &used) == 1; at += used) {
      bytes += static_cast<char>(byte);
    }
  }
  return bytes;
}

TEST(Format, TheWorkedExampleInTheDocumentIsWhatTheCodeWrites) {
  EXPECT_EQ(hex_dump(documented_segment()), hex_dump(example_segment()));
}

TEST(Format, TheWorkedExampleInTheDocumentIsReadAsItSays) {
  MemoryFileSystem fs;
  const std::string path = "/" + segment_stem(42, 1'795'248'604'496'000'000) + ".seg";
  fs.node(path).bytes = documented_segment();
  auto reader = SegmentReader::open(fs, path);
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE(reader->header_was_damaged());
  EXPECT_EQ(reader->header().first_seq, 42U);
  std::string arena;
  const auto record = reader->next(documented_segment().size(), arena);
  ASSERT_EQ(record.kind, SegmentReader::Step::Kind::record);
  EXPECT_EQ(arena.substr(record.payload_at, record.payload_length), "hello");
  EXPECT_EQ(record.header.seq, 42U);
  EXPECT_EQ(record.header.item_count, 2U);
  EXPECT_EQ(record.header.codec, Codec::identity);
  EXPECT_EQ(record.header.raw_crc32, crc32_gzip(0, "hello"));
  const auto seal = reader->next(documented_segment().size(), arena);
  ASSERT_EQ(seal.kind, SegmentReader::Step::Kind::seal);
  EXPECT_EQ(seal.header.item_total, 2U);
  EXPECT_EQ(reader->next(documented_segment().size(), arena).kind, SegmentReader::Step::Kind::end);
}

TEST(Format, AChecksumRunBackwardsGivesTheValueThatItBeganWith) {
  std::string bytes;
  for (std::uint32_t i = 0; i < 300; ++i) {
    const std::uint32_t before = i * 0x9E3779B9U;
    EXPECT_EQ(crc32c_before(crc32c(before, bytes), bytes), before);
    bytes += static_cast<char>(i * 31);
  }
}

TEST(Format, HeadersComeBackAsTheyWereWritten) {
  const std::string bytes = example_segment();
  const auto parsed = parse_segment_header(bytes);
  ASSERT_EQ(parsed.error, SegmentHeaderError::none);
  EXPECT_EQ(parsed.header.first_seq, 42U);
  const auto record = parse_record_header(std::string_view(bytes).substr(64), parsed.header.nonce);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->padded_length(), 72U);
  EXPECT_TRUE(payload_is_whole(*record, std::string_view(bytes).substr(128)));
  EXPECT_FALSE(parse_record_header(std::string_view(bytes).substr(64), parsed.header.nonce + 1));
  const auto seal = parse_record_header(std::string_view(bytes).substr(136), parsed.header.nonce);
  ASSERT_TRUE(seal.has_value());
  EXPECT_EQ(seal->item_total, 2U);
}

TEST(Format, NamesAreReadStrictly) {
  EXPECT_EQ(segment_stem(42, 1'795'248'604'496'000'000), "00000000000000000042-1795248604496");
  const auto name = parse_segment_name("00000000000000000042-1795248604496.seg");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->first_seq, 42U);
  EXPECT_TRUE(name->sealed);
  for (const char* stranger :
       {"", ".seg", "42-1.seg", "00000000000000000042-.seg", "00000000000000000042-1795248604496",
        "00000000000000000042-1795248604496.segx", "99999999999999999999-1.seg",
        "00000000000000000042_1795248604496.seg", "00000000000000000042--5.wip",
        "-0000000000000000042-5.wip"}) {
    EXPECT_FALSE(parse_segment_name(stranger).has_value()) << stranger;
  }
}

}  // namespace
}  // namespace holdfast
