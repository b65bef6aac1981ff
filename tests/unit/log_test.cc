// The log in ordinary life: append, read, acknowledge, seal, ages, restart.
#include "buffer/log.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

using Strings = std::vector<std::string>;

class LogTest : public LogFixture {};

TEST_F(LogTest, RecordsComeBackInOrderWithAllTheirFields) {
  open();
  NewRecord record = record_of("payload", 7);
  record.extension = "ext";
  record.raw_length = 1234;
  record.raw_crc32 = 0xCAFEBABE;
  record.request_count = 3;
  record.codec = Codec::deflate_fragment;
  ASSERT_EQ(log->append({&record, 1}), AppendOutcome::stored);
  ASSERT_EQ(append("second"), AppendOutcome::stored);
  const Claim claim = log->reader("up").claim({});
  ASSERT_EQ(claim.records.size(), 2U);
  const Record& first = claim.records[0];
  EXPECT_EQ(first.seq, 1U);
  EXPECT_EQ(first.stored, "payload");
  EXPECT_EQ(first.extension, "ext");
  EXPECT_EQ(first.raw_length, 1234U);
  EXPECT_EQ(first.raw_crc32, 0xCAFEBABE);
  EXPECT_EQ(first.item_count, 7U);
  EXPECT_EQ(first.request_count, 3U);
  EXPECT_EQ(first.codec, Codec::deflate_fragment);
  EXPECT_EQ(first.received_unix_ns, clock.unix_ns());
  EXPECT_EQ(claim.records[1].seq, 2U);
  EXPECT_EQ(claim.items, 8U);
}

TEST_F(LogTest, ClaimStopsAtItsLimitsButGivesOneRecordAtLeast) {
  open();
  for (int i = 0; i < 10; ++i) ASSERT_EQ(append(std::string(100, 'a'), 5), AppendOutcome::stored);
  LogReader& reader = log->reader("up");
  EXPECT_EQ(reader.claim({.items_max = 1}).records.size(), 1U);
  EXPECT_EQ(reader.claim({.items_max = 12}).records.size(), 2U);
  EXPECT_EQ(reader.claim({.raw_bytes_max = 350}).records.size(), 3U);
  const Claim last_but_one = reader.claim({.records_max = 3});
  EXPECT_EQ(last_but_one.records.size(), 3U);
  EXPECT_TRUE(last_but_one.limited);
  const Claim last = reader.claim({});
  EXPECT_EQ(last.records.size(), 1U);
  EXPECT_FALSE(last.limited);
}

TEST_F(LogTest, RewindGivesTheSameRecordsAgain) {
  open();
  append("a");
  append("b");
  LogReader& reader = log->reader("up");
  EXPECT_EQ(texts(reader.claim({.records_max = 1})), Strings{"a"});
  reader.acknowledge();
  EXPECT_EQ(claim_all(), Strings{"b"});
  reader.rewind();
  EXPECT_EQ(claim_all(), Strings{"b"});
  EXPECT_EQ(reader_stats().pending_items, 1U);
}

TEST_F(LogTest, AcknowledgedRecordsAreNotReadAgainAfterARestart) {
  open();
  for (const char* text : {"a", "b", "c", "d"}) append(text);
  LogReader& reader = log->reader("up");
  reader.claim({.records_max = 2});
  reader.acknowledge();
  log->close();
  open();
  EXPECT_EQ(reader_stats().recovered_items, 2U);
  EXPECT_EQ(claim_all(), (Strings{"c", "d"}));
}

TEST_F(LogTest, AKillKeepsWhatWasStoredAndRepeatsOnlyWhatWasInFlight) {
  open();
  for (const char* text : {"a", "b", "c", "d"}) append(text);
  log->reader("up").claim({.records_max = 2});
  log->reader("up").acknowledge();
  log->reader("up").claim({.records_max = 1});
  crash();
  open();
  EXPECT_EQ(claim_all(), (Strings{"c", "d"}));
  EXPECT_EQ(append("e"), AppendOutcome::stored);
  EXPECT_EQ(claim_all(), Strings{"e"});
}

TEST_F(LogTest, SegmentsRollBySizeAndAreDeletedWhenEveryReaderIsPast) {
  options.file_bytes_max = 4096;
  open({"fast", "slow"});
  for (int i = 0; i < 20; ++i) append(std::string(1000, static_cast<char>('a' + i)));
  EXPECT_GE(files(".seg").size(), 5U);
  EXPECT_EQ(files(".wip").size(), 1U);
  for (const std::string& file : files(".seg")) {
    EXPECT_LE(std::filesystem::file_size(path(file)), 4096U);
  }
  EXPECT_EQ(claim_all("fast").size(), 20U);
  log->reader("fast").acknowledge();
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_GE(files(".seg").size(), 5U);  // the slow one still needs them
  EXPECT_EQ(claim_all("slow").size(), 20U);
  log->reader("slow").acknowledge();
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_TRUE(files(".seg").empty());
  EXPECT_TRUE(files(".wip").empty());  // idle and delivered: the open one went too
  EXPECT_EQ(log->stats().allocated_bytes, 0U);
}

