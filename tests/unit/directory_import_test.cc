// What is taken from an import directory, when, and what becomes of the files.
#include <unistd.h>

#include <functional>
#include <utility>

#include "tests/support/import_fixture.h"
#include "tests/support/java_files.h"

namespace holdfast {
namespace {

using Names = std::vector<std::string>;
constexpr std::int64_t kOldMs = 40'000;

class DirectoryImportTest : public ImportFixture {};

TEST_F(DirectoryImportTest, OldestFileIsTakenFirstOverAllDirectoriesOfTheSignal) {
  std::filesystem::create_directories(folder("other"));
  config.directories[0].push_back(folder("other"));
  put(kOldMs + 1, file_of({"c"}));
  put(kOldMs + 3, file_of({"a", "a2"}));
  put(kOldMs, file_of({"d"}), -1, "other");
  put(kOldMs + 2, file_of({"b"}), -1, "other");
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"a", "a2", "b", "c", "d"}));
  EXPECT_EQ(left(), Names{});
  EXPECT_EQ(left("other"), Names{});
  EXPECT_EQ(counted().accepted, 5U);
  EXPECT_EQ(directories.at(0)->imported_files, 2U);
  EXPECT_EQ(directories.at(0)->pending_files, 0U);
}

TEST_F(DirectoryImportTest, FileWaitsUntilItsNameAndItsLastWriteAreOldEnough) {
  put(32'000, file_of({"young by name"}), 40'000);
  put(40'000, file_of({"young by date"}), 10'000);
  EXPECT_EQ(take_all(), 1'000);
  EXPECT_EQ(delivered(), Names{});
  EXPECT_EQ(directories.at(0)->pending_files, 2U);
  clock.advance_ms(999);
  EXPECT_EQ(take_all(), 1);
  clock.advance_ms(1);
  EXPECT_EQ(take_all(), 22'000);
  EXPECT_EQ(delivered(), requests({"young by name"}));
  clock.advance_ms(22'000);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"young by date"}));
  EXPECT_EQ(left(), Names{});
}

TEST_F(DirectoryImportTest, MinimumAgeIsWhatIsConfigured) {
  config.age_min = milliseconds(0);
  put(0, file_of({"now"}));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"now"}));
}

TEST_F(DirectoryImportTest, UnfinishedFilesLinksAndStrangersAreLeftAlone) {
  const std::string old = std::to_string(now_ms() - kOldMs);
  write(folder() + "/" + old + ".tmp", file_of({"unfinished"}), kOldMs);
  write(folder() + "/notes", file_of({"stranger"}), kOldMs);
  write(folder() + "/-5", file_of({"stranger"}), kOldMs);
  write(folder() + "/99999999999999999999999", file_of({"no time"}), kOldMs);
  write(temp.path() + "/elsewhere", file_of({"linked"}), kOldMs);
  std::filesystem::create_symlink(temp.path() + "/elsewhere", folder() + "/1700000000000");
  std::filesystem::create_directory(folder() + "/1700000000001");
  ASSERT_EQ(::mkfifo((folder() + "/1700000000002").c_str(), 0600), 0);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), Names{});
  EXPECT_EQ(left().size(), 7U);
  EXPECT_EQ(counted().requests, 0U);
}

