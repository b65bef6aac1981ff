// What damage costs: exactly itself, and it is counted. No start is ever stopped by it. Every byte
// of it is tried in log_damage_exhaustive_test.
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

TEST_F(LogDamageTest, AFileThatCannotBeSalvagedIsMovedToQuarantineWhole) {
  const std::string segment = sealed_segment();
  const std::string noise(3U << 20, '\x5a');
  write_file(segment, noise);
  open();
  EXPECT_TRUE(claim_all().empty());
  EXPECT_FALSE(std::filesystem::exists(segment));
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_GE(log->stats().quarantine_bytes, noise.size());
  EXPECT_EQ(log->stats().corrupt_bytes, noise.size());
  EXPECT_EQ(reports.size(), 1U);
  const std::string name = std::filesystem::path(segment).filename().string();
  EXPECT_EQ(read_file(path("quarantine/" + name)), noise);
  append("new");
  EXPECT_EQ(claim_all(), Strings{"new"});
  log->close();
  open();
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_EQ(log->stats().quarantine_evicted_entries, 0U);
}

TEST_F(LogDamageTest, AFileLargerThanTheQuarantineLeavesItsBeginningThere) {
  const std::string segment = sealed_segment();
  write_file(segment, std::string(3U << 20, '\x5a'));
  options.quarantine_bytes_max = 2U << 20;
  open();
  EXPECT_FALSE(std::filesystem::exists(segment));
  EXPECT_EQ(log->stats().quarantine_entries, 1U);
  EXPECT_LE(log->stats().quarantine_bytes, options.quarantine_bytes_max);
  EXPECT_GE(log->stats().quarantine_bytes, 1U << 20);
}

TEST_F(LogDamageTest, DamageInTheOpenSegmentIsSettledWhereverTheReaderIs) {
  for (const bool sealed_before_reading : {false, true}) {
    std::filesystem::remove_all(options.directory);
    open();
    for (char c = 'a'; c <= 'e'; ++c) append(std::string(100, c), 3);
    const std::string wip = path(files(".wip").at(0));
    std::string bytes = read_file(wip);
    bytes[record_at(1) + 20] ^= 1;
    bytes[record_at(4) + 20] ^= 1;  // the last one
    write_file(wip, bytes);
    if (sealed_before_reading) {
      clock.advance_ms(30'000);
      log->maintain();
    }
    EXPECT_EQ(letters(), "acd");
    log->reader("up").acknowledge();
    EXPECT_EQ(drops(DropReason::corrupt).items, 6U);
    EXPECT_EQ(drops(DropReason::corrupt).records, 2U);
    EXPECT_EQ(reader_stats().pending_items, 0U);
    EXPECT_EQ(reader_stats().pending_records, 0U);
    append("next");
    EXPECT_EQ(claim_all(), Strings{"next"});
    log->reader("up").acknowledge();
    clock.advance_ms(31'000);
    log->maintain();
    EXPECT_EQ(log->stats().segments, 0U);  // retired: nothing is pending
    EXPECT_EQ(drops(DropReason::corrupt).items, 6U);
    crash();
  }
}

TEST_F(LogDamageTest, AKillAfterDamageRepeatsButNeverSkips) {
  const std::string segment = sealed_segment();
  std::string bytes = read_file(segment);
  bytes[record_at(1) + 20] ^= 1;
  write_file(segment, bytes);
  open();
  EXPECT_EQ(texts(log->reader("up").claim({.records_max = 3})).size(), 3U);  // a, c, d
  log->reader("up").acknowledge();
  crash();
  open();
  EXPECT_EQ(letters(), "cde");  // only the end of the segment tells that b is lost
  log->reader("up").acknowledge();
  EXPECT_EQ(drops(DropReason::corrupt).items, 3U);
  EXPECT_EQ(reader_stats().pending_items, 0U);
  EXPECT_EQ(log->stats().quarantine_entries, 1U);  // the same one
}

TEST_F(LogDamageTest, WhatWasDeliveredBeforeItWasDamagedIsNotLost) {
  open();
  for (char c = 'a'; c <= 'e'; ++c) append(std::string(100, c), 3);
  log->reader("up").claim({.records_max = 3});
  log->reader("up").acknowledge();
  log->close();
  log.reset();
  const std::string segment = path(files(".seg").at(0));
  std::string bytes = read_file(segment);
  bytes[record_at(1) + 20] ^= 1;
  write_file(segment, bytes);
  open();
  EXPECT_EQ(reader_stats().recovered_items, 6U);
  EXPECT_EQ(letters(), "de");
  log->reader("up").acknowledge();
  EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
  EXPECT_EQ(reader_stats().pending_items, 0U);
}

TEST_F(LogDamageTest, SteppingOverMuchDamageTakesNoMemoryForIt) {
  open();
  append("first");
  for (int i = 0; i < 60; ++i) append(std::string(100'000, 'x'));
  append("last");
  log->close();
  log.reset();
  const std::string segment = path(files(".seg").at(0));
  std::string bytes = read_file(segment);
  for (std::size_t at = 1000; at < bytes.size() - 1000; at += 100'064) bytes[at] ^= 1;
  write_file(segment, bytes);
  open();
  const Claim claim = log->reader("up").claim({});
  ASSERT_EQ(texts(claim), (Strings{"first", "last"}));
  const auto apart = claim.records[1].stored.data() - claim.records[0].stored.data();
  EXPECT_LT(apart, 2 << 20);  // both lie in the reader's one buffer
}

TEST_F(LogDamageTest, DamageInAPurgedSegmentIsSettledByARewindToo) {
  options.file_bytes_max = 4096;
  const std::string text(1500, 'x');
  open();
  append(text, 3);
  append(text, 3);  // the first segment is full
  append(text, 5);
  const std::string segment = path(files(".seg").at(0));
  std::string bytes = read_file(segment);
  bytes[200] ^= 1;
  write_file(segment, bytes);
  EXPECT_EQ(log->reader("up").claim({.records_max = 1}).records.size(), 1U);
  clock.advance_ms(19LL * 3600 * 1000);
  append("young", 7);
  log->maintain();  // all but the last are expired
  log->reader("up").rewind();
  EXPECT_EQ(drops(DropReason::corrupt).items, 3U);
  EXPECT_EQ(drops(DropReason::expired).items, 8U);
  EXPECT_EQ(reader_stats().pending_items, 7U);
  EXPECT_EQ(claim_all(), Strings{"young"});
  log->reader("up").acknowledge();
  EXPECT_EQ(reader_stats().pending_items, 0U);
}

TEST_F(LogDamageTest, NoFileIsHeldOpenWhileAClaimIsSent) {
  sealed_segment();
  open();
  ASSERT_EQ(log->reader("up").claim({.records_max = 1}).records.size(), 1U);
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    EXPECT_FALSE(target.ends_with(".seg")) << target;  // a purge would give no room back
  }
}

}  // namespace
}  // namespace holdfast