TEST_F(LogTest, ARecordLargerThanAFileGetsAFileOfItsOwn) {
  options.file_bytes_max = 4096;
  open();
  append("small");
  const std::string large(20'000, 'x');
  ASSERT_EQ(append(large), AppendOutcome::stored);
  append("after");
  EXPECT_EQ(claim_all(), (Strings{"small", large, "after"}));
  EXPECT_EQ(files(".seg").size(), 2U);
}

TEST_F(LogTest, SequenceNumbersAreNotUsedAgainAfterEverythingWasDelivered) {
  open();
  append("a");
  append("b");
  claim_all();
  log->reader("up").acknowledge();
  log->close();
  EXPECT_TRUE(files(".seg").empty());
  open();
  append("c");
  const Claim claim = log->reader("up").claim({});
  ASSERT_EQ(claim.records.size(), 1U);
  EXPECT_EQ(claim.records[0].seq, 3U);
}

TEST_F(LogTest, AnExporterThatWasAwayGetsWhatCameMeanwhile) {
  open({"a"});
  for (int i = 0; i < 10; ++i) append("first");
  claim_all("a");
  log->reader("a").acknowledge();
  log->close();
  open({"b"});  // the exporter was renamed: nothing but its cursor knows the numbers that were used
  append("second");
  log->close();
  open({"a"});
  EXPECT_EQ(claim_all("a"), Strings{"second"});
}

TEST_F(LogTest, ADeletedSegmentIsClosedByAReaderThatWaits) {
  open();
  append(std::string(100'000, 'x'));
  claim_all();
  log->reader("up").acknowledge();
  const auto open_files = [this] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
      if (target.starts_with(options.directory) && target.find("cursor") == std::string::npos)
        ++count;
    }
    return count;
  };
  EXPECT_GE(open_files(), 1);
  clock.advance_ms(2000);
  log->maintain();
  EXPECT_FALSE(
      log->reader("up").wait_readable(std::stop_token(), std::chrono::steady_clock::now()));
  EXPECT_EQ(open_files(), 0);
}

TEST_F(LogTest, ADirectoryBehindALinkIsAsGoodAsAnyOther) {
  const std::string real = directory.path() + "/real";
  std::filesystem::create_directories(real);
  std::filesystem::create_directory_symlink(real, options.directory);
  open();
  EXPECT_EQ(append("a"), AppendOutcome::stored);
  EXPECT_EQ(claim_all(), Strings{"a"});
}

TEST_F(LogTest, OldSegmentsExpireByTheSteadyClockAndAreCounted) {
  options.read_age_max = std::chrono::minutes(10);
  open();
  append("old", 4);
  clock.jump_ms(365LL * 24 * 3600 * 1000);  // NTP sets the clock
  log->maintain();
  EXPECT_EQ(drops(DropReason::expired).items, 0U);
  clock.advance_ms(9 * 60 * 1000);
  append("young", 2);
  log->maintain();
  clock.advance_ms(61 * 1000);
  log->maintain();
  EXPECT_EQ(drops(DropReason::expired).items, 4U);
  EXPECT_EQ(claim_all(), Strings{"young"});
}

TEST_F(LogTest, AnOpenSegmentIsSealedAtItsAge) {
  open();
  append("a");
  log->maintain();
  EXPECT_EQ(files(".wip").size(), 1U);
  clock.advance_ms(30'000);
  log->maintain();
  EXPECT_TRUE(files(".wip").empty());
  EXPECT_EQ(files(".seg").size(), 1U);
}

TEST_F(LogTest, WindowedReadersSeeSealedFilesOfTheRightAgeOnly) {
  options.drain = DrainMode::windowed;
  open();
  append("a");
  EXPECT_TRUE(claim_all().empty());
  clock.advance_ms(30'000);
  log->maintain();
  EXPECT_TRUE(claim_all().empty());  // sealed, but 30 s old
  append("b");
  clock.advance_ms(3'000);
  EXPECT_EQ(claim_all(), Strings{"a"});
}

TEST_F(LogTest, TheAgesOfABacklogGoOnAfterARestart) {
  options.read_age_max = std::chrono::minutes(10);
  open();
  append("a");
  log->close();
  clock.advance_ms(9 * 60 * 1000);
  open();
  EXPECT_EQ(claim_all(), Strings{"a"});
  log->reader("up").rewind();
  clock.advance_ms(61 * 1000);
  log->maintain();
  EXPECT_EQ(drops(DropReason::expired).items, 1U);
}

TEST_F(LogTest, WaitReadableWakesForARecordAndForAStop) {
  open();
  LogReader& reader = log->reader("up");
  const auto far = std::chrono::steady_clock::now() + std::chrono::hours(1);
  std::jthread writer([&] { append("a"); });
  EXPECT_TRUE(reader.wait_readable(std::stop_token(), far));
  writer.join();
  claim_all();
  EXPECT_FALSE(reader.wait_readable(std::stop_token(), std::chrono::steady_clock::now()));
  std::stop_source source;
  std::jthread stopper([&] { source.request_stop(); });
  EXPECT_FALSE(reader.wait_readable(source.get_token(), far));
}

TEST_F(LogTest, ManyWritersShareCommitsAndNothingIsLostOrSwapped) {
  open();
  constexpr int kWriters = 16;
  constexpr int kEach = 50;
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([this, w] {
        for (int i = 0; i < kEach; ++i) {
          EXPECT_EQ(append(std::to_string(w) + ":" + std::to_string(i)), AppendOutcome::stored);
        }
      });
    }
  }
  std::vector<int> next(kWriters, 0);
  for (const std::string& text : claim_all()) {
    const int writer = std::stoi(text);
    EXPECT_EQ(text, std::to_string(writer) + ":" +
                        std::to_string(next.at(static_cast<std::size_t>(writer))++));
  }
  for (const int count : next) EXPECT_EQ(count, kEach);
  EXPECT_LE(log->stats().commits, static_cast<std::uint64_t>(kWriters * kEach));
}

}  // namespace
}  // namespace holdfast
