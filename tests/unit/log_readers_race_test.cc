// Readers and limits that change while others append, read and do the upkeep.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

constexpr std::uint16_t kEdge = 11;
constexpr std::uint16_t kCloud = 22;

const ReaderSpec kOfAll{"all", {}};
const ReaderSpec kOfEdge{"edge", {kCloud}};

class LogReadersRaceTest : public LogFixture {
 protected:
  ReaderStats stats_of(std::string_view name) {
    for (const ReaderStats& reader : log->stats().readers) {
      if (reader.name == name) return reader;
    }
    return {};
  }
};

TEST_F(LogReadersRaceTest, ReadersAndLimitsChangeBesideAppendsReadsAndUpkeep) {
  options.file_bytes_max = 32 << 10;
  options.folder_bytes_max = 512 << 10;
  open_with({kOfAll, kOfEdge});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> appended{0};
  std::uint64_t delivered = 0;
  {
    std::jthread upkeep([&] {
      while (!stop) {
        clock.advance_ms(200);
        log->maintain();
        static_cast<void>(log->stats());
      }
    });
    std::jthread drain([&] {  // of a reader that is never touched
      LogReader& reader = log->reader("all");
      while (!stop) {
        static_cast<void>(reader.wait_readable({}, std::chrono::steady_clock::now()));
        const Claim claim = reader.claim({.records_max = 20});
        reader.acknowledge();
        delivered += claim.items;
      }
    });
    std::jthread writer([&] {
      std::mt19937 random(1);
      while (!stop) {
        const std::string bytes(random() % 3'000, 'x');
        NewRecord record = record_of(bytes, static_cast<std::uint32_t>(1 + random() % 5));
        record.source = random() % 2 == 0 ? kEdge : kCloud;
        if (log->append({&record, 1}) == AppendOutcome::stored) appended += record.item_count;
      }
    });
    std::mt19937 random(2);
    for (int i = 0; i < 300; ++i) {
      std::vector<ReaderSpec> readers{kOfAll};
      if (random() % 2 == 0) readers.push_back(kOfEdge);
      if (random() % 2 == 0) readers.push_back({"cloud", {kEdge}, random() % 2 == 0});
      ASSERT_TRUE(log->set_readers(readers).ok());
      LogOptions limits = options;
      limits.folder_bytes_max = (256 + random() % 256) << 10;
      ASSERT_TRUE(log->set_limits(limits).ok());
      if (readers.size() > 1) {
        LogReader& reader = log->reader(readers.back().name);
        static_cast<void>(reader.claim({}));
        if (random() % 2 == 0) reader.acknowledge();
      }
    }
    stop = true;
  }
  log->reader("all").rewind();
  const ReaderStats all = stats_of("all");
  EXPECT_GT(delivered, 0U);
  EXPECT_EQ(delivered + all.pending_items + all.drops[0].items + all.drops[1].items, appended);
  EXPECT_EQ(all.drops[2].records, 0U);
  for (const ReaderStats& reader : log->stats().readers) {
    static_cast<void>(claim_all(reader.name));
    log->reader(reader.name).acknowledge();
    const ReaderStats after = stats_of(reader.name);
    EXPECT_EQ(after.pending_items + after.pending_records, 0U) << reader.name;
    EXPECT_EQ(after.drops[2].records, 0U) << reader.name;
  }
}

}  // namespace
}  // namespace holdfast
