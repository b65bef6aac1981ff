// What a watch tells, and what it sleeps through.
#include "agent/directory_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "buffer/clock.h"
#include "tests/support/temp_directory.h"

namespace holdfast {
namespace {

using Woken = DirectoryWatch::Woken;
constexpr std::int64_t kNow = 0;
constexpr std::int64_t kLong = 30 * kNsPerSecond;

class DirectoryWatchTest : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return temp.path() + "/" + name; }
  void write(const std::string& name) const { std::ofstream(at(name)) << "x"; }

  TempDirectory temp;
  DirectoryWatch watch{is_all_digits};
};

TEST_F(DirectoryWatchTest, EachDirectoryOfAPathThatComesIsTold) {
  const std::vector<std::string> wanted{at("a/b/spans")};
  EXPECT_TRUE(watch.refresh(wanted));
  EXPECT_EQ(watch.wait(kNow), Woken::deadline);
  for (const char* next : {"a", "a/b", "a/b/spans"}) {
    std::filesystem::create_directory(at(next));
    EXPECT_EQ(watch.wait(kLong), Woken::changed) << next;
    EXPECT_TRUE(watch.refresh(wanted));
  }
  write("a/b/spans/17");
  EXPECT_EQ(watch.wait(kLong), Woken::changed);
}

TEST_F(DirectoryWatchTest, FilesWithOtherNamesWakeNobody) {
  EXPECT_TRUE(watch.refresh({temp.path()}));
  write("17.tmp");
  write("notes");
  std::filesystem::create_directory(at("folder"));
  EXPECT_EQ(watch.wait(kNow), Woken::deadline);
  std::filesystem::rename(at("17.tmp"), at("17"));
  EXPECT_EQ(watch.wait(kLong), Woken::changed);
  EXPECT_EQ(watch.wait(kNow), Woken::deadline) << "told once";
}

TEST_F(DirectoryWatchTest, NeighboursOfAnAwaitedDirectoryWakeNobody) {
  EXPECT_TRUE(watch.refresh({at("wanted/spans")}));
  std::filesystem::create_directory(at("other"));
  write("notes");
  EXPECT_EQ(watch.wait(kNow), Woken::deadline);
}

TEST_F(DirectoryWatchTest, ChangedPermissionsOfAFileAreTold) {
  write("17");
  EXPECT_TRUE(watch.refresh({temp.path()}));
  std::filesystem::permissions(at("17"), std::filesystem::perms(0600));
  EXPECT_EQ(watch.wait(kLong), Woken::changed);
}

TEST_F(DirectoryWatchTest, DirectoryThatGoesAndComesBackIsWatchedAgain) {
  const std::vector<std::string> wanted{at("spans")};
  std::filesystem::create_directory(at("spans"));
  EXPECT_TRUE(watch.refresh(wanted));
  std::filesystem::rename(at("spans"), at("moved"));
  EXPECT_EQ(watch.wait(kLong), Woken::changed);
  EXPECT_TRUE(watch.refresh(wanted));
  std::filesystem::create_directory(at("spans"));
  EXPECT_EQ(watch.wait(kLong), Woken::changed);
  EXPECT_TRUE(watch.refresh(wanted));
  write("moved/17");
  EXPECT_EQ(watch.wait(kNow), Woken::deadline) << "the moved one is no longer ours";
  write("spans/17");
  EXPECT_EQ(watch.wait(kLong), Woken::changed);
}

TEST_F(DirectoryWatchTest, WakeEndsAWaitWithoutADeadline) {
  EXPECT_TRUE(watch.refresh({temp.path()}));
  std::jthread waker([this] { watch.wake(); });
  EXPECT_EQ(watch.wait(-1), Woken::called);
}

TEST_F(DirectoryWatchTest, WaitEndsAtItsDeadlineAndNotBefore) {
  const std::int64_t before = system_clock().steady_ns();
  EXPECT_EQ(watch.wait(50 * kNsPerMs), Woken::deadline);
  EXPECT_GE(system_clock().steady_ns() - before, 50 * kNsPerMs);
}

}  // namespace
}  // namespace holdfast
