// A file system over a simulated disk: it fails on order, and stops dead after any operation.
//
// Deterministic: the same calls and the same seed give the same outcomes. Thread-safe, apart from
// disk().
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "buffer/filesystem.h"
#include "tests/support/simulated_disk.h"

namespace holdfast {

class SimulatedFileSystem final : public FileSystem {
 public:
  enum class Operation : std::uint8_t {
    open,  // without making a file
    create,
    pread,
    pwritev,
    fdatasync,
    rename,
    unlink,
    make_directory,
    sync_directory,
    list,
    free_bytes,
    stat,  // size() and allocated()
    lock,
  };
  static constexpr std::size_t kOperations = 13;

  /// An order to fail. After `after` calls that would have met it the next `times` do, each with
  /// `probability`. A write that fails leaves a part behind, a sync any part (SimulatedDisk).
  struct Fault {
    Operation operation = Operation::pwritev;
    int code = 0;
    std::uint64_t after = 0;
    std::uint64_t times = 1;
    double probability = 1;
  };

  explicit SimulatedFileSystem(SimulatedDisk disk = SimulatedDisk()) : disk_(std::move(disk)) {}
  /// The same disk in the same state; no handle may be open.
  SimulatedFileSystem(const SimulatedFileSystem& other)
      : disk_(other.disk_), unlinked_(other.unlinked_), failed_unlinks_(other.failed_unlinks_) {}

  void fail(const Fault& fault);
  void heal() { faults_.clear(); }
  /// Calls that failed on order or for want of room.
  std::uint64_t failures() const { return failures_; }
  std::uint64_t failures(Operation operation) const {
    return failures_of_.at(static_cast<std::size_t>(operation));
  }
  /// Calls of this kind, failed ones included.
  std::uint64_t calls(Operation operation) const {
    return calls_of_.at(static_cast<std::size_t>(operation));
  }
  /// Paths whose unlink was asked for, whatever became of it.
  const std::set<std::string>& unlinked() const { return unlinked_; }
  /// Those that failed, in order; of renames the old name.
  const std::vector<std::string>& failed_unlinks() const { return failed_unlinks_; }
  const std::vector<std::string>& failed_renames() const { return failed_renames_; }
  int last_failure() const { return last_failure_; }  // errno

  /// Operations so far that change the disk: the points at which a crash makes a difference.
  std::uint64_t changes() const { return changes_; }
  /// After so many more changes the machine stands still: nothing more happens, every call fails.
  void stop_after(std::uint64_t changes) { stop_at_ = changes_ + changes; }
  void stop_now() { stopped_ = true; }
  bool stopped() const { return stopped_; }

  /// The process ends; what is in the cache stays. No handle may be used any more.
  void kill();
  /// The machine ends. No handle may be used any more.
  void lose_power(const CrashPolicy& policy);
  /// Uses of handles from before a kill() or lose_power(): errors of the test.
  std::uint64_t misuses() const { return misuses_; }

  SimulatedDisk& disk() { return disk_; }
  const SimulatedDisk& disk() const { return disk_; }

  Result<std::unique_ptr<File>> open(const std::string& path, Mode mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status unlink(const std::string& path) override;
  Status make_directories(const std::string& path, unsigned permissions) override;
  Status sync_directory(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Result<std::unique_ptr<File>> lock(const std::string& path) override;

 private:
  class OpenFile;

  /// Counts the call and says whether it fails: errno, or 0.
  int enter(Operation operation);
  void changed();
  int fail_with(Operation operation, int code);
  int order(Operation operation);
  std::unique_ptr<File> handle(SimulatedDisk::Inode inode, const std::string& path, bool locks);
  int make_one_directory(const std::string& path);
  int sync_one_directory(const std::string& path);
  void restart();

  mutable std::mutex mutex_;
  SimulatedDisk disk_;
  std::vector<Fault> faults_;
  std::uint64_t failures_ = 0;
  std::array<std::uint64_t, kOperations> failures_of_{};
  std::array<std::uint64_t, kOperations> calls_of_{};
  std::set<std::string> unlinked_;
  std::vector<std::string> failed_unlinks_;
  std::vector<std::string> failed_renames_;
  int last_failure_ = 0;
  std::set<SimulatedDisk::Inode> locked_;
  std::uint64_t changes_ = 0;
  std::uint64_t stop_at_ = UINT64_MAX;
  bool stopped_ = false;
  std::uint64_t life_ = 1;
  std::uint64_t misuses_ = 0;
};

}  // namespace holdfast
