// The real file system. EINTR, short reads and short writes end here.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <system_error>

#include "buffer/filesystem.h"

namespace holdfast {
namespace {

Error system_error(int code, std::string_view what, const std::string& path) {
  return Error{code, std::string(what) + " " + path + ": " + std::generic_category().message(code)};
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<std::size_t> pread(void* to, std::size_t length, std::uint64_t offset) override {
    std::size_t done = 0;
    while (done < length) {
      const ssize_t got = ::pread(descriptor_, static_cast<char*>(to) + done, length - done,
                                  static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got < 0) {
        if (errno == EINTR) continue;
        return system_error(errno, "read", path_);
      }
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status pwritev(std::span<const iovec> parts, std::uint64_t offset) override {
    std::array<iovec, 256> window{};
    std::size_t next = 0;     // first part that is not in the window
    std::size_t skipped = 0;  // bytes of parts[next] that are written already
    while (next < parts.size()) {
      const std::size_t count = std::min(window.size(), parts.size() - next);
      std::copy_n(parts.begin() + static_cast<std::ptrdiff_t>(next), count, window.begin());
      window[0].iov_base = static_cast<char*>(window[0].iov_base) + skipped;
      window[0].iov_len -= skipped;
      const ssize_t wrote = ::pwritev(descriptor_, window.data(), static_cast<int>(count),
                                      static_cast<off_t>(offset));
      if (wrote < 0) {
        if (errno == EINTR) continue;
        return system_error(errno, "write", path_);
      }
      offset += static_cast<std::uint64_t>(wrote);
      auto left = static_cast<std::size_t>(wrote) + skipped;
      while (next < parts.size() && left >= parts[next].iov_len) left -= parts[next++].iov_len;
      skipped = left;
      if (wrote == 0 && next < parts.size()) return system_error(EIO, "write", path_);
    }
    return {};
  }

  Status fdatasync() override {
    // Never tried again, not even on EINTR: after a failure the kernel may have dropped the dirty
    // pages.
    if (::fdatasync(descriptor_) != 0) return system_error(errno, "fdatasync", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0) return system_error(errno, "stat", path_);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<std::uint64_t> allocated() override {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0) return system_error(errno, "stat", path_);
    return static_cast<std::uint64_t>(info.st_blocks) * 512;
  }

 private:
  const int descriptor_;
  const std::string path_;
};

int open_retrying(const std::string& path, int flags, mode_t permissions) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, permissions);
  } while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, Mode mode) override {
    int flags = O_RDONLY;
    if (mode == Mode::create_new) flags = O_RDWR | O_CREAT | O_EXCL;
    if (mode == Mode::read_write) flags = O_RDWR;
    const int descriptor = open_retrying(path, flags, 0640);
    if (descriptor < 0) return system_error(errno, "open", path);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return system_error(errno, "rename", from);
    return {};
  }

  Status unlink(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return system_error(errno, "unlink", path);
    return {};
  }

  Status make_directories(const std::string& path, unsigned permissions) override {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      const std::string part = path.substr(0, end);
      const bool made = ::mkdir(part.c_str(), permissions) == 0;
      if (!made && errno != EEXIST) {
        const int code = errno;
        struct stat info {};  // a parent that exists may still refuse mkdir with EROFS or EACCES
        if (::stat(part.c_str(), &info) != 0) return system_error(code, "make directory", part);
      }
      if (made || end == std::string::npos) {
        if (Status synced = sync_parent(part); !synced) return synced;
      }
      if (end == std::string::npos) break;
    }
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return system_error(errno, "stat", path);
    if (!S_ISDIR(info.st_mode)) return system_error(ENOTDIR, "make directory", path);
    return {};
  }

  Status sync_directory(const std::string& path) override {
    const int descriptor = open_retrying(path, O_RDONLY | O_DIRECTORY, 0);
    if (descriptor < 0) return system_error(errno, "open", path);
    const int code = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (code != 0) return system_error(code, "fsync", path);
    return {};
  }

  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return system_error(errno, "list", path);
    std::vector<DirectoryEntry> entries;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") {
        entries.push_back({std::string(name), is_regular(path, *entry)});
      }
      errno = 0;
    }
    const int code = errno;
    ::closedir(directory);
    if (code != 0) return system_error(code, "list", path);
    return entries;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0) return system_error(errno, "statvfs", path);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }

  std::uint64_t block_bytes(const std::string& path) override {
    // Network file systems name the size of a transfer here: no estimate is worth a MiB.
    constexpr std::uint64_t kBlockBytesMax = 64U << 10;
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0 || info.f_frsize == 0) return kDiskBlockBytes;
    return std::min<std::uint64_t>(std::bit_ceil(info.f_frsize), kBlockBytesMax);
  }

  Result<std::unique_ptr<File>> lock(const std::string& path) override {
    const int descriptor = open_retrying(path, O_RDWR | O_CREAT, 0640);
    if (descriptor < 0) return system_error(errno, "open", path);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      ::close(descriptor);
      return system_error(code, "lock", path);
    }
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
  }

 private:
  /// A parent that may be passed through but not read cannot be synced: whoever made it has.
  Status sync_parent(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    std::string parent = slash == std::string::npos ? "." : path.substr(0, slash);
    if (parent.empty()) parent = "/";
    Status synced = sync_directory(parent);
    return !synced && synced.error().code == EACCES ? Status() : synced;
  }

  static bool is_regular(const std::string& path, const dirent& entry) {
    if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_REG;
    struct stat info {};
    return ::lstat((path + "/" + entry.d_name).c_str(), &info) == 0 && S_ISREG(info.st_mode);
  }
};

}  // namespace

FileSystem& posix_filesystem() {
  static PosixFileSystem filesystem;
  return filesystem;
}

}  // namespace holdfast
