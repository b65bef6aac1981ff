// Cursors that cannot be opened, read, written or synced: a start succeeds, nothing undelivered is
// lost, and the folder does not fill with what was delivered.
#include <gtest/gtest.h>

#include <cerrno>

#include "buffer/cursor.h"
#include "tests/support/faulty_log_fixture.h"

namespace holdfast {
namespace {

using Operation = FaultyFileSystem::Operation;
using Strings = std::vector<std::string>;

class LogCursorTest : public FaultyLogFixture {
 protected:
  void later() {
    clock.advance_ms(2000);
    log->maintain();
  }
  std::string aside() const {
    return path("cursor-up~" + std::to_string(clock.unix_ns() / kNsPerMs));
  }
  bool reported(std::string_view words) {
    std::lock_guard lock(reports_mutex);
    return std::any_of(reports.begin(), reports.end(), [&](const std::string& line) {
      return line.find(words) != std::string::npos;
    });
  }
};

TEST_F(LogCursorTest, ADirectoryInItsPlaceIsRenamedAndTheReaderStartsAtTheOldest) {
  open();
  append("a");
  append("b");
  log->close();
  std::filesystem::create_directories(path("cursor-up/of a stranger"));
  open();
  EXPECT_TRUE(std::filesystem::is_directory(aside()));
  EXPECT_TRUE(reported("a cursor cannot be read: its exporter starts again at the oldest record"));
  EXPECT_EQ(claim_all(), (Strings{"a", "b"}));
  log->reader("up").acknowledge();
  append("c");
  log->close();
  open();
  EXPECT_EQ(claim_all(), Strings{"c"});
}

TEST_F(LogCursorTest, OneThatMayNotBeOpenedIsRenamedAndNeverBelievedAgain) {
  open_faulty();
  for (const char* text : {"a", "b", "c"}) append(text);
  claim_all();
  log->reader("up").acknowledge();
  log->close();
  ASSERT_TRUE(files(".seg").empty());
  fs.fail(Operation::open, EACCES, 2);  // once for the numbers, once for its reader
  open_faulty();
  EXPECT_TRUE(std::filesystem::exists(aside()));
  append("d");  // nobody knows how far the numbers were: it has that of "a"
  crash();
  open_faulty();  // now the file can be read: it would take "d" for delivered
  EXPECT_EQ(claim_all(), Strings{"d"});
  log->reader("up").acknowledge();
  append("e");
  EXPECT_EQ(log->reader("up").claim({}).records.at(0).seq, 4U);
}

TEST_F(LogCursorTest, OneThatTheDiskCannotReadIsRenamed) {
  open_faulty();
  append("a");
  claim_all();
  log->reader("up").acknowledge();
  log->close();
  fs.fail(Operation::pread, EIO, 2);
  open_faulty();
  EXPECT_TRUE(std::filesystem::exists(aside()));
  append("b");
  EXPECT_EQ(claim_all(), Strings{"b"});
}

TEST_F(LogCursorTest, WhereItCannotEvenBeRenamedEachWriteTriesAgain) {
  open();
  append("a");
  log->close();
  std::filesystem::create_directories(path("cursor-up"));
  fs.fail(Operation::rename, EACCES, 1000);
  open_faulty();
  EXPECT_EQ(claim_all(), Strings{"a"});
  log->reader("up").acknowledge();
  EXPECT_GT(log->stats().write_errors, 0U);
  fs.heal();
  append("b");
  claim_all();
  log->reader("up").acknowledge();
  EXPECT_TRUE(std::filesystem::is_directory(aside()));
  crash();
  open_faulty();
  append("c");
  EXPECT_EQ(claim_all(), Strings{"c"});
}

TEST_F(LogCursorTest, DeliveredSegmentsGoEvenIfNoCursorCanSayThatTheyMay) {
  options.file_bytes_max = 4096;
  options.folder_bytes_max = 100'000;
  options.overflow = Overflow::reject;
  open();
  std::filesystem::create_directories(path("cursor-up"));
  fs.fail(Operation::rename, EROFS, 1'000'000);  // segments keep their names, the directory its
  open_faulty();
  for (int round = 0; round < 50; ++round) {  // many times what the folder holds
    for (int i = 0; i < 5; ++i) {
      ASSERT_EQ(append(std::string(2000, 'x')), AppendOutcome::stored);
    }
    EXPECT_EQ(claim_all().size(), 5U);
    log->reader("up").acknowledge();
    later();
  }
  append("not delivered");
  fs.heal();
  crash();
  open_faulty();
  EXPECT_EQ(claim_all(), Strings{"not delivered"});
}

TEST_F(LogCursorTest, ASlotWhoseSyncFailedIsWrittenAgain) {
  open_faulty();
  later();  // the reserve is made
  append("a");
  append("b");
  log->reader("up").claim({.records_max = 1});
  log->reader("up").acknowledge();
  const int syncs = fs.count(Operation::fdatasync);
  const int writes = fs.count(Operation::pwritev);
  fs.fail(Operation::fdatasync, EIO);
  later();
  later();
  // The kernel may have dropped what it could not sync: a second sync alone would prove nothing.
  EXPECT_EQ(fs.count(Operation::fdatasync), syncs + 2);
  EXPECT_EQ(fs.count(Operation::pwritev), writes + 1);
  crash();
  open_faulty();
  EXPECT_EQ(claim_all(), Strings{"b"});
}

TEST_F(LogCursorTest, NewReaderWhoseCursorCannotBeWrittenStartsAtTheOldestRecord) {
  open_faulty();
  ASSERT_EQ(append("old"), AppendOutcome::stored);
  fs.fail(Operation::fdatasync, EIO);
  ASSERT_TRUE(log->set_readers({{"up"}, {"newest", {}, true}}).ok());
  fs.heal();
  EXPECT_TRUE(reported("a cursor cannot be written"));
  // A start after a kill could not tell what came before it from what came after.
  EXPECT_EQ(claim_all("newest"), Strings{"old"});
}

TEST_F(LogCursorTest, ChangedRoutesThatCannotBeWrittenAreWrittenByTheUpkeep) {
  open_faulty({{"up", {1}}});
  fs.fail(Operation::pwritev, EIO);
  ASSERT_TRUE(log->set_readers({{"up", {2}}}).ok());
  EXPECT_TRUE(reported("a cursor cannot be written"));
  fs.heal();
  later();
  crash();
  const auto cursor = Cursor::open_file(fs, options.directory, "cursor-up");
  ASSERT_TRUE(cursor.ok());
  EXPECT_TRUE(skips(cursor->rules(), 1'000, 2));
  EXPECT_FALSE(skips(cursor->rules(), 1'000, 1));
}

TEST_F(LogCursorTest, DamagedRulesCostTheSlotAndNotTheOther) {
  open_faulty({{"up", {1}}});
  ASSERT_EQ(append("1"), AppendOutcome::stored);
  EXPECT_EQ(claim_all(), Strings{"1"});
  log->reader("up").acknowledge();
  crash();
  std::string bytes = read_file(path("cursor-up"));
  const std::size_t newer = 512 * (bytes[8] > bytes[512 + 8] ? 0 : 1);
  bytes[newer + 48] ^= 1;  // in its first rule
  write_file(path("cursor-up"), bytes);
  open_faulty({{"up", {1}}});
  EXPECT_EQ(claim_all(), Strings{"1"});  // the slot before says that it is still to be delivered
  EXPECT_TRUE(reports.empty()) << reports.front();
}

}  // namespace
}  // namespace holdfast
