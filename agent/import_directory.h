// One directory that disk-buffering writes: which of its files are old enough to be taken, and
// when the others will be.
//
// Read by the import's thread alone. Follows no symbolic link inside the directory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/stats.h"
#include "buffer/clock.h"
#include "proto/signal.h"

namespace holdfast {

/// Tells whether a file is still the one that was read, as it was read.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  // Unix
  std::int64_t changed_ns = 0;   // Unix: its permissions as well

  bool same_file(const FileIdentity& other) const {
    return device == other.device && inode == other.inode;
  }
  bool same_content(const FileIdentity& other) const {
    return same_file(other) && bytes == other.bytes && modified_ns == other.modified_ns;
  }
  bool operator==(const FileIdentity&) const = default;
};

/// Of an open file; nothing if it is no regular one.
std::optional<FileIdentity> identity_of(int descriptor);
/// Of a name, symbolic links not followed; nothing if it is no regular file.
std::optional<FileIdentity> identity_of(const std::string& path);

struct ImportFile {
  std::string path;
  std::uint64_t created_ms = 0;  // Unix, from its name
  FileIdentity identity;         // when it was looked at
  ImportDirectoryStats* stats = nullptr;
};

class ImportDirectory {
 public:
  /// `stats` must outlive it and names the directory.
  ImportDirectory(ImportDirectoryStats& stats, const Clock& clock) : stats_(stats), clock_(clock) {}

  const std::string& path() const { return stats_.directory; }
  Signal signal() const { return stats_.signal; }

  struct Look {
    std::vector<ImportFile> ready;
    std::int64_t due_ns = INT64_MAX;  // steady: when the next file will be old enough
  };
  /// Lists the files that are `age_min_ns` old. A directory that is not there has none.
  Look look(std::int64_t age_min_ns);

  /// This one could not be read or deleted: it is not given again until it changes.
  void set_aside(const ImportFile& file) { set_aside_[file.path] = file.identity; }

 private:
  /// A file whose dates lie in the future is watched until it keeps still.
  struct Still {
    FileIdentity identity;
    std::int64_t since_ns = 0;  // steady
  };
  bool may_delete();
  std::int64_t old_enough_at(const ImportFile& file, std::int64_t age_min_ns);

  ImportDirectoryStats& stats_;
  const Clock& clock_;
  std::map<std::string, Still> still_;
  std::map<std::string, Still> still_next_;  // of the look under way
  std::map<std::string, FileIdentity> set_aside_;
};

}  // namespace holdfast
