// The log at its limits: folder, free space, quarantine; what is dropped, refused and counted.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "buffer/log.h"
#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

class LogLimitsTest : public LogFixture {};

TEST_F(LogLimitsTest, QuarantineStaysBoundedWhenAnOperatorDeletesFilesInIt) {
  options.quarantine_bytes_max = 40'960;
  open();
  const auto put = [this](std::uint64_t seq) {
    QuarantineEntry entry;
    entry.seq = seq;
    entry.bytes = "refused";
    return log->reader("up").quarantine(entry).ok();
  };
  for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(put(i));
  for (const auto& entry : std::filesystem::directory_iterator(path("quarantine"))) {
    std::filesystem::remove(entry.path());
  }
  for (std::uint64_t i = 5; i < 100; ++i) ASSERT_TRUE(put(i));
  EXPECT_LE(log->stats().quarantine_bytes, 40'960U);
}

TEST_F(LogLimitsTest, AnAppendOfManyRecordsIsStoredAsAWholeOrNotAtAll) {
  options.file_bytes_max = 16 << 10;
  options.folder_bytes_max = 64 << 10;
  options.overflow = Overflow::reject;
  open();
  const std::string bytes(3000, 'x');
  const std::vector<NewRecord> five(5, record_of(bytes));
  std::uint64_t stored = 0;
  for (int i = 0; i < 20; ++i) {
    if (log->append(five) == AppendOutcome::stored) stored += 5;
  }
  EXPECT_GT(stored, 0U);
  EXPECT_EQ(log->stats().appended_items, stored);
  EXPECT_EQ(claim_all().size(), stored);
}

TEST_F(LogLimitsTest, PurgingAndDeletingAtTheSameTimeLoseNoCount) {
  options.directory = directory.path() + "/race";
  options.durability = Durability::none;
  options.file_bytes_max = 64 << 10;
  options.folder_bytes_max = 192 << 10;
  open();
  std::atomic<bool> stop{false};
  std::uint64_t delivered = 0;
  std::uint64_t stored = 0;
  {
    std::jthread upkeep([&] {
      while (!stop) {
        clock.advance_ms(1000);
        log->maintain();
      }
    });
    std::jthread reader([&] {
      while (!stop) {
        delivered += log->reader("up").claim({}).items;
        log->reader("up").acknowledge();
      }
    });
    for (int i = 0; i < 20'000; ++i) {
      if (append(std::string(12'000, 'x')) == AppendOutcome::stored) ++stored;
    }
    stop = true;
  }
  EXPECT_EQ(stored, delivered + drops(DropReason::folder_full).items +
                        drops(DropReason::expired).items + reader_stats().pending_items);
}

TEST_F(LogLimitsTest, DropOldestKeepsTheFolderBelowItsLimitAndCountsItems) {
  options.file_bytes_max = 16 << 10;
  options.folder_bytes_max = 64 << 10;
  open();
  std::uint64_t items = 0;
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(append(std::string(1000, 'x'), 3), AppendOutcome::stored);
    items += 3;
    ASSERT_LE(log->stats().allocated_bytes, options.folder_bytes_max);
  }
  const std::uint64_t dropped = drops(DropReason::folder_full).items;
  EXPECT_GT(dropped, 0U);
  std::uint64_t left = 0;
  for (Claim claim = log->reader("up").claim({}); !claim.empty();
       claim = log->reader("up").claim({})) {
    left += claim.items;
  }
  EXPECT_EQ(left + dropped, items);
  EXPECT_EQ(reader_stats().pending_items, left);
}

TEST_F(LogLimitsTest, RejectRefusesWhenFullAndTakesAgainAfterDelivery) {
  options.file_bytes_max = 16 << 10;
  options.folder_bytes_max = 80 << 10;
  options.overflow = Overflow::reject;
  open();
  int stored = 0;
  while (append(std::string(1000, 'x')) == AppendOutcome::stored) ++stored;
  EXPECT_GT(stored, 40);
  EXPECT_TRUE(log->stats().disk_nearly_full);
  EXPECT_EQ(drops(DropReason::folder_full).items, 0U);
  EXPECT_EQ(claim_all().size(), static_cast<std::size_t>(stored));
  log->reader("up").acknowledge();
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_FALSE(log->stats().disk_nearly_full);  // told without a request having come
  EXPECT_EQ(append("x"), AppendOutcome::stored);
}

TEST_F(LogLimitsTest, ARecordThatFitsInNoFolderIsRefusedAndPushesNothingOut) {
  options.file_bytes_max = 16 << 10;
  options.folder_bytes_max = 64 << 10;
  open();
  for (int i = 0; i < 6; ++i) append("kept");
  EXPECT_EQ(append(std::string(100 << 10, 'x')), AppendOutcome::full);
  EXPECT_EQ(drops(DropReason::folder_full).items, 0U);
  EXPECT_EQ(claim_all().size(), 6U);
}

TEST_F(LogLimitsTest, QuarantineAndSegmentsTogetherStayBelowTheFolderLimit) {
  options.file_bytes_max = 16 << 10;
  options.folder_bytes_max = 128 << 10;
  open();
  for (int i = 0; i < 200; ++i) append(std::string(1000, 'x'));
  const std::string refused(3000, 'r');
  for (std::uint64_t i = 0; i < 50; ++i) {
    QuarantineEntry entry;
    entry.seq = i;
    entry.reader = "up";
    entry.bytes = refused;
    ASSERT_TRUE(log->reader("up").quarantine(entry).ok());
    ASSERT_LE(log->stats().allocated_bytes, options.folder_bytes_max);
  }
  EXPECT_GT(log->stats().quarantine_entries, 3U);
}

TEST_F(LogLimitsTest, PurgingWhatIsOnItsWayUpstreamCountsItOnce) {
  options.file_bytes_max = 8 << 10;
  options.folder_bytes_max = 32 << 10;
  open();
  for (int i = 0; i < 5; ++i) append(std::string(1000, 'x'));
  LogReader& reader = log->reader("up");
  const Claim claim = reader.claim({.records_max = 2});
  ASSERT_EQ(claim.items, 2U);
  for (int i = 0; i < 60; ++i) append(std::string(1000, 'y'));
  const std::uint64_t before = drops(DropReason::folder_full).items;
  reader.acknowledge();  // the two were delivered after all
  EXPECT_EQ(drops(DropReason::folder_full).items, before);
  EXPECT_EQ(65U, 2 + before + reader_stats().pending_items);
  std::uint64_t left = 0;
  for (Claim rest = reader.claim({}); !rest.empty(); rest = reader.claim({})) left += rest.items;
  EXPECT_EQ(left, reader_stats().pending_items);
}

TEST_F(LogLimitsTest, RewindingOntoAPurgedSegmentCountsItAsDropped) {
  options.file_bytes_max = 8 << 10;
  options.folder_bytes_max = 32 << 10;
  open();
  for (int i = 0; i < 5; ++i) append(std::string(1000, 'x'));
  LogReader& reader = log->reader("up");
  reader.claim({.records_max = 2});
  for (int i = 0; i < 60; ++i) append(std::string(1000, 'y'));
  reader.rewind();
  EXPECT_EQ(65U, drops(DropReason::folder_full).items + reader_stats().pending_items);
}

TEST_F(LogLimitsTest, AFloorOfFreeSpaceRefusesInsteadOfFillingTheDisk) {
  options.free_bytes_min = ~0ULL >> 1;
  open();
  EXPECT_EQ(append("a"), AppendOutcome::full);
  EXPECT_TRUE(log->stats().disk_nearly_full);
  EXPECT_TRUE(files(".wip").empty());
}

TEST_F(LogLimitsTest, QuarantineIsBoundedAndItsOldestGoFirst) {
  options.quarantine_bytes_max = 20'000;
  open();
  for (std::uint64_t i = 0; i < 10; ++i) {
    QuarantineEntry entry;
    entry.seq = i;
    entry.reader = "otlp_http/a b";
    entry.reason = "rejected";
    entry.status = 400;
    entry.message = "bad \"thing\"\n";
    entry.bytes = "bytes";
    ASSERT_TRUE(log->reader("up").quarantine(entry).ok());
  }
  const LogStats stats = log->stats();
  EXPECT_LE(stats.quarantine_bytes, 20'000U);
  EXPECT_EQ(stats.quarantine_entries + stats.quarantine_evicted_entries, 10U);
  EXPECT_GT(stats.quarantine_evicted_entries, 0U);
  const std::string last =
      read_file(path("quarantine/00000000000000000009-000000-otlp_http%2Fa%20b.rec"));
  EXPECT_EQ(last.substr(last.find('\n') + 1), "bytes");
  EXPECT_NE(last.find("\"status\":400,\"message\":\"bad \\\"thing\\\"\\u000a\""),
            std::string::npos);
}

}  // namespace
}  // namespace holdfast
