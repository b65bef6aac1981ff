// The seam between the buffer and the file system: everything that the buffer does to a disk goes
// through here.
//
// Errors carry errno. EINTR and short writes are dealt with inside. Thread-safe; a File is used by
// one writer at a time, pread from any thread.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "buffer/result.h"

namespace holdfast {

/// What most file systems give room in, for estimates of what a file will take.
inline constexpr std::uint64_t kDiskBlockBytes = 4096;
constexpr std::uint64_t rounded_to_blocks(std::uint64_t bytes,
                                          std::uint64_t block_bytes = kDiskBlockBytes) {
  return (bytes + block_bytes - 1) / block_bytes * block_bytes;
}

class File {
 public:
  virtual ~File() = default;
  /// Bytes read; fewer than asked only at the end of the file.
  virtual Result<std::size_t> pread(void* to, std::size_t length, std::uint64_t offset) = 0;
  /// Writes all or fails; after a failure any part may be there.
  virtual Status pwritev(std::span<const iovec> parts, std::uint64_t offset) = 0;
  virtual Status fdatasync() = 0;
  virtual Result<std::uint64_t> size() = 0;
  /// Bytes of disk that it takes (st_blocks * 512).
  virtual Result<std::uint64_t> allocated() = 0;
};

struct DirectoryEntry {
  std::string name;
  bool is_regular = false;
};

struct FileSystem {
  enum class Mode : std::uint8_t { read, create_new, read_write };  // create_new fails with EEXIST

  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, Mode mode) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status unlink(const std::string& path) = 0;
  /// Makes what is missing of the path. The last directory, and what was made above it, is synced
  /// into its parent: what is stored in it would vanish with its name.
  virtual Status make_directories(const std::string& path, unsigned permissions) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  /// Bytes that an unprivileged process can still write.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  /// What this file system gives room in.
  virtual std::uint64_t block_bytes(const std::string& path) {
    static_cast<void>(path);
    return kDiskBlockBytes;
  }
  /// flock on a file, held by the returned object's life. EWOULDBLOCK: another process has it.
  virtual Result<std::unique_ptr<File>> lock(const std::string& path) = 0;
};

/// The real one. Lives as long as the process.
FileSystem& posix_filesystem();

}  // namespace holdfast
