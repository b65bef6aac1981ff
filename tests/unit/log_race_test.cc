// Threads that really race: appends, two readers of different speed, purges of a full folder,
// expiry, upkeep. At the end every item is delivered, dropped and counted, or pending.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

struct Race {
  const char* name;
  std::uint64_t folder;
  std::int64_t upkeep_step_ms;  // how far the clock goes at each upkeep
  unsigned slow_pause;          // acknowledgements of the slow reader: one in so many claims
};

class LogRaceTest : public LogFixture, public ::testing::WithParamInterface<Race> {
 protected:
  void expect_to_add_up(std::uint64_t appended, const std::vector<std::uint64_t>& delivered) {
    const LogStats stats = log->stats();
    EXPECT_EQ(stats.appended_items, appended);
    for (std::size_t i = 0; i < 2; ++i) {
      const ReaderStats& reader = stats.readers.at(i);
      std::uint64_t dropped = 0;
      for (const DropCounts& drop : reader.drops) dropped += drop.items;
      EXPECT_EQ(delivered.at(i) + dropped + reader.pending_items, appended) << reader.name;
      EXPECT_GT(dropped, 0U) << "they did not race";
      EXPECT_EQ(reader.drops[static_cast<std::size_t>(DropReason::corrupt)].items, 0U);
      // A claim that met a purge pauses.
      const auto far = std::chrono::steady_clock::now() + std::chrono::minutes(1);
      LogReader& rest = log->reader(reader.name);
      std::uint64_t left = 0;
      while (left < reader.pending_items && rest.wait_readable(std::stop_token(), far)) {
        left += rest.claim({}).items;
      }
      EXPECT_TRUE(rest.claim({}).empty());
      EXPECT_EQ(left, reader.pending_items) << reader.name;
    }
  }
};

TEST_P(LogRaceTest, DeliveredDroppedAndPendingAddUpForEachReader) {
  options.durability = Durability::none;
  options.file_bytes_max = 32 << 10;
  options.folder_bytes_max = GetParam().folder;
  options.read_age_max = std::chrono::milliseconds(60'000);
  open({"fast", "slow"});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> appended{0};
  std::atomic<std::uint64_t> delivered[2] = {};
  const auto drain = [&](std::size_t index, unsigned one_in) {
    std::mt19937 random(static_cast<unsigned>(index) + 1);
    LogReader& reader = log->reader(index == 0 ? "fast" : "slow");
    std::uint64_t in_flight = 0;
    while (!stop) {
      const Claim claim =
          reader.claim({.records_max = 1 + static_cast<std::uint32_t>(random() % 20)});
      in_flight += claim.items;
      if (random() % one_in != 0) continue;
      if (random() % 4 == 0) {
        reader.rewind();
      } else {
        reader.acknowledge();
        delivered[index] += in_flight;
      }
      in_flight = 0;
    }
    reader.rewind();  // what is not acknowledged was not delivered
  };
  // On a busy machine the writers may be done before the others have come to anything.
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  const auto raced = [&] {
    const LogStats stats = log->stats();
    return std::all_of(stats.readers.begin(), stats.readers.end(), [](const ReaderStats& reader) {
      return reader.drops[0].items + reader.drops[1].items > 0;
    });
  };
  {
    std::jthread upkeep([&] {
      while (!stop) {
        clock.advance_ms(GetParam().upkeep_step_ms);
        log->maintain();
      }
    });
    std::jthread fast(drain, 0, 1U);
    std::jthread slow(drain, 1, GetParam().slow_pause);
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < 2; ++writer) {
      writers.emplace_back([&, writer] {
        std::mt19937 random(static_cast<unsigned>(writer) + 10);
        for (int i = 0; i < 4000 || (!raced() && std::chrono::steady_clock::now() < until); ++i) {
          const auto items = static_cast<std::uint32_t>(1 + random() % 5);
          const std::string text(random() % 3000, 'x');
          if (append(text, items) == AppendOutcome::stored) appended += items;
        }
      });
    }
    writers.clear();
    stop = true;
  }
  expect_to_add_up(appended, {delivered[0], delivered[1]});
}

INSTANTIATE_TEST_SUITE_P(Races, LogRaceTest,
                         ::testing::Values(Race{"PurgeAgainstDrain", 256 << 10, 1, 3},
                                           Race{"ExpiryAgainstDrain", 64 << 20, 5'000, 3},
                                           Race{"ASlowReader", 512 << 10, 100, 50}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace holdfast
