// Directories that earlier versions have written are read to the same bytes by this one.
#include <gtest/gtest.h>

#include <sstream>

#include "buffer/deflate.h"
#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

std::string hex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out.empty() ? "-" : out;
}

std::string line_of(const Record& record) {
  std::ostringstream line;
  line << record.seq << ' ' << record.received_unix_ns << ' ' << record.item_count << ' '
       << record.request_count << ' ' << static_cast<int>(record.codec) << ' ' << record.raw_length
       << ' ' << record.raw_crc32 << ' ' << hex(record.extension) << ' ' << hex(record.stored);
  return line.str();
}

class GoldenBufferTest : public LogFixture {
 protected:
  void take(const std::string& version) {
    golden = std::string(HOLDFAST_GOLDEN_DIR) + "/" + version;
    std::filesystem::copy(golden + "/traces", options.directory,
                          std::filesystem::copy_options::recursive);
    std::istringstream file(read_file(golden + "/records.txt"));
    for (std::string line; std::getline(file, line);) expected.push_back(line);
    open({"otlp_http", "otlp/second"});
  }
  std::vector<std::string> lines(std::string_view reader) {
    std::vector<std::string> out;
    for (;;) {
      const Claim claim = log->reader(reader).claim({});
      if (claim.empty()) return out;
      for (const Record& record : claim.records) out.push_back(line_of(record));
      log->reader(reader).acknowledge();
    }
  }
  std::string golden;
  std::vector<std::string> expected;
};

TEST_F(GoldenBufferTest, VersionOneIsReadByteForByte) {
  take("buffer_v1");
  ASSERT_EQ(expected.size(), 8U);
  EXPECT_EQ(reader_stats(0).recovered_items, 254U);
  EXPECT_EQ(reader_stats(1).recovered_items, 259U);
  EXPECT_EQ(log->stats().next_seq, 9U);
  EXPECT_EQ(lines("otlp/second"), expected);
  EXPECT_EQ(lines("otlp_http"), std::vector<std::string>(expected.begin() + 2, expected.end()));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(reader_stats(i).pending_items, 0U);
    EXPECT_EQ(reader_stats(i).drops[static_cast<std::size_t>(DropReason::corrupt)].bytes, 0U);
  }
  EXPECT_TRUE(reports.empty()) << reports.front();
}

TEST_F(GoldenBufferTest, TheContentsOfVersionOneInflateToWhatTheirHeadersSay) {
  take("buffer_v1");
  const Claim claim = log->reader("otlp/second").claim({});
  int deflated = 0;
  for (const Record& record : claim.records) {
    std::string raw(record.stored);
    if (record.codec == Codec::deflate_fragment) {
      raw.clear();
      ++deflated;
      ASSERT_TRUE(inflate_fragment(record.stored, record.raw_length, raw).ok());
    }
    EXPECT_EQ(crc32_gzip(0, raw), record.raw_crc32) << record.seq;
  }
  EXPECT_EQ(deflated, 4);
}

TEST_F(GoldenBufferTest, TheQuarantineOfVersionOneIsTakenUp) {
  take("buffer_v1");
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  const std::string entry = read_file(path("quarantine/00000000000000000002-000000-otlp_http.rec"));
  EXPECT_TRUE(entry.starts_with(
      R"({"seq":2,"request":0,"items":3,"exporter":"otlp_http","reason":"rejected","status":400,)"
      R"("message":"invalid \"attribute\"","unix_ms":1800000001500,"bytes":300})"
      "\n"))
      << entry.substr(0, 200);
}

TEST_F(GoldenBufferTest, LifeGoesOnInADirectoryOfVersionOne) {
  take("buffer_v1");
  ASSERT_EQ(append("new", 1), AppendOutcome::stored);
  EXPECT_EQ(lines("otlp/second").size(), expected.size() + 1);
  EXPECT_EQ(lines("otlp_http").size(), expected.size() - 1);
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_EQ(log->stats().segments, 0U);
}

}  // namespace
}  // namespace holdfast
