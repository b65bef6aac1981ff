// What damage costs: exactly itself, and it is counted. No start is ever stopped by it.
#include <gtest/gtest.h>

#include "buffer/cursor.h"
#include "buffer/segment_format.h"
#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

using Strings = std::vector<std::string>;

class LogDamageTest : public LogFixture {
 protected:
  /// Five records of 100 bytes and 3 items in one sealed segment; the log is closed.
  std::string sealed_segment() {
    open();
    for (char c = 'a'; c <= 'e'; ++c) append(std::string(100, c), 3);
    log->close();
    log.reset();
    return path(files(".seg").at(0));
  }
  static constexpr std::size_t kRecord = kRecordHeaderBytes + 104;  // padded
  static constexpr std::size_t record_at(std::size_t index) {
    return kSegmentHeaderBytes + index * kRecord;
  }
  std::string letters() {
    std::string out;
    for (const std::string& text : claim_all()) out += text[0];
    return out;
  }
};

TEST_F(LogDamageTest, AFlippedPayloadByteCostsItsRecordAlone) {
  const std::string segment = sealed_segment();
  std::string bytes = read_file(segment);
  bytes[record_at(1) + kRecordHeaderBytes + 10] ^= 1;
  write_file(segment, bytes);
  open();
  EXPECT_EQ(reader_stats().recovered_items, 15U);
  EXPECT_EQ(letters(), "acde");
  log->reader("up").acknowledge();
  EXPECT_EQ(drops(DropReason::corrupt).items, 3U);
  EXPECT_EQ(reader_stats().pending_items, 0U);
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
}

TEST_F(LogDamageTest, AFlippedHeaderByteCostsItsRecordAloneAndItsItemsAreStillCounted) {
  const std::string segment = sealed_segment();
  for (std::size_t byte = 0; byte < kRecordHeaderBytes; ++byte) {
    std::string bytes = read_file(segment);
    bytes[record_at(2) + byte] ^= 0x10;
    write_file(segment, bytes);
    open();
    EXPECT_EQ(letters(), "abde") << byte;
    log->reader("up").acknowledge();
    EXPECT_EQ(drops(DropReason::corrupt).items, 3U) << byte;
    EXPECT_EQ(reader_stats().pending_items, 0U);
    crash();
    std::filesystem::remove(path("cursor-up"));
    bytes[record_at(2) + byte] ^= 0x10;
    write_file(segment, bytes);
  }
}

TEST_F(LogDamageTest, ASegmentCutAtAnyByteKeepsTheRecordsBeforeTheCut) {
  const std::string segment = sealed_segment();
  const std::string whole = read_file(segment);
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    std::filesystem::remove_all(options.directory);
    std::filesystem::create_directories(options.directory);
    write_file(segment, whole.substr(0, cut));
    open();
    const std::size_t records = cut < record_at(1) ? 0 : (cut - kSegmentHeaderBytes) / kRecord;
    ASSERT_EQ(letters(), std::string("abcde").substr(0, records)) << cut;
    ASSERT_EQ(append("next"), AppendOutcome::stored) << cut;
    ASSERT_EQ(claim_all(), Strings{"next"}) << cut;
  }
}

TEST_F(LogDamageTest, ATornOpenSegmentIsReadUpToTheTear) {
  open();
  append("a");
  append("b");
  crash();
  const std::string wip = path(files(".wip").at(0));
  write_file(wip, read_file(wip) + std::string(100, '\x5a'));
  open();
  EXPECT_EQ(claim_all(), (Strings{"a", "b"}));
  EXPECT_EQ(log->stats().torn_tail_bytes, 100U);
  EXPECT_EQ(files(".wip").size(), 0U);
}

TEST_F(LogDamageTest, AFileWhoseOnlyRecordIsDamagedGoesToQuarantineNotAway) {
  open();
  append("precious");
  crash();
  const std::string wip = path(files(".wip").at(0));
  std::string bytes = read_file(wip);
  bytes[kSegmentHeaderBytes + 9] ^= 1;
  write_file(wip, bytes);
  open();
  EXPECT_TRUE(claim_all().empty());
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_TRUE(files(".wip").empty());
}

