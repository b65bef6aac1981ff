// A disk in memory that knows what has reached it and what is only in the cache; a policy and a
// seed say what a loss of power makes of the difference.
//
// Sources: POSIX fsync and rename; what ext4, XFS and btrfs do without their usual kindness (no
// sync of one thing makes another durable). A rename is atomic. A value: a copy is another disk in
// the same state. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/filesystem.h"

namespace holdfast {

/// What a loss of power makes of what was not synced.
struct CrashPolicy {
  /// Of names made, removed and renamed: none, all, the first few, or any that leave each name's
  /// own history in order.
  enum class Names : std::uint8_t { lost, kept, prefix, subset } names = Names::lost;
  /// Of bytes: none, all, the first few up to a sector's end, or any sectors.
  enum class Data : std::uint8_t { lost, kept, torn, sectors } data = Data::lost;
  /// What stands in sectors that the file's size covers and no write has reached.
  enum class Fill : std::uint8_t { zeros, garbage, stale } fill = Fill::zeros;

  static CrashPolicy random(std::mt19937_64& random);
};

class SimulatedDisk {
 public:
  using Inode = std::uint64_t;
  static constexpr Inode kDirectory = 0;
  static constexpr std::uint64_t kSectorBytes = 512;
  static constexpr std::uint64_t kUnlimited = UINT64_MAX;

  explicit SimulatedDisk(std::uint64_t seed = 1) : random_(seed) {}

  // Names, by absolute path. They return errno, 0 when done.
  int find(const std::string& path, Inode& inode) const;
  int create(const std::string& path, Inode& inode);
  int make_directory(const std::string& path);
  int rename(const std::string& from, const std::string& to);
  int unlink(const std::string& path);
  int sync_directory(const std::string& path);
  std::vector<DirectoryEntry> list(const std::string& path) const;

  // Files. `opened` and `closed` count handles: a file lives as long as a name or a handle.
  void opened(Inode inode) { ++files_.at(inode).handles; }
  void closed(Inode inode);
  /// Writes what there is room for; false: there was not room for all.
  bool write(Inode inode, std::string_view bytes, std::uint64_t offset);
  void sync(Inode inode);
  /// What a failed sync leaves: any sectors have reached the disk, the rest never will, and reads
  /// may or may not still see them.
  void fail_sync(Inode inode);
  /// As reads see it.
  const std::string& content(Inode inode) const { return files_.at(inode).current; }
  std::uint64_t allocated(Inode inode) const;
  bool has_bad_sector(Inode inode, std::uint64_t offset, std::uint64_t length) const;

  // What a test does to it.
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }
  std::uint64_t free_bytes() const;
  std::uint64_t used_bytes() const;
  /// Reads of this sector fail until heal_sectors().
  void damage_sector(const std::string& path, std::uint64_t sector);
  void heal_sectors();
  /// The process ends, the machine goes on: the cache stays.
  void kill();
  /// The machine ends as well.
  void lose_power(const CrashPolicy& policy);

  std::mt19937_64& random() { return random_; }

 private:
  struct Write {
    std::uint64_t offset = 0;
    std::string bytes;
  };
  struct File {
    std::string current;
    std::string durable;
    std::vector<Write> unsynced;
    std::set<std::uint64_t> bad_sectors;
    std::set<std::uint64_t> blocks;
    int handles = 0;
  };
  struct NameChange {
    std::string from;  // loses the inode, unless empty
    std::string to;    // gets it, unless empty
    Inode inode = kDirectory;
    bool touches(const std::string& name) const { return from == name || to == name; }
    bool touches(const NameChange& other) const {
      return (!other.from.empty() && touches(other.from)) ||
             (!other.to.empty() && touches(other.to));
    }
  };
  using Names = std::map<std::string, Inode>;

  bool coin() { return (random_() & 1) != 0; }
  int parent_error(const std::string& path) const;
  void change(NameChange change);
  static void apply(const NameChange& change, Names& names);
  void lose_names(CrashPolicy::Names policy);
  static void put(std::string& content, std::uint64_t offset, std::string_view bytes);
  void settle(File& file, const CrashPolicy& policy);
  void keep_some(File& file, CrashPolicy::Data policy, std::vector<bool>& reached);
  void fill(std::string& content, std::uint64_t from, std::uint64_t to, CrashPolicy::Fill policy);
  void drop_unnamed();

  std::mt19937_64 random_;
  std::uint64_t capacity_ = kUnlimited;
  std::uint64_t used_blocks_ = 0;
  Inode next_inode_ = 1;
  Names names_{{"", kDirectory}};
  Names durable_names_{{"", kDirectory}};
  std::vector<NameChange> unsynced_names_;
  std::map<Inode, File> files_;
  std::deque<std::string> graveyard_;  // contents of files that are gone: what stale blocks hold
};

}  // namespace holdfast