TEST_F(DirectoryImportTest, EmptyFileGoesWhenItIsOldEnough) {
  put(kOldMs, "");
  put(10'000, "");
  EXPECT_EQ(take_all(), 23'000);
  EXPECT_EQ(left().size(), 1U);
  EXPECT_EQ(counted().requests, 0U);
}

TEST_F(DirectoryImportTest, FileFromTheFutureIsTakenWhenItHasKeptStill) {
  const std::string path = put(-3'600'000, file_of({"one"}));
  EXPECT_EQ(take_all(), 33'000);
  clock.advance_ms(20'000);
  write(path, file_of({"one", "two"}), -3'600'000);
  EXPECT_EQ(take_all(), 33'000);
  clock.advance_ms(32'999);
  EXPECT_EQ(take_all(), 1);
  clock.advance_ms(1);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two"}));
}

TEST_F(DirectoryImportTest, ClockThatJumpsBackDelaysAFileByNoMoreThanTheMinimumAge) {
  put(10'000, file_of({"a"}));
  EXPECT_EQ(take_all(), 23'000);
  clock.jump_ms(-86'400'000);
  EXPECT_EQ(take_all(), 33'000);
  clock.advance_ms(33'000);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"a"}));
}

TEST_F(DirectoryImportTest, FullBufferIsWaitedForWithoutLossOrRepetition) {
  for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest}) {
    import.reset();
    log.reset();
    std::filesystem::remove_all(options.directory);
    options.overflow = overflow;
    options.folder_bytes_max = 512 << 10;
    options.file_bytes_max = 64 << 10;
    options.quarantine_bytes_max = 16 << 10;
    Names wanted;
    for (int file = 0; file < 3; ++file) {
      std::string bytes;
      for (int i = 0; i < 100; ++i) {
        // Of noise, that compression makes no smaller.
        std::string name = std::to_string(file) + "/" + std::to_string(i) + "/";
        for (int n = 0; n < 5'000; ++n) name += static_cast<char>('!' + std::rand() % 90);
        bytes += framed(request(name));
        wanted.push_back(name);
      }
      put(kOldMs - file, bytes);
    }
    Names got;
    int rounds = 0;
    for (; rounds < 100 && !left().empty(); ++rounds) {
      const std::int64_t due = take_all();
      const LogStats stats = log->stats();
      EXPECT_LE(stats.allocated_bytes, options.folder_bytes_max);
      for (const DropCounts& drop : stats.readers.at(0).drops) EXPECT_EQ(drop.items, 0U);
      for (std::string& each : delivered()) got.push_back(std::move(each));
      clock.advance_ms(std::max<std::int64_t>(due, 2'000));
      log->maintain();
    }
    EXPECT_GT(rounds, 2) << "it was never full";
    EXPECT_TRUE(got == requests(wanted)) << got.size() << " of " << wanted.size();
    open_log();
    import.reset();
  }
}

TEST_F(DirectoryImportTest, FilesStayUntilTheirRecordsAreStored) {
  options.free_bytes_min = 1ULL << 50;  // no disk has as much
  put(kOldMs + 1, file_of({"one"}));
  put(kOldMs, file_of({"two", "three"}));
  EXPECT_EQ(take_all(), 1'000);
  EXPECT_EQ(left().size(), 2U);
  EXPECT_EQ(counted().accepted, 0U);
  EXPECT_EQ(counted().refused, 3U);
  EXPECT_EQ(budget.used(), 0U);
  clock.advance_ms(1'000);
  EXPECT_EQ(take_all(), 2'000) << "the pause grows";

  options.free_bytes_min = 0;
  import.reset();
  open_log();
  open_import();
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two", "three"}));
  EXPECT_EQ(left(), Names{});
}

TEST_F(DirectoryImportTest, FileOfAFailedGroupIsNotDeletedWithTheNextGroup) {
  put(kOldMs, file_of({"two"}));
  open_import();
  const std::string away = temp.path() + "/away";
  std::filesystem::rename(options.directory, away);
  EXPECT_EQ(take_all(), 1'000);
  std::filesystem::rename(away, options.directory);
  // The bad record makes a group of its own of what comes before it.
  put(kOldMs + 2'000, file_of({"one"}) + framed("\x0f") + std::string(1, '\x09'));
  clock.advance_ms(1'000);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two"}));
  EXPECT_EQ(quarantined().size(), 2U);
  EXPECT_EQ(left(), Names{});
}

/// Calls back when it is asked for the time, as a commit does.
class CallingClock final : public Clock {
 public:
  std::int64_t unix_ns() const override {
    if (const auto call = std::exchange(call_, {})) call();
    return system_clock().unix_ns();
  }
  std::int64_t steady_ns() const override { return system_clock().steady_ns(); }
  void call_once(std::function<void()> call) { call_ = std::move(call); }

 private:
  mutable std::function<void()> call_;
};

TEST_F(DirectoryImportTest, FileThatIsAppendedToBeforeItsDeletionStays) {
  CallingClock calling;
  auto opened = Log::open(posix_filesystem(), calling, options, {{{"up"}}});
  ASSERT_TRUE(opened.ok());
  log = std::move(*opened);
  open_import();
  const std::string path = put(kOldMs, file_of({"one"}));
  calling.call_once([&] { write(path, file_of({"one", "two"}), 0); });
  EXPECT_EQ(take_all(), 1'000);
  ASSERT_EQ(left().size(), 1U);
  clock.advance_ms(33'000);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "one", "two"}));
  EXPECT_EQ(left(), Names{});
  import.reset();
  log.reset();
}

TEST_F(DirectoryImportTest, SpentBudgetPausesTheImportAndLosesNothing) {
  put(kOldMs, file_of({"one", "two"}));
  open_import();
  ASSERT_TRUE(budget.try_acquire(budget.limit()));
  EXPECT_EQ(take_all(), 100);
  EXPECT_EQ(delivered(), Names{});
  budget.release(budget.limit());
  clock.advance_ms(100);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two"}));
  EXPECT_EQ(budget.used(), 0U);
}

TEST_F(DirectoryImportTest, FileLargerThanAGroupIsTakenWholeAndOnce) {
  Names names;
  for (int i = 0; i < 30; ++i) names.push_back(std::to_string(i) + std::string(100'000, 'x'));
  put(kOldMs, file_of(names));
  EXPECT_EQ(take_all(), -1);
  EXPECT_TRUE(delivered() == requests(names));
  EXPECT_GE(log->stats().commits, 2U);
  EXPECT_EQ(left(), Names{});
}

TEST_F(DirectoryImportTest, ManySmallFilesShareCommits) {
  Names names;
  for (int i = 0; i < 1'000; ++i) {
    names.push_back("span " + std::to_string(i));
    put(kOldMs + 1'000 - i, file_of({names.back()}));
  }
  EXPECT_EQ(take_all(), -1);
  EXPECT_TRUE(delivered() == requests(names));
  EXPECT_LE(log->stats().commits, 4U);
  EXPECT_EQ(left(), Names{});
}

TEST_F(DirectoryImportTest, KillBeforeTheDeletionRepeatsTheFileAndLosesNothing) {
  put(kOldMs, file_of({"one"}));
  open_import();
  const std::string name = left().at(0);
  EXPECT_EQ(take_all(), -1);
  write(folder() + "/" + name, file_of({"one"}), kOldMs);  // as if it had not come to the deletion
  open_import();
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "one"}));
  EXPECT_EQ(left(), Names{});
}

TEST_F(DirectoryImportTest, DirectoryThatCannotBeWrittenIsLeftAloneAndSaysSo) {
  put(kOldMs, file_of({"one"}));
  open_import();
  std::filesystem::permissions(temp.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(folder(), std::filesystem::perms(0555));
  const uid_t before = ::geteuid();
  if (before == 0) {
    ASSERT_EQ(::seteuid(65'534), 0);
  }
  EXPECT_EQ(take_all(), -1);
  if (before == 0) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(log->stats().appended_items, 0U);
  EXPECT_EQ(left().size(), 1U);
  EXPECT_EQ(directories.at(0)->last_error.text(), "cannot be written: Permission denied");
  EXPECT_EQ(directories.at(0)->pending_files, 1U);

  std::filesystem::permissions(folder(), std::filesystem::perms(0755));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one"}));
}

TEST_F(DirectoryImportTest, FileThatCannotBeReadDoesNotHoldUpTheOthers) {
  const std::string closed = put(kOldMs + 1, file_of({"closed"}));
  put(kOldMs, file_of({"open"}));
  open_import();
  std::filesystem::permissions(temp.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(folder(), std::filesystem::perms(0777));
  std::filesystem::permissions(closed, std::filesystem::perms(0));
  const uid_t before = ::geteuid();
  std::filesystem::permissions(temp.path() + "/buffer", std::filesystem::perms(0777));
  std::filesystem::permissions(options.directory, std::filesystem::perms(0777));
  if (before == 0) {
    ASSERT_EQ(::seteuid(65'534), 0);
  }
  const std::int64_t due = take_all();
  if (before == 0) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(due, -1);
  EXPECT_EQ(delivered(), requests({"open"}));
  EXPECT_EQ(directories.at(0)->last_error.text(),
            closed + ": it cannot be opened: Permission denied");

  std::filesystem::permissions(closed, std::filesystem::perms(0644));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"closed"}));
  EXPECT_EQ(directories.at(0)->last_error.text(), "");
}

TEST_F(DirectoryImportTest, DirectoryThatIsNotThereYetIsNoError) {
  config.directories[0] = {folder("later")};
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(directories.at(0)->last_error.text(), "");
  std::filesystem::create_directories(folder("later"));
  put(kOldMs, file_of({"one"}), -1, "later");
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one"}));
}

TEST_F(DirectoryImportTest, SignalWithoutAPipelineIsLeftAlone) {
  config.directories[2] = {folder("logs")};
  std::filesystem::create_directories(folder("logs"));
  put(kOldMs, file_of({"one"}), -1, "logs");
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(left("logs").size(), 1U);
  EXPECT_EQ(directories.size(), 1U);
}

}  // namespace
}  // namespace holdfast
