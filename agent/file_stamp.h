// Tells a file from the one that stood in its place before.
//
// A stat() where the file is used, instead of a watch: it sees atomic replaces, switched symbolic
// links and files that come later, on every file system, and needs neither thread nor timer.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace holdfast {

struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = -1;  // -1: there is none
  std::int64_t modified_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

inline FileStamp stamp_of(const std::string& path) {
  struct stat found {};
  if (path.empty() || stat(path.c_str(), &found) != 0) return {};
  return {found.st_dev, found.st_ino, found.st_size,
          found.st_mtim.tv_sec * 1'000'000'000LL + found.st_mtim.tv_nsec};
}

}  // namespace holdfast
