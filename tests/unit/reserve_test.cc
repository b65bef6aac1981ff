// The room that is held for cursors and quarantine, and what a full disk makes of the log with and
// without it.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/faulty_log_fixture.h"

namespace holdfast {
namespace {

using Operation = FaultyFileSystem::Operation;
using Strings = std::vector<std::string>;

class ReserveTest : public FaultyLogFixture {
 protected:
  ReserveTest() { options.folder_bytes_max = 4 << 20; }

  bool is_there() const { return std::filesystem::exists(path("reserve")); }
  void later() {
    clock.advance_ms(1000);
    log->maintain();
  }
  Status quarantine_one() {
    QuarantineEntry entry;
    entry.seq = 1;
    entry.reader = "up";
    entry.bytes = "refused";
    return log->reader("up").quarantine(entry);
  }
  bool reported(std::string_view words) {
    std::lock_guard lock(reports_mutex);
    return std::any_of(reports.begin(), reports.end(), [&](const std::string& line) {
      return line.find(words) != std::string::npos;
    });
  }
};

TEST_F(ReserveTest, UpkeepMakesASixtyFourthOfTheFolderButAMegabyteAtMost) {
  open_faulty();
  EXPECT_FALSE(is_there());  // a start needs no room
  later();
  EXPECT_EQ(std::filesystem::file_size(path("reserve")), 64U << 10);
  options.folder_bytes_max = 1 << 30;
  open_faulty();
  EXPECT_FALSE(is_there());  // of another size
  later();
  EXPECT_EQ(std::filesystem::file_size(path("reserve")), 1U << 20);
  open_faulty();
  EXPECT_TRUE(is_there());
}

TEST_F(ReserveTest, ARefusedRequestFindsItsPlaceInQuarantineOnAFullDisk) {
  for (const int code : {ENOSPC, EDQUOT}) {
    open_faulty();
    later();
    ASSERT_TRUE(is_there());
    fs.fail(Operation::pwritev, code);
    EXPECT_TRUE(quarantine_one().ok());
    EXPECT_FALSE(is_there());
    EXPECT_TRUE(reported("the disk is full: its reserve was given to cursors and quarantine"));
    later();
    EXPECT_TRUE(is_there());  // there is room again
  }
}

TEST_F(ReserveTest, ACursorFindsItsPlaceOnAFullDisk) {
  open_faulty();
  later();
  append("a");
  append("b");
  ASSERT_EQ(log->reader("up").claim({.records_max = 1}).records.size(), 1U);
  fs.fail(Operation::pwritev, ENOSPC);
  log->reader("up").acknowledge();
  EXPECT_FALSE(is_there());
  EXPECT_EQ(log->stats().write_errors, 0U);
  crash();
  open_faulty();
  EXPECT_EQ(claim_all(), Strings{"b"});
}

TEST_F(ReserveTest, ADirectoryEntryFindsItsPlaceOnAFullDisk) {
  options.file_bytes_max = 4096;
  open_faulty();
  later();
  append(std::string(3000, 'a'));
  fs.fail(Operation::rename, ENOSPC);
  append(std::string(3000, 'b'));  // seals the one before
  EXPECT_EQ(files(".seg").size(), 1U);
  EXPECT_EQ(log->stats().write_errors, 0U);
}

TEST_F(ReserveTest, WhatItGaveAwayIsNotForRequests) {
  open_faulty();
  later();
  ASSERT_EQ(append("a"), AppendOutcome::stored);
  fs.fail(Operation::pwritev, ENOSPC);
  ASSERT_TRUE(quarantine_one().ok());
  const int writes = fs.count(Operation::pwritev);
  fs.fail(Operation::pwritev, ENOSPC, 1000);
  EXPECT_EQ(append("b"), AppendOutcome::full);
  EXPECT_EQ(fs.count(Operation::pwritev), writes + 1);  // the reserve was tried, the request not
  EXPECT_TRUE(log->stats().disk_nearly_full);
  fs.heal();
  EXPECT_EQ(append("c"), AppendOutcome::stored);
  EXPECT_TRUE(is_there());
  EXPECT_EQ(claim_all(), (Strings{"a", "c"}));
}

TEST_F(ReserveTest, AFullDiskNeitherStopsAStartNorTheDrain) {
  open_faulty();
  append("a");
  append("b");
  log->close();
  fs.fail(Operation::pwritev, ENOSPC, 100'000);
  open_faulty();
  for (int i = 0; i < 3; ++i) later();
  EXPECT_FALSE(is_there());
  EXPECT_EQ(claim_all(), (Strings{"a", "b"}));
  log->reader("up").acknowledge();
  later();
  EXPECT_TRUE(files(".seg").empty());
  EXPECT_EQ(append("c"), AppendOutcome::full);
  fs.heal();
  later();
  EXPECT_TRUE(is_there());
  EXPECT_EQ(append("c"), AppendOutcome::stored);
}

TEST_F(ReserveTest, ThatTheDiskIsFullIsToldUntilThereIsRoomAndDoesNotFlap) {
  open_faulty();
  later();
  fs.fail(Operation::pwritev, EDQUOT, 100'000);
  ASSERT_EQ(append("a"), AppendOutcome::full);
  for (int i = 0; i < 5; ++i) {
    later();
    EXPECT_TRUE(log->stats().disk_nearly_full);  // statvfs knows no quota: a write has to show it
  }
  fs.heal();
  later();
  EXPECT_FALSE(log->stats().disk_nearly_full);
  EXPECT_FALSE(std::filesystem::exists(path("reserve.tmp")));
  EXPECT_EQ(append("a"), AppendOutcome::stored);
}

TEST_F(ReserveTest, ADirectoryInItsPlaceIsReportedAndStopsNothing) {
  std::filesystem::create_directories(options.directory + "/reserve/of a stranger");
  open_faulty();
  later();
  EXPECT_TRUE(reported("the reserve for a full disk cannot be made"));
  fs.fail(Operation::pwritev, ENOSPC);
  EXPECT_FALSE(quarantine_one().ok());
  EXPECT_EQ(append("a"), AppendOutcome::stored);
}

}  // namespace
}  // namespace holdfast
