// The simulated disk loses what is not synced, and nothing else.
#include "tests/support/simulated_filesystem.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

namespace holdfast {
namespace {

using Mode = FileSystem::Mode;
using Operation = SimulatedFileSystem::Operation;

constexpr CrashPolicy kLoseAll{};
constexpr CrashPolicy kAnySectors{CrashPolicy::Names::kept, CrashPolicy::Data::sectors,
                                  CrashPolicy::Fill::garbage};

class SimulatedFileSystemTest : public ::testing::Test {
 protected:
  SimulatedFileSystemTest() { EXPECT_TRUE(fs.make_directories("/d", 0750).ok()); }

  std::unique_ptr<File> make(const std::string& path) {
    auto file = fs.open(path, Mode::create_new);
    EXPECT_TRUE(file.ok());
    return std::move(*file);
  }
  static Status write(File& file, std::string bytes, std::uint64_t offset = 0) {
    const iovec part{bytes.data(), bytes.size()};
    return file.pwritev({&part, 1}, offset);
  }
  std::string read(const std::string& path) {
    auto file = fs.open(path, Mode::read);
    if (!file) return "errno " + std::to_string(file.error().code);
    std::string bytes(100'000, '\0');
    const auto got = (*file)->pread(bytes.data(), bytes.size(), 0);
    bytes.resize(got ? *got : 0);
    return bytes;
  }

  SimulatedFileSystem fs;
};

TEST_F(SimulatedFileSystemTest, APowerLossTakesBytesThatWereNotSynced) {
  auto file = make("/d/f");
  ASSERT_TRUE(write(*file, "synced").ok());
  ASSERT_TRUE(file->fdatasync().ok());
  ASSERT_TRUE(fs.sync_directory("/d").ok());
  ASSERT_TRUE(write(*file, "SYNCED and more").ok());
  EXPECT_EQ(read("/d/f"), "SYNCED and more");
  fs.lose_power(kLoseAll);
  EXPECT_EQ(read("/d/f"), "synced");
}

TEST_F(SimulatedFileSystemTest, AKillTakesNothing) {
  ASSERT_TRUE(write(*make("/d/f"), "in the cache").ok());
  fs.kill();
  EXPECT_EQ(read("/d/f"), "in the cache");
  fs.lose_power(kLoseAll);
  EXPECT_EQ(read("/d/f"), "errno " + std::to_string(ENOENT));
}

TEST_F(SimulatedFileSystemTest, APowerLossTakesNamesWhoseDirectoryWasNotSynced) {
  auto file = make("/d/old");
  ASSERT_TRUE(write(*file, "x").ok());
  ASSERT_TRUE(file->fdatasync().ok());
  ASSERT_TRUE(fs.sync_directory("/d").ok());
  ASSERT_TRUE(fs.rename("/d/old", "/d/new").ok());
  make("/d/another");
  fs.lose_power(kLoseAll);
  EXPECT_EQ(read("/d/old"), "x");
  EXPECT_EQ(fs.list("/d")->size(), 1U);
}

TEST_F(SimulatedFileSystemTest, WhatWasNotSyncedIsTornAtSectorsOnly) {
  int torn = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SimulatedFileSystem disk{SimulatedDisk(seed)};
    ASSERT_TRUE(disk.make_directories("/d", 0750).ok());
    auto file = disk.open("/d/f", Mode::create_new);
    ASSERT_TRUE(write(**file, std::string(2'048, 'a')).ok());
    ASSERT_TRUE((*file)->fdatasync().ok());
    ASSERT_TRUE(write(**file, std::string(2'048, 'b')).ok());
    disk.lose_power(kAnySectors);
    SimulatedDisk::Inode inode = 0;
    ASSERT_EQ(disk.disk().find("/d/f", inode), 0);
    const std::string& content = disk.disk().content(inode);
    ASSERT_EQ(content.size(), 2'048U);
    for (std::size_t at = 0; at < content.size(); at += 512) {
      const std::string sector = content.substr(at, 512);
      ASSERT_TRUE(sector == std::string(512, 'a') || sector == std::string(512, 'b'));
    }
    if (content.find('a') != std::string::npos && content.find('b') != std::string::npos) ++torn;
  }
  EXPECT_GT(torn, 10);
}

TEST_F(SimulatedFileSystemTest, ASyncThatFailedIsNotMadeGoodByTheNext) {
  auto file = make("/d/f");
  ASSERT_TRUE(fs.sync_directory("/d").ok());
  const std::string bytes(64 << 10, 'x');
  ASSERT_TRUE(write(*file, bytes).ok());
  fs.fail({Operation::fdatasync, EIO});
  EXPECT_EQ(file->fdatasync().error().code, EIO);
  EXPECT_TRUE(file->fdatasync().ok());
  fs.lose_power(kLoseAll);
  EXPECT_NE(read("/d/f"), bytes);
}

TEST_F(SimulatedFileSystemTest, AFullDiskTakesAPartAndHealsWithAnUnlink) {
  fs.disk().set_capacity(3 * kDiskBlockBytes);
  ASSERT_TRUE(write(*make("/d/first"), std::string(8'192, 'x')).ok());
  auto second = make("/d/second");
  EXPECT_EQ(write(*second, std::string(8'192, 'y')).error().code, ENOSPC);
  EXPECT_EQ(*second->size(), 4'096U);
  EXPECT_EQ(*fs.free_bytes("/d"), 0U);
  ASSERT_TRUE(fs.unlink("/d/first").ok());
  EXPECT_TRUE(write(*second, std::string(8'192, 'y')).ok());
}

TEST_F(SimulatedFileSystemTest, AnOpenFileKeepsItsRoomUntilItIsClosed) {
  auto file = make("/d/f");
  ASSERT_TRUE(write(*file, std::string(4'096, 'x')).ok());
  ASSERT_TRUE(fs.unlink("/d/f").ok());
  EXPECT_EQ(fs.disk().used_bytes(), 4'096U);
  file.reset();
  EXPECT_EQ(fs.disk().used_bytes(), 0U);
}

TEST_F(SimulatedFileSystemTest, AfterAStopNothingHappensAndOldHandlesAreMisused) {
  auto file = make("/d/f");
  fs.stop_after(1);
  ASSERT_TRUE(write(*file, "last").ok());
  EXPECT_TRUE(fs.stopped());
  EXPECT_FALSE(write(*file, "late").ok());
  EXPECT_FALSE(fs.unlink("/d/f").ok());
  fs.kill();
  EXPECT_EQ(read("/d/f"), "last");
  EXPECT_EQ(fs.misuses(), 0U);
  EXPECT_FALSE(write(*file, "late").ok());
  EXPECT_EQ(fs.misuses(), 1U);
}

TEST_F(SimulatedFileSystemTest, ASecondLockIsRefusedAndABadSectorCannotBeRead) {
  auto lock = fs.lock("/d/LOCK");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(fs.lock("/d/LOCK").error().code, EWOULDBLOCK);
  lock->reset();
  EXPECT_TRUE(fs.lock("/d/LOCK").ok());
  auto file = make("/d/f");
  ASSERT_TRUE(write(*file, std::string(2'048, 'x')).ok());
  fs.disk().damage_sector("/d/f", 2);
  char byte = 0;
  EXPECT_TRUE(file->pread(&byte, 1, 1'023).ok());
  EXPECT_EQ(file->pread(&byte, 1, 1'024).error().code, EIO);
}

}  // namespace
}  // namespace holdfast
