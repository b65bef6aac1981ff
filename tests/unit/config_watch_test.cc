// Files that are replaced, written in place, or switched behind a link.
#include "agent/config_watch.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>

#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Directories = std::set<std::string>;

class ConfigWatchTest : public testing::Test {
 protected:
  static void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

  void watch(const fs::path& file) {
    watch_ = std::make_unique<ConfigWatch>(std::vector<std::string>{file}, [this] {
      std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    });
  }

  bool wait_for_changes(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return changes_ >= count; });
  }

  TempDirectory place_;
  // Of a Mac's or a distribution's links to the temporary directory nothing shall be seen.
  const fs::path root_ = fs::canonical(place_.path());
  std::mutex mutex_;
  std::condition_variable changed_;
  int changes_ = 0;
  std::unique_ptr<ConfigWatch> watch_;
};

TEST_F(ConfigWatchTest, AReplacedFileIsTold) {
  write(root_ / "a.yaml", "1");
  watch(root_ / "a.yaml");
  write(root_ / "b", "22");
  fs::rename(root_ / "b", root_ / "a.yaml");
  EXPECT_TRUE(wait_for_changes(1));
}

TEST_F(ConfigWatchTest, AFileWrittenInPlaceIsToldEachTime) {
  write(root_ / "a.yaml", "1");
  watch(root_ / "a.yaml");
  write(root_ / "a.yaml", "22");
  EXPECT_TRUE(wait_for_changes(1));
  write(root_ / "a.yaml", "333");
  EXPECT_TRUE(wait_for_changes(2));
}

TEST_F(ConfigWatchTest, ASwitchedLinkIsTold) {
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(root_ / version);
    write(root_ / version / "a.yaml", version);
  }
  fs::create_symlink("v1", root_ / "..data");
  fs::create_symlink("..data/a.yaml", root_ / "a.yaml");
  watch(root_ / "a.yaml");
  fs::create_symlink("v2", root_ / "tmp");
  fs::rename(root_ / "tmp", root_ / "..data");
  EXPECT_TRUE(wait_for_changes(1));
}

TEST_F(ConfigWatchTest, AFileThatIsNamedLaterIsWatchedFromThenOn) {
  write(root_ / "a.yaml", "1");
  fs::create_directory(root_ / "secrets");
  write(root_ / "secrets/token", "1");
  watch(root_ / "a.yaml");
  write(root_ / "a.yaml", "22");
  ASSERT_TRUE(wait_for_changes(1));
  watch_->watch({root_ / "a.yaml", root_ / "secrets/token"});
  write(root_ / "a.yaml", "333");
  ASSERT_TRUE(wait_for_changes(2));  // by now the second one is known
  write(root_ / "secrets/token", "22");
  EXPECT_TRUE(wait_for_changes(3));
}

TEST_F(ConfigWatchTest, ItEndsWhileNothingHappens) {
  watch(root_ / "missing/a.yaml");
  watch_.reset();
  EXPECT_EQ(changes_, 0);
}

TEST_F(ConfigWatchTest, DirectoriesAreThoseOfEachLinkAndOfTheFile) {
  fs::create_directories(root_ / "real/inner");
  write(root_ / "real/inner/file", "x");
  fs::create_directory(root_ / "etc");
  fs::create_directory_symlink("../real", root_ / "etc/link");
  fs::create_symlink(root_ / "etc/link/inner/file", root_ / "a.yaml");
  EXPECT_EQ(directories_of(root_ / "real/inner/file"), (Directories{root_ / "real/inner"}));
  EXPECT_EQ(directories_of(root_ / "a.yaml"),
            (Directories{root_, root_ / "etc", root_ / "real/inner"}));
  EXPECT_EQ(directories_of(root_ / "missing/file"), (Directories{root_ / "missing"}));
}

TEST_F(ConfigWatchTest, LinksThatGoRoundHaveAnEnd) {
  fs::create_symlink("b", root_ / "a");
  fs::create_symlink("a", root_ / "b");
  EXPECT_EQ(directories_of(root_ / "a"), (Directories{root_}));
}

}  // namespace
}  // namespace holdfast
