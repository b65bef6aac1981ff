// What is taken from an import directory, when, and what becomes of the files.
#include <unistd.h>

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

TEST_F(DirectoryImportTest, TornTailGoesToQuarantineAndWhatCameBeforeIsTaken) {
  const std::string torn = framed(request("three")).substr(0, 9);
  const std::string path = put(kOldMs, file_of({"one", "two"}) + torn);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two"}));
  EXPECT_EQ(left(), Names{});
  const auto kept = quarantined();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].bytes, torn);
  EXPECT_NE(kept[0].line.find("\"reason\":\"corrupt\""), std::string::npos) << kept[0].line;
  EXPECT_NE(kept[0].line.find(path + " at byte " + std::to_string(file_of({"one", "two"}).size()) +
                              ": the file ends inside a record"),
            std::string::npos)
      << kept[0].line;
  EXPECT_EQ(counted().failed, 1U);
  EXPECT_EQ(directories.at(0)->quarantined, 1U);
}

TEST_F(DirectoryImportTest, RecordThatIsNoRequestStandsAsideAndTheOthersAreTaken) {
  const std::string bad =
      "\x0f"
      "bad";
  put(kOldMs, file_of({"one"}) + framed(bad) + framed(bad) + file_of({"two"}));
  put(kOldMs - 1, framed(bad) + file_of({"three"}));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one", "two", "three"}));
  EXPECT_EQ(left(), Names{});
  const auto kept = quarantined();
  ASSERT_EQ(kept.size(), 3U);
  for (const Quarantined& each : kept) EXPECT_EQ(each.bytes, bad);
  EXPECT_EQ(counted().accepted, 3U);
  EXPECT_EQ(counted().failed, 3U);
}

TEST_F(DirectoryImportTest, FileOfGarbageCostsAFewEntriesAndIsKeptWhole) {
  std::string garbage;
  for (int i = 0; i < 10'000; ++i) garbage += "\x03\x0f\x01\x02";
  put(kOldMs, garbage);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(left(), Names{});
  const auto kept = quarantined();
  EXPECT_EQ(kept.size(), 8U);
  std::string bytes;
  for (const Quarantined& each : kept)
    bytes += each.bytes.size() == 3 ? framed(each.bytes) : each.bytes;
  EXPECT_EQ(bytes, garbage);
}

TEST_F(DirectoryImportTest, DamageTooLargeForQuarantineIsRenamedAndNothingOfItIsLost) {
  options.folder_bytes_max = 1 << 20;
  options.quarantine_bytes_max = 128 << 10;
  const std::string bytes =
      file_of({"one"}) + reference::varint(5'000'000) + std::string(100'000, 'x');
  const std::string path = put(kOldMs, bytes);
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one"}));
  ASSERT_TRUE(std::filesystem::exists(path + ".corrupt"));
  EXPECT_EQ(std::filesystem::file_size(path + ".corrupt"), bytes.size());
  EXPECT_EQ(left().size(), 1U);
  EXPECT_TRUE(quarantined().empty());
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), Names{}) << "it is not taken again";
}

TEST_F(DirectoryImportTest, RequestWithoutItemsIsNothing) {
  put(kOldMs, framed(reference::nest(1, "")) + std::string(3, '\0') + file_of({"one"}));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"one"}));
  EXPECT_TRUE(quarantined().empty());
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
  EXPECT_EQ(directories.at(0)->error(), "cannot be written: Permission denied");
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
  EXPECT_EQ(directories.at(0)->error(), closed + ": it cannot be opened: Permission denied");

  std::filesystem::permissions(closed, std::filesystem::perms(0644));
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(delivered(), requests({"closed"}));
}

TEST_F(DirectoryImportTest, DirectoryThatIsNotThereYetIsNoError) {
  config.directories[0] = {folder("later")};
  EXPECT_EQ(take_all(), -1);
  EXPECT_EQ(directories.at(0)->error(), "");
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

// ---- the thread ----

class DirectoryImportThreadTest : public DirectoryImportTest {
 protected:
  DirectoryImportThreadTest() {
    config.age_min = milliseconds(0);
    import_clock = &system_clock();
  }

  /// As the library does it since 1.59: whole before it has its name.
  void move_in(const std::string& bytes, const std::string& into) {
    const std::string path = folder(into) + "/" + std::to_string(++last_ms_);
    std::ofstream(path + ".tmp", std::ios::binary) << bytes;
    std::filesystem::rename(path + ".tmp", path);
  }

  /// True when the log has something within half a minute.
  bool wait_stored() {
    return log->reader("up").wait_readable(
        {}, std::chrono::steady_clock::now() + std::chrono::seconds(30));
  }

 private:
  std::int64_t last_ms_ = 1'700'000'000'000;
};

TEST_F(DirectoryImportThreadTest, FileThatIsMovedInIsTaken) {
  open_import();
  import->start();
  for (const char* name : {"first", "second"}) {
    move_in(file_of({name}), "spans");
    ASSERT_TRUE(wait_stored()) << name;
    EXPECT_EQ(delivered(), requests({name}));
  }
}

TEST_F(DirectoryImportThreadTest, DirectoryThatAppearsIsWatchedFromThenOn) {
  config.directories[0] = {folder("a/b/spans")};
  open_import();
  import->start();
  for (const char* name : {"first", "second", "third"}) {
    // Gone and back again, once: another directory by the same name.
    if (name == std::string("second")) std::filesystem::remove_all(folder("a"));
    std::filesystem::create_directories(folder("a/b/spans"));
    move_in(file_of({name}), "a/b/spans");
    ASSERT_TRUE(wait_stored()) << name;
    EXPECT_EQ(delivered(), requests({name}));
  }
}

TEST_F(DirectoryImportThreadTest, YoungFileIsTakenByTheClockAlone) {
  config.age_min = milliseconds(300);
  const std::int64_t now_ms = system_clock().unix_ns() / kNsPerMs;
  std::ofstream(folder() + "/" + std::to_string(now_ms)) << file_of({"young"});
  open_import();
  import->start();
  ASSERT_TRUE(wait_stored());
  EXPECT_GE(system_clock().unix_ns() / kNsPerMs - now_ms, 300);
  EXPECT_EQ(delivered(), requests({"young"}));
}

TEST_F(DirectoryImportThreadTest, StopWaitsForNoTimer) {
  config.age_min = milliseconds(3'600'000);
  put(0, file_of({"young for an hour"}));
  open_import();
  import->start();
  const auto before = std::chrono::steady_clock::now();
  import->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

}  // namespace
}  // namespace holdfast
