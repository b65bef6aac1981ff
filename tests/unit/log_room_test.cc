// The limits exact to the allocated byte: whatever is done, the files of a signal's directory take
// no more of the disk than the folder may have.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <deque>
#include <random>
#include <string>

#include "tests/support/log_fixture.h"

namespace holdfast {
namespace {

struct Case {
  std::uint64_t folder;
  std::uint64_t file;
  std::size_t record_min;
  std::size_t record_max;
  Overflow overflow;
};

class LogRoomTest : public LogFixture, public ::testing::WithParamInterface<Case> {
 protected:
  LogRoomTest() {
    options.durability = Durability::none;
    options.folder_bytes_max = GetParam().folder;
    options.file_bytes_max = GetParam().file;
    options.overflow = GetParam().overflow;
    options.quarantine_bytes_max = 8 << 10;  // soon full: nothing that is set aside hides a mistake
  }

  std::uint64_t allocated() const {
    std::uint64_t sum = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options.directory)) {
      struct stat info {};
      if (::lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      sum += static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
    return sum;
  }

  void append_one() {
    const std::size_t length =
        GetParam().record_min + random() % (GetParam().record_max - GetParam().record_min + 1);
    std::string text = std::to_string(appended) + " ";
    text.resize(std::max(length, text.size()), 'x');
    const auto outcome = append(text, 3);
    if (outcome == AppendOutcome::stored) {
      stored.push_back(appended);
    } else {
      ++refused;
    }
    ++appended;
  }

  /// What comes has to be what was stored, in order; what is missing in between was dropped.
  void deliver(std::uint32_t records) {
    const Claim claim = log->reader("up").claim({.records_max = records});
    for (const std::string& text : texts(claim)) {
      const std::uint64_t id = std::stoull(text);
      while (!stored.empty() && stored.front() < id) {
        stored.pop_front();
        ++missing;
      }
      ASSERT_FALSE(stored.empty());
      ASSERT_EQ(stored.front(), id);
      stored.pop_front();
    }
    log->reader("up").acknowledge();
  }

  void quarantine_one() {
    const std::string bytes(random() % 5000, 'q');
    QuarantineEntry entry;
    entry.seq = appended;
    entry.reader = "up";
    entry.reason = "rejected";
    entry.bytes = bytes;
    ASSERT_TRUE(log->reader("up").quarantine(entry).ok());
  }

  void step() {
    const auto dice = random() % 100;
    if (dice < 80) return append_one();
    if (dice < 85) return deliver(1 + random() % 20);
    if (dice < 88) return quarantine_one();
    clock.advance_ms(static_cast<std::int64_t>(random() % 3000));
    log->maintain();
    if (dice < 99) return;
    dropped_before += drops(DropReason::folder_full).items;
    log->close();
    open();
  }

  std::mt19937 random{20261121};
  std::uint64_t appended = 0;
  std::deque<std::uint64_t> stored;  // not delivered; some may have been dropped
  std::uint64_t refused = 0;
  std::uint64_t missing = 0;
  std::uint64_t dropped_before = 0;  // in earlier lives
};

TEST_P(LogRoomTest, NoStepTakesMoreOfTheDiskThanTheFolderMayHave) {
  open();
  log->maintain();  // makes the reserve
  quarantine_one();
  quarantine_one();
  ASSERT_TRUE(std::filesystem::exists(path("reserve")));
  std::uint64_t most = 0;
  for (int i = 0; i < 1500; ++i) {
    step();
    ASSERT_FALSE(HasFatalFailure());
    const std::uint64_t now = allocated();
    ASSERT_LE(now, GetParam().folder) << "after step " << i;
    most = std::max(most, now);
  }
  EXPECT_GE(most, GetParam().folder / 2);  // it was filled: the limit has been met
  while (reader_stats().pending_records > 0) deliver(100);
  missing += stored.size();  // nothing came after them
  const std::uint64_t dropped = dropped_before + drops(DropReason::folder_full).items;
  EXPECT_EQ(dropped, missing * 3);
  EXPECT_EQ(drops(DropReason::corrupt).items, 0U);
  if (GetParam().overflow == Overflow::reject) {
    EXPECT_EQ(dropped, 0U);
    EXPECT_GT(refused, 0U);
  } else {
    EXPECT_GT(dropped, 0U);
    EXPECT_EQ(refused, 0U);
  }
}

TEST_P(LogRoomTest, DropOldestDropsTheOldestAndNoneYoungerThanOneThatStays) {
  if (GetParam().overflow == Overflow::reject) {
    // The same run refuses instead: the oldest are all there.
    open();
    for (int i = 0; i < 1000; ++i) append_one();
    const auto got = claim_all();
    ASSERT_EQ(got.size(), stored.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::stoull(got[i]), stored[i]);
    return;
  }
  open();
  for (int i = 0; i < 1000; ++i) append_one();
  const auto got = claim_all();
  ASSERT_FALSE(got.empty());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(std::stoull(got[i]), appended - got.size() + i);
  }
  EXPECT_EQ(drops(DropReason::folder_full).items, (appended - got.size()) * 3);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Overflow overflow : {Overflow::drop_oldest, Overflow::reject}) {
    all.push_back({72 << 10, 8 << 10, 20, 500, overflow});
    all.push_back({100'000, 16 << 10, 20, 4096, overflow});
    all.push_back({512 << 10, 128 << 10, 20, 9000, overflow});
    all.push_back({1 << 20, 64 << 10, 20, 60'000, overflow});
    // A segment of one record that ends with its block: the seal takes another one.
    all.push_back({80 << 10, 5000, 3968, 3968, overflow});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Folders, LogRoomTest, ::testing::ValuesIn(cases()), [](const auto& info) {
  const Case& param = info.param;
  return (param.overflow == Overflow::reject ? "Reject" : "DropOldest") +
         std::to_string(param.folder);
});

}  // namespace
}  // namespace holdfast
