// The import's thread: it wakes for what comes, sleeps otherwise, and ends when asked to.
#include "tests/support/import_fixture.h"

namespace holdfast {
namespace {

constexpr std::int64_t kOldMs = 40'000;

class DirectoryImportThreadTest : public ImportFixture {
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
