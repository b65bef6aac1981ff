// Limits, ages and modes that change while the log is open.
#include <gtest/gtest.h>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

using LogChangedLimitsTest = LogFixture;

TEST_F(LogChangedLimitsTest, SmallerFolderMakesRoomAtOnce) {
  options.file_bytes_max = 16 << 10;
  open();
  for (int i = 0; i < 100; ++i) append(std::string(5'000, 'x'));
  LogOptions less = options;
  less.folder_bytes_max = 128 << 10;
  ASSERT_TRUE(log->set_limits(less).ok());
  EXPECT_LE(log->stats().allocated_bytes, less.folder_bytes_max);
  EXPECT_GT(reader_stats().drops[0].items, 0U);
  EXPECT_EQ(reader_stats().drops[0].items + reader_stats().pending_items, 100U);
  less.overflow = Overflow::reject;
  ASSERT_TRUE(log->set_limits(less).ok());
  AppendOutcome outcome = AppendOutcome::stored;
  for (int i = 0; i < 100 && outcome == AppendOutcome::stored; ++i) {
    outcome = append(std::string(5'000, 'x'));
  }
  EXPECT_EQ(outcome, AppendOutcome::full);
  ASSERT_TRUE(log->set_limits(options).ok());
  EXPECT_EQ(append("again"), AppendOutcome::stored);
}

TEST_F(LogChangedLimitsTest, OtherDirectoryIsRefused) {
  open();
  LogOptions other = options;
  other.directory += "2";
  EXPECT_EQ(log->set_limits(other).error().code, EINVAL);
  other = options;
  other.stream_tag = 2;
  EXPECT_EQ(log->set_limits(other).error().code, EINVAL);
}

TEST_F(LogChangedLimitsTest, WindowedReaderMadeLiveReadsTheOpenSegment) {
  options.drain = DrainMode::windowed;
  open();
  append("1");
  EXPECT_TRUE(claim_all().empty());
  LogOptions live = options;
  live.drain = DrainMode::live;
  ASSERT_TRUE(log->set_limits(live).ok());
  EXPECT_EQ(claim_all(), std::vector<std::string>({"1"}));
}

TEST_F(LogChangedLimitsTest, WhatWasNotSyncedIsWhenDurabilityIsRaised) {
  options.durability = Durability::none;
  open();
  append("1");
  LogOptions batch = options;
  batch.durability = Durability::batch;
  ASSERT_TRUE(log->set_limits(batch).ok());
  EXPECT_EQ(files(".seg").size(), 1U);  // sealed, with a sync
  EXPECT_EQ(files(".wip").size(), 0U);
}

}  // namespace
}  // namespace holdfast