TEST_F(LogDamageTest, APayloadThatPosesAsARecordIsNotOne) {
  // A whole foreign segment inside a payload, and the header before it damaged: the search must not
  // fall for it.
  const std::string foreign = read_file(sealed_segment());
  std::filesystem::remove_all(options.directory);
  open();
  append(foreign);
  append("after");
  log->close();
  log.reset();
  const std::string segment = path(files(".seg").at(0));
  std::string bytes = read_file(segment);
  bytes[kSegmentHeaderBytes + 9] ^= 1;
  write_file(segment, bytes);
  open();
  EXPECT_EQ(claim_all(), Strings{"after"});
}

TEST_F(LogDamageTest, AnUnknownMajorVersionIsLeftAloneAndItsNumbersAreNotUsed) {
  const std::string segment = sealed_segment();
  std::string bytes = read_file(segment);
  bytes[8] = 2;
  write_file(segment, bytes);
  open();
  EXPECT_EQ(log->stats().segments_unknown_version, 1U);
  EXPECT_TRUE(claim_all().empty());
  append("new");
  log->close();
  EXPECT_EQ(read_file(segment), bytes);
}

TEST_F(LogDamageTest, ADamagedSegmentHeaderSendsTheFileToQuarantine) {
  const std::string segment = sealed_segment();
  std::string bytes = read_file(segment);
  bytes[20] ^= 1;
  write_file(segment, bytes);
  open();
  EXPECT_TRUE(claim_all().empty());
  EXPECT_FALSE(std::filesystem::exists(segment));
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_EQ(log->stats().corrupt_bytes, bytes.size());
  append("new");
  EXPECT_EQ(claim_all(), Strings{"new"});
}

TEST_F(LogDamageTest, StrangersFilesAreLeftAlone) {
  sealed_segment();
  for (const char* name :
       {"notes.txt", "1-2.seg", "00000000000000000001-x.seg", ".hidden", "a.wip"}) {
    write_file(path(name), "mine");
  }
  std::filesystem::create_directory(path("00000000000000000009-1800000000000.seg"));
  open();
  EXPECT_EQ(letters(), "abcde");
  for (const char* name :
       {"notes.txt", "1-2.seg", "00000000000000000001-x.seg", ".hidden", "a.wip"}) {
    EXPECT_EQ(read_file(path(name)), "mine") << name;
  }
}

TEST_F(LogDamageTest, ATornCursorSlotLeavesTheOneBefore) {
  open();
  for (const char* text : {"a", "b", "c"}) append(text);
  LogReader& reader = log->reader("up");
  for (int i = 0; i < 2; ++i) {
    reader.claim({.records_max = 1});
    reader.acknowledge();
    clock.advance_ms(1500);
    log->maintain();
  }
  crash();
  const std::string cursor = path("cursor-up");
  const std::string bytes = read_file(cursor);
  ASSERT_EQ(bytes.size(), 1024U);
  std::string newer_torn = bytes;
  newer_torn[20] ^= 1;  // generation 2 lies in slot 0
  write_file(cursor, newer_torn);
  open();
  EXPECT_EQ(claim_all(), (Strings{"b", "c"}));
  crash();
  write_file(cursor, std::string(1024, '\xff'));
  open();
  EXPECT_EQ(claim_all(), (Strings{"a", "b", "c"}));  // again rather than never
  crash();
  write_file(cursor, "");
  open();
  EXPECT_EQ(claim_all(), (Strings{"a", "b", "c"}));
  EXPECT_FALSE(reports.empty());
}

TEST_F(LogDamageTest, EveryByteOfASegmentFlippedCostsOneRecordAtMost) {
  const std::string segment = sealed_segment();
  const std::string whole = read_file(segment);
  for (std::size_t at = kSegmentHeaderBytes; at < whole.size(); ++at) {
    std::filesystem::remove_all(options.directory);
    std::filesystem::create_directories(options.directory);
    std::string bytes = whole;
    bytes[at] ^= 0x40;
    write_file(segment, bytes);
    open();
    const std::string got = letters();
    log->reader("up").acknowledge();
    const bool in_padding =
        at < record_at(5) && (at - kSegmentHeaderBytes) % kRecord >= kRecord - 4;
    const bool in_seal = at >= record_at(5);
    ASSERT_EQ(got.size(), in_padding || in_seal ? 5U : 4U) << at;
    ASSERT_EQ(drops(DropReason::corrupt).items, in_padding || in_seal ? 0U : 3U) << at;
  }
}

}  // namespace
}  // namespace holdfast
