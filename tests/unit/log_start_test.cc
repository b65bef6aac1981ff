// A start on a disk that fails, or that shows what never reached it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "buffer/cursor.h"
#include "buffer/log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/simulated_filesystem.h"

namespace holdfast {
namespace {

using Operation = SimulatedFileSystem::Operation;

constexpr char kFolder[] = "/buffer/traces";
constexpr char kGarbage[] = "/buffer/traces/00000000000000000007-1800000000000.seg";

class LogStartTest : public ::testing::Test {
 protected:
  LogStartTest() {
    options.directory = kFolder;
    options.file_bytes_max = 8 << 10;
    options.folder_bytes_max = 64 << 10;
    options.quarantine_bytes_max = 4 << 10;
    options.free_bytes_min = 0;
    EXPECT_TRUE(fs.make_directories(kFolder, 0750).ok());
  }
  void open() {
    auto opened = Log::open(fs, clock, options, {{"up"}});
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    log = std::move(*opened);
  }
  /// A segment without a whole record, too large for the quarantine.
  void make_garbage() {
    auto file = fs.open(kGarbage, FileSystem::Mode::create_new);
    ASSERT_TRUE(file.ok());
    std::string bytes(20 << 10, 'g');
    const iovec part{bytes.data(), bytes.size()};
    ASSERT_TRUE((*file)->pwritev({&part, 1}, 0).ok());
  }
  AppendOutcome append() {
    NewRecord record;
    const std::string bytes(1000, 'r');
    record.stored = bytes;
    record.raw_length = 1000;
    record.item_count = 1;
    return log->append({&record, 1});
  }
  bool is_there(const std::string& path) const {
    SimulatedDisk::Inode inode = 0;
    return fs.disk().find(path, inode) == 0;
  }

  ManualClock clock;
  SimulatedFileSystem fs;
  LogOptions options;
  std::unique_ptr<Log> log;
};

TEST_F(LogStartTest, WhatCannotGoToQuarantineTakesItsRoomInTheFolder) {
  make_garbage();
  fs.fail({Operation::make_directory, EACCES, 0, 1'000});  // no quarantine
  open();
  ASSERT_TRUE(is_there(kGarbage));
  EXPECT_GE(log->stats().allocated_bytes, 20U << 10);
  std::uint64_t most = 0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(append(), AppendOutcome::stored) << i;
    most = std::max(most, fs.disk().used_bytes());
  }
  EXPECT_LE(most, options.folder_bytes_max);
  EXPECT_GT(most, options.folder_bytes_max / 2);
}

// The kernel shows what it failed to write as if it were there, also to the next process, whose
// sync of it then succeeds.
TEST_F(LogStartTest, ACursorThatAnEarlierLifeCouldNotSyncIsWrittenAgain) {
  int shown = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedFileSystem disk{SimulatedDisk(seed)};
    ASSERT_TRUE(disk.make_directories(kFolder, 0750).ok());
    {
      Cursor cursor = Cursor::open(disk, kFolder, "up", 1);
      ASSERT_TRUE(cursor.save(5, 1).ok());
      disk.fail({Operation::fdatasync, EIO});
      EXPECT_FALSE(cursor.save(9, 2).ok());
    }
    disk.kill();
    Cursor cursor = Cursor::open(disk, kFolder, "up", 3);
    if (cursor.next_seq() != 9) continue;
    ++shown;
    ASSERT_TRUE(cursor.save(9, 4).ok());
    disk.lose_power({});
    EXPECT_EQ(Cursor::open(disk, kFolder, "up", 5).next_seq(), 9U) << "seed " << seed;
  }
  EXPECT_GT(shown, 0);
}

}  // namespace
}  // namespace holdfast
