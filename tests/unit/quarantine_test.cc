// What goes to quarantine is kept, bounded and counted, also when others have their hands in it.
#include "buffer/quarantine.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "buffer/segment_format.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_filesystem.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kBytesMax = 64U << 10;

class QuarantineTest : public ::testing::Test {
 protected:
  Status add(std::uint64_t seq, std::size_t bytes = 100) {
    const std::string content(bytes, 'x');
    QuarantineEntry entry;
    entry.seq = seq;
    entry.item_count = 1;
    entry.reader = "up";
    entry.reason = "rejected";
    entry.bytes = content;
    return quarantine.add(entry);
  }
  std::vector<std::string> files() const { return fs.names_in("/q"); }

  MemoryFileSystem fs;
  ManualClock clock;
  Quarantine quarantine{fs, clock, "/q", kBytesMax};
};

TEST_F(QuarantineTest, TheOldestGoAndAreCountedWhenNewOnesNeedTheRoom) {
  ASSERT_TRUE(quarantine.open().ok());
  for (std::uint64_t seq = 1; seq <= 20; ++seq) ASSERT_TRUE(add(seq).ok());
  EXPECT_EQ(quarantine.stats().entries, 16U);
  EXPECT_EQ(quarantine.stats().evicted, 4U);
  EXPECT_EQ(quarantine.stats().bytes, kBytesMax);
  EXPECT_TRUE(files().front().starts_with("00000000000000000005-"));
}

TEST_F(QuarantineTest, AddFailsRatherThanGrowWhenTheOldestCannotBeDeleted) {
  for (std::uint64_t seq = 1; seq <= 16; ++seq) ASSERT_TRUE(add(seq).ok());
  fs.fail_unlinks(EROFS);
  EXPECT_EQ(add(17).error().code, EROFS);
  EXPECT_EQ(quarantine.stats().entries, 16U);
  EXPECT_EQ(files().size(), 16U);
  fs.fail_unlinks(0);
  EXPECT_TRUE(add(17).ok());
  EXPECT_EQ(quarantine.stats().entries, 16U);
}

TEST_F(QuarantineTest, WhatAnOperatorDeletesIsNoticedAndNotCountedAsEvicted) {
  for (std::uint64_t seq = 1; seq <= 3; ++seq) ASSERT_TRUE(add(seq).ok());
  const auto before = files();
  ASSERT_TRUE(fs.unlink("/q/" + before.at(1)).ok());
  EXPECT_EQ(quarantine.stats().entries, 3U);
  quarantine.look_again();
  EXPECT_EQ(quarantine.stats().entries, 2U);
  EXPECT_EQ(quarantine.stats().bytes, 2 * kDiskBlockBytes);
  EXPECT_EQ(quarantine.stats().evicted, 0U);
  fs.set_disk({});  // all of it, and the folder
  quarantine.look_again();
  EXPECT_EQ(quarantine.stats().entries, 0U);
  EXPECT_EQ(quarantine.stats().bytes, 0U);
  EXPECT_TRUE(add(4).ok());
  EXPECT_EQ(quarantine.stats().entries, 1U);
}

TEST_F(QuarantineTest, ASegmentIsTakenInWholeAndWritesNothingOver) {
  const std::string name = segment_stem(7, 1'800'000'000'000'000'000);
  fs.node("/b/" + name + ".wip").bytes = "first";
  fs.node("/c/" + name + ".seg").bytes = "second";
  ASSERT_TRUE(quarantine.take_in("/b/" + name + ".wip", 8192).ok());
  ASSERT_TRUE(quarantine.take_in("/c/" + name + ".seg", 4096).ok());
  EXPECT_EQ(quarantine.stats().entries, 2U);
  EXPECT_EQ(quarantine.stats().bytes, 12'288U);
  EXPECT_GE(quarantine.stats().next_seq, 7U + 8192);
  ASSERT_EQ(files().size(), 2U);
  EXPECT_EQ(fs.node("/q/" + files()[0]).bytes, "first");
  EXPECT_EQ(fs.node("/q/" + files()[1]).bytes, "second");
  for (const std::string& file : files()) {
    EXPECT_EQ(parse_segment_name(file).value_or(SegmentName{}).first_seq, 7U) << file;
  }
}

TEST_F(QuarantineTest, ASegmentIsEvictedOnlyAsTheOldest) {
  const std::string path = "/b/" + segment_stem(7, 0) + ".seg";
  fs.node(path).bytes = std::string(20'000, 's');
  ASSERT_TRUE(quarantine.take_in(path, 20'480).ok());
  Quarantine later(fs, clock, "/q", kBytesMax);
  ASSERT_TRUE(later.open().ok());
  EXPECT_EQ(later.stats().entries, 1U);
  EXPECT_EQ(later.stats().bytes, 20'480U);
  const std::string content(100, 'x');
  QuarantineEntry entry;
  entry.bytes = content;
  for (entry.seq = 8; later.stats().evicted == 0; ++entry.seq) ASSERT_TRUE(later.add(entry).ok());
  EXPECT_EQ(entry.seq, 20U);  // eleven entries of 4 KiB fit beside it
  EXPECT_FALSE(fs.exists("/q/" + segment_stem(7, 0) + ".seg"));
}

TEST_F(QuarantineTest, ASegmentLargerThanAllOfItStaysWhereItIs) {
  const std::string path = "/b/" + segment_stem(7, 0) + ".seg";
  fs.node(path).bytes = "s";
  EXPECT_EQ(quarantine.take_in(path, kBytesMax + 1).error().code, EFBIG);
  EXPECT_TRUE(fs.exists(path));
}

TEST_F(QuarantineTest, AStartTakesUpWhatIsThereAndClearsAwayWhatWasNotFinished) {
  ASSERT_TRUE(add(5).ok());
  fs.node("/q/" + files().at(0) + ".tmp").bytes = "half";
  fs.node("/q/unreadable.rec").open_errno = EIO;
  Quarantine later(fs, clock, "/q", kBytesMax);
  ASSERT_TRUE(later.open().ok());
  EXPECT_EQ(later.stats().entries, 2U);
  EXPECT_EQ(later.stats().bytes, 2 * kDiskBlockBytes);
  EXPECT_EQ(later.stats().next_seq, 6U);
  EXPECT_EQ(files().size(), 2U);
}

}  // namespace
}  // namespace holdfast
