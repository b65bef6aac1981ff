// A full folder and a full disk as the operator sees them: what is told, for how long, what is
// dropped, and what is not when a file cannot be deleted.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/support/faulty_log_fixture.h"

namespace holdfast {
namespace {

using Operation = FaultyFileSystem::Operation;

class LogFullTest : public FaultyLogFixture {
 protected:
  LogFullTest() {
    options.durability = Durability::none;
    options.file_bytes_max = 16 << 10;
    options.folder_bytes_max = 128 << 10;
  }

  void later() {
    clock.advance_ms(1000);
    log->maintain();
  }
  bool nearly_full() { return log->stats().disk_nearly_full; }
};

TEST_F(LogFullTest, AnOldestFileThatCannotBeDeletedCostsNoOtherFile) {
  open_faulty();
  fs.fail(Operation::unlink, EACCES, 1'000'000);
  int stored = 0;
  while (stored < 1000 && append(std::string(1000, 'x')) == AppendOutcome::stored) ++stored;
  for (int i = 0; i < 50; ++i) EXPECT_EQ(append(std::string(1000, 'x')), AppendOutcome::full);
  EXPECT_EQ(drops(DropReason::folder_full).items, 0U);
  EXPECT_TRUE(nearly_full());
  fs.heal();
  EXPECT_EQ(append(std::string(1000, 'x')), AppendOutcome::stored);
  const std::uint64_t dropped = drops(DropReason::folder_full).items;
  EXPECT_GT(dropped, 0U);
  EXPECT_LT(dropped, 20U);  // one file
  EXPECT_EQ(claim_all().size(), static_cast<std::size_t>(stored) + 1 - dropped);
}

TEST_F(LogFullTest, DeliveredFilesThatCannotBeDeletedStayCountedUntilTheyAreGone) {
  open_faulty();
  for (int i = 0; i < 30; ++i) append(std::string(1000, 'x'));
  claim_all();
  log->reader("up").acknowledge();
  fs.fail(Operation::unlink, EIO, 1'000'000);
  later();
  later();
  EXPECT_EQ(log->stats().segments, 0U);
  EXPECT_EQ(files(".seg").size(), 2U);
  EXPECT_GE(log->stats().allocated_bytes, 30U * 1064);
  fs.heal();
  later();
  EXPECT_TRUE(files(".seg").empty());
  EXPECT_EQ(log->stats().allocated_bytes, 0U);
}

TEST_F(LogFullTest, AnExpiredFileThatCannotBeDeletedIsTriedOnceASecondAndDroppedWhenItIsGone) {
  open_faulty();
  append("a", 7);
  clock.advance_ms(18LL * 3600 * 1000);
  fs.fail(Operation::unlink, EACCES, 1'000'000);
  const std::int64_t due = log->maintain();
  EXPECT_GE(due - clock.steady_ns(), kNsPerSecond / 2);  // no loop
  EXPECT_EQ(drops(DropReason::expired).items, 0U);
  fs.heal();
  later();
  EXPECT_EQ(drops(DropReason::expired).items, 7U);
  EXPECT_TRUE(files(".seg").empty());
}

TEST_F(LogFullTest, AReaderThatWaitsLetsGoOfAFileThatExpired) {
  open();
  append("a");
  ASSERT_EQ(claim_all().size(), 1U);  // it holds the file open
  clock.advance_ms(60'000);
  log->maintain();  // sealed: from here on only its end is news
  std::atomic<pid_t> thread_id{0};
  std::jthread waiting([&](const std::stop_token& stop) {
    thread_id = ::gettid();
    const auto far = std::chrono::steady_clock::now() + std::chrono::hours(1);
    while (!stop.stop_requested()) log->reader("up").wait_readable(stop, far);
  });
  const auto sleeps = [&] {  // "123 (name) S ..."
    const std::string stat = read_file("/proc/self/task/" + std::to_string(thread_id) + "/stat");
    const std::size_t end = stat.rfind(')');
    return end != std::string::npos && stat.substr(end, 3) == ") S";
  };
  while (!sleeps()) std::this_thread::yield();
  const auto holds_deleted = [this] {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
      if (target.starts_with(options.directory) && target.ends_with("(deleted)")) return true;
    }
    return false;
  };
  clock.advance_ms(18LL * 3600 * 1000);
  log->maintain();
  ASSERT_EQ(drops(DropReason::expired).items + reader_stats().pending_items, 1U);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (holds_deleted() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(holds_deleted());
}

TEST_F(LogFullTest, BelowTheFloorIsToldUntilWhatWasRefusedWouldFit) {
  for (const Overflow overflow : {Overflow::drop_oldest, Overflow::reject}) {
    options.overflow = overflow;
    options.free_bytes_min = 10 << 20;
    fs.say_free((10 << 20) + 3000);
    open_faulty();
    later();
    EXPECT_FALSE(std::filesystem::exists(path("reserve")));  // that would take it below
    ASSERT_EQ(append(std::string(20'000, 'x')), AppendOutcome::full);
    for (int i = 0; i < 5; ++i) {
      later();
      EXPECT_TRUE(nearly_full()) << i;
    }
    EXPECT_EQ(append("fits"), AppendOutcome::stored);
    EXPECT_EQ(drops(DropReason::folder_full).items, 0U);  // dropping is for the folder's limit
    fs.say_free(12 << 20);
    later();
    EXPECT_FALSE(nearly_full());
    EXPECT_TRUE(std::filesystem::exists(path("reserve")));
    EXPECT_EQ(append(std::string(20'000, 'x')), AppendOutcome::stored);
    crash();
    std::filesystem::remove_all(options.directory);
  }
}

TEST_F(LogFullTest, AFolderThatDropsItsOldestIsNotToldToBeFull) {
  open_faulty();
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(append(std::string(1000, 'x')), AppendOutcome::stored);
    ASSERT_FALSE(nearly_full());
  }
  EXPECT_GT(drops(DropReason::folder_full).items, 0U);
}

TEST_F(LogFullTest, AFullFolderThatRefusesIsToldUntilWhatWasRefusedWouldFit) {
  options.overflow = Overflow::reject;
  open_faulty();
  while (append(std::string(10'000, 'x')) == AppendOutcome::stored) {
  }
  for (int i = 0; i < 5; ++i) {
    later();
    EXPECT_TRUE(nearly_full()) << i;
  }
  claim_all();
  log->reader("up").acknowledge();
  later();
  later();
  EXPECT_FALSE(nearly_full());
}

TEST_F(LogFullTest, ARequestThatFitsInNoFolderIsRefusedAloneWhoeverComesWithIt) {
  options.durability = Durability::batch;  // groups form while a sync runs
  open_faulty();
  std::atomic<int> stored{0};
  std::atomic<int> refused{0};
  {
    std::vector<std::jthread> clients;
    for (int client = 0; client < 16; ++client) {
      clients.emplace_back([&, client] {
        for (int i = 0; i < 50; ++i) {
          const bool large = client % 4 == 0;
          const auto outcome = append(std::string(large ? 200'000 : 50, 'x'));
          ++(outcome == AppendOutcome::stored ? stored : refused);
        }
      });
    }
  }
  EXPECT_EQ(stored, 600);
  EXPECT_EQ(refused, 200);
  EXPECT_LT(log->record_bytes_max(), 200'000U);
  EXPECT_EQ(append(std::string(log->record_bytes_max(), 'x')), AppendOutcome::stored);
}

}  // namespace
}  // namespace holdfast
