// Writes, syncs and reads that fail: nothing acknowledged is lost, what is not stored is said, and
// the log lives on.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/faulty_log_fixture.h"

namespace holdfast {
namespace {

using Operation = FaultyFileSystem::Operation;
using Strings = std::vector<std::string>;

using LogFaultTest = FaultyLogFixture;

TEST_F(LogFaultTest, AFailedWriteOrSyncGoesToANewSegmentAndIsStored) {
  for (const Operation operation : {Operation::pwritev, Operation::fdatasync, Operation::open}) {
    open_faulty();
    ASSERT_EQ(append("before"), AppendOutcome::stored);
    const int syncs = fs.count(Operation::fdatasync);
    fs.fail(operation, EIO);
    ASSERT_EQ(append("during"), AppendOutcome::stored);
    if (operation == Operation::fdatasync) {
      EXPECT_EQ(fs.count(operation), syncs + 2);  // one for each file: never again on the first
    }
    fs.heal();
    ASSERT_EQ(append("after"), AppendOutcome::stored);
    EXPECT_EQ(claim_all(), (Strings{"before", "during", "after"}));
    crash();
    std::filesystem::remove_all(options.directory);
  }
}

TEST_F(LogFaultTest, ADiskThatFailsTwiceRefusesAndTakesAgainWhenItIsWell) {
  open_faulty();
  ASSERT_EQ(append("a"), AppendOutcome::stored);
  fs.fail(Operation::fdatasync, EIO, 2);
  EXPECT_EQ(append("refused"), AppendOutcome::failed);
  EXPECT_EQ(log->stats().write_errors, 2U);
  EXPECT_EQ(log->stats().appended_items, 1U);
  EXPECT_EQ(append("b"), AppendOutcome::stored);
  EXPECT_EQ(claim_all(), (Strings{"a", "b"}));
}

TEST_F(LogFaultTest, SequenceNumbersOfAFailedGroupAreNotUsedAgain) {
  open_faulty();
  append("a");
  fs.fail(Operation::fdatasync, EIO, 2);
  append("refused");
  append("b");
  crash();
  // What a failed sync has left on the disk comes back after a crash, beside and not instead of
  // what was stored.
  open();
  std::vector<std::uint64_t> seqs;
  Strings texts_seen;
  for (Claim claim = log->reader("up").claim({}); !claim.empty();
       claim = log->reader("up").claim({})) {
    for (const Record& record : claim.records) {
      seqs.push_back(record.seq);
      texts_seen.emplace_back(record.stored);
    }
  }
  EXPECT_TRUE(std::is_sorted(seqs.begin(), seqs.end()));
  EXPECT_EQ(std::adjacent_find(seqs.begin(), seqs.end()), seqs.end());
  EXPECT_EQ(std::count(texts_seen.begin(), texts_seen.end(), "a"), 1);
  EXPECT_EQ(std::count(texts_seen.begin(), texts_seen.end(), "b"), 1);
}

TEST_F(LogFaultTest, AFullDiskIsToldAndKeepsWhatIsThere) {
  for (const int code : {ENOSPC, EDQUOT}) {
    open_faulty();
    ASSERT_EQ(append("a"), AppendOutcome::stored);
    fs.fail(Operation::pwritev, code, 1000);
    EXPECT_EQ(append("refused"), AppendOutcome::full);
    EXPECT_TRUE(log->stats().disk_nearly_full);
    EXPECT_EQ(claim_all(), Strings{"a"});
    log->reader("up").acknowledge();  // neither the cursor nor a seal can be written now
    clock.advance_ms(2000);
    log->maintain();
    EXPECT_TRUE(files(".seg").empty());  // delivered: its room is needed
    fs.heal();
    EXPECT_EQ(append("b"), AppendOutcome::stored);
    EXPECT_EQ(claim_all(), Strings{"b"});
    crash();
    std::filesystem::remove_all(options.directory);
  }
}

TEST_F(LogFaultTest, ASegmentThatCannotBeRenamedIsReadAndDeletedAllTheSame) {
  options.file_bytes_max = 4096;
  open_faulty();
  fs.fail(Operation::rename, EIO, 1000);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(append(std::string(1000, 'x')), AppendOutcome::stored);
  EXPECT_EQ(claim_all().size(), 10U);
  log->reader("up").acknowledge();
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_TRUE(files(".wip").empty());
  EXPECT_EQ(log->stats().segments, 0U);
}

TEST_F(LogFaultTest, AReadThatFailsOnceIsTriedAgainAndLosesNothing) {
  open_faulty();
  append("a", 2);
  append("b", 2);
  fs.fail(Operation::pread, EIO);
  EXPECT_TRUE(log->reader("up").claim({}).empty());
  EXPECT_EQ(claim_all(), (Strings{"a", "b"}));
  log->reader("up").acknowledge();
  EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
}

TEST_F(LogFaultTest, WantOfFileDescriptorsHoldsReadingUpAndCostsNothing) {
  open_faulty();
  append("a", 2);
  log->close();
  open_faulty();
  fs.fail(Operation::open, EMFILE, 1000);
  const auto far = std::chrono::steady_clock::now() + std::chrono::hours(1);
  for (int i = 0; i < 5; ++i) {  // the pause between tries is a second each
    EXPECT_TRUE(log->reader("up").wait_readable(std::stop_token(), far));
    EXPECT_TRUE(log->reader("up").claim({}).empty());
  }
  fs.heal();
  EXPECT_TRUE(log->reader("up").wait_readable(std::stop_token(), far));
  EXPECT_EQ(claim_all(), Strings{"a"});
  log->reader("up").acknowledge();
  EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
}

TEST_F(LogFaultTest, ASegmentThatAStartCannotReadIsNotTakenForDeliveredLater) {
  open_faulty();
  append("precious");
  log->close();
  log.reset();
  fs.fail(Operation::open, EIO);  // the segment comes first: there is no cursor yet
  open_faulty();
  append("later");
  EXPECT_EQ(claim_all(), Strings{"later"});
  log->reader("up").acknowledge();
  log->close();
  EXPECT_TRUE(std::filesystem::exists(path("quarantine/00000000000000000001-1800000000000.seg")));
}

TEST_F(LogFaultTest, AFileThatIsGoneIsGivenUpAndCounted) {
  open_faulty();
  append("a", 2);
  log->close();
  open_faulty();
  std::filesystem::remove(path(files(".seg").at(0)));
  append("b", 3);
  const auto far = std::chrono::steady_clock::now() + std::chrono::hours(1);
  Strings got;
  while (got.empty() && log->reader("up").wait_readable(std::stop_token(), far)) got = claim_all();
  EXPECT_EQ(got, Strings{"b"});
  log->reader("up").acknowledge();
  EXPECT_EQ(drops(DropReason::corrupt).items, 2U);
  EXPECT_EQ(reader_stats().pending_items, 0U);
}

TEST_F(LogFaultTest, DurabilityIntervalSyncsOnItsTimerAndNoneNever) {
  options.durability = Durability::interval;
  open_faulty();
  const int before = fs.count(Operation::fdatasync);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(append("x"), AppendOutcome::stored);
  EXPECT_EQ(fs.count(Operation::fdatasync), before);
  clock.advance_ms(1000);
  log->maintain();
  EXPECT_EQ(fs.count(Operation::fdatasync), before + 1);
  clock.advance_ms(1000);
  log->maintain();
  EXPECT_EQ(fs.count(Operation::fdatasync), before + 1);  // nothing new
  crash();
  std::filesystem::remove_all(options.directory);
  options.durability = Durability::none;
  open_faulty();
  const int none_before = fs.count(Operation::fdatasync);
  append("x");
  clock.advance_ms(5000);
  log->maintain();
  EXPECT_EQ(fs.count(Operation::fdatasync), none_before);
  EXPECT_EQ(claim_all(), Strings{"x"});
}

TEST_F(LogFaultTest, AnIntervalSyncThatFailsEndsTheSegmentAndTheNextOneIsSound) {
  options.durability = Durability::interval;
  open_faulty();
  append("a");
  fs.fail(Operation::fdatasync, EIO);
  clock.advance_ms(1000);
  log->maintain();
  EXPECT_EQ(log->stats().write_errors, 1U);
  append("b");
  EXPECT_EQ(claim_all(), (Strings{"a", "b"}));
}

}  // namespace
}  // namespace holdfast
