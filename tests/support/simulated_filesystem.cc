#include "tests/support/simulated_filesystem.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace holdfast {
namespace {

Error error_of(int code, std::string_view what, const std::string& path) {
  return Error{code, std::string(what) + " " + path + ": " + std::generic_category().message(code)};
}

std::string normal(const std::string& path) { return path == "/" ? std::string() : path; }

}  // namespace

class SimulatedFileSystem::OpenFile final : public File {
 public:
  OpenFile(SimulatedFileSystem& fs, SimulatedDisk::Inode inode, std::string path, bool locks)
      : fs_(fs), inode_(inode), path_(std::move(path)), locks_(locks), life_(fs.life_) {}
  ~OpenFile() override {
    std::lock_guard lock(fs_.mutex_);
    if (life_ != fs_.life_) return;
    if (locks_) fs_.locked_.erase(inode_);
    fs_.disk_.closed(inode_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  Result<std::size_t> pread(void* to, std::size_t length, std::uint64_t offset) override {
    std::lock_guard lock(fs_.mutex_);
    if (const int code = enter(Operation::pread); code != 0) return error_of(code, "read", path_);
    const std::string& content = fs_.disk_.content(inode_);
    if (offset >= content.size()) return std::size_t{0};
    if (fs_.disk_.has_bad_sector(inode_, offset, std::min(length, content.size() - offset))) {
      return error_of(fs_.fail_with(Operation::pread, EIO), "read", path_);
    }
    return content.copy(static_cast<char*>(to), length, offset);
  }

  Status pwritev(std::span<const iovec> parts, std::uint64_t offset) override {
    std::lock_guard lock(fs_.mutex_);
    std::string bytes;
    for (const iovec& part : parts) {
      bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
    }
    const int code = enter(Operation::pwritev);
    if (fs_.stopped_ || life_ != fs_.life_) return error_of(code, "write", path_);
    // A write that fails has left a part behind: a short one came first.
    if (code != 0) bytes.resize(fs_.disk_.random()() % (bytes.size() + 1));
    const bool room = fs_.disk_.write(inode_, bytes, offset);
    fs_.changed();
    if (code != 0) return error_of(code, "write", path_);
    if (!room) return error_of(fs_.fail_with(Operation::pwritev, ENOSPC), "write", path_);
    return {};
  }

  Status fdatasync() override {
    std::lock_guard lock(fs_.mutex_);
    const int code = enter(Operation::fdatasync);
    if (fs_.stopped_ || life_ != fs_.life_) return error_of(code, "fdatasync", path_);
    if (code != 0) {
      fs_.disk_.fail_sync(inode_);
    } else {
      fs_.disk_.sync(inode_);
    }
    fs_.changed();
    if (code != 0) return error_of(code, "fdatasync", path_);
    return {};
  }

  Result<std::uint64_t> size() override {
    std::lock_guard lock(fs_.mutex_);
    if (const int code = enter(Operation::stat); code != 0) return error_of(code, "stat", path_);
    return std::uint64_t{fs_.disk_.content(inode_).size()};
  }

  Result<std::uint64_t> allocated() override {
    std::lock_guard lock(fs_.mutex_);
    if (const int code = enter(Operation::stat); code != 0) return error_of(code, "stat", path_);
    return fs_.disk_.allocated(inode_);
  }

 private:
  int enter(Operation operation) {
    if (life_ == fs_.life_) return fs_.enter(operation);
    ++fs_.misuses_;
    return EBADF;
  }

  SimulatedFileSystem& fs_;
  const SimulatedDisk::Inode inode_;
  const std::string path_;
  const bool locks_;
  const std::uint64_t life_;
};

// ---- faults and stops -------------------------------------------------------------------------

void SimulatedFileSystem::fail(const Fault& fault) {
  std::lock_guard lock(mutex_);
  faults_.push_back(fault);
}

int SimulatedFileSystem::fail_with(Operation operation, int code) {
  ++failures_;
  last_failure_ = code;
  ++failures_of_.at(static_cast<std::size_t>(operation));
  return code;
}

int SimulatedFileSystem::order(Operation operation) {
  for (Fault& fault : faults_) {
    if (fault.operation != operation || fault.times == 0) continue;
    if (fault.after > 0) {
      --fault.after;
      continue;
    }
    if (fault.probability < 1 &&
        std::uniform_real_distribution<double>()(disk_.random()) >= fault.probability) {
      continue;
    }
    --fault.times;
    return fail_with(operation, fault.code);
  }
  return 0;
}

int SimulatedFileSystem::enter(Operation operation) {
  if (stopped_) return EIO;
  ++calls_of_.at(static_cast<std::size_t>(operation));
  return order(operation);
}

void SimulatedFileSystem::changed() {
  if (++changes_ >= stop_at_) stopped_ = true;
}

void SimulatedFileSystem::restart() {
  ++life_;
  stopped_ = false;
  stop_at_ = UINT64_MAX;
  locked_.clear();
}

void SimulatedFileSystem::kill() {
  std::lock_guard lock(mutex_);
  disk_.kill();
  restart();
}

void SimulatedFileSystem::lose_power(const CrashPolicy& policy) {
  std::lock_guard lock(mutex_);
  disk_.lose_power(policy);
  restart();
}

// ---- calls ------------------------------------------------------------------------------------

std::unique_ptr<File> SimulatedFileSystem::handle(SimulatedDisk::Inode inode,
                                                  const std::string& path, bool locks) {
  disk_.opened(inode);
  return std::make_unique<OpenFile>(*this, inode, path, locks);
}

Result<std::unique_ptr<File>> SimulatedFileSystem::open(const std::string& path, Mode mode) {
  std::lock_guard lock(mutex_);
  const bool makes = mode == Mode::create_new;
  int code = enter(makes ? Operation::create : Operation::open);
  SimulatedDisk::Inode inode = 0;
  if (code == 0) code = makes ? disk_.create(path, inode) : disk_.find(path, inode);
  if (code == 0 && inode == SimulatedDisk::kDirectory) code = EISDIR;
  if (code != 0) return error_of(code, "open", path);
  if (makes) changed();
  return handle(inode, path, false);
}

Status SimulatedFileSystem::rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  int code = enter(Operation::rename);
  if (code != 0) failed_renames_.push_back(from);
  if (code == 0) code = disk_.rename(from, to);
  if (code != 0) return error_of(code, "rename", from);
  changed();
  return {};
}

Status SimulatedFileSystem::unlink(const std::string& path) {
  std::lock_guard lock(mutex_);
  int code = enter(Operation::unlink);
  unlinked_.insert(path);
  if (code != 0) failed_unlinks_.push_back(path);
  if (code == 0) code = disk_.unlink(path);
  if (code != 0) return error_of(code, "unlink", path);
  changed();
  return {};
}

int SimulatedFileSystem::make_one_directory(const std::string& path) {
  SimulatedDisk::Inode inode = 0;
  if (disk_.find(path, inode) == 0) return inode == SimulatedDisk::kDirectory ? EEXIST : ENOTDIR;
  if (const int code = enter(Operation::make_directory); code != 0) return code;
  if (const int code = disk_.make_directory(path); code != 0) return code;
  changed();
  return 0;
}

Status SimulatedFileSystem::make_directories(const std::string& path, unsigned /*permissions*/) {
  std::lock_guard lock(mutex_);
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    int code = make_one_directory(part);
    if (code != 0 && code != EEXIST) return error_of(code, "make directory", part);
    if (code == 0 || end == std::string::npos) {
      code = sync_one_directory(part.substr(0, part.rfind('/')));
      if (code != 0) return error_of(code, "fsync", part);
    }
    if (end == std::string::npos) return {};
  }
}

int SimulatedFileSystem::sync_one_directory(const std::string& path) {
  if (const int code = enter(Operation::sync_directory); code != 0) return code;
  if (const int code = disk_.sync_directory(normal(path)); code != 0) return code;
  changed();
  return 0;
}

Status SimulatedFileSystem::sync_directory(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (const int code = sync_one_directory(path); code != 0) return error_of(code, "fsync", path);
  return {};
}

Result<std::vector<DirectoryEntry>> SimulatedFileSystem::list(const std::string& path) {
  std::lock_guard lock(mutex_);
  int code = enter(Operation::list);
  SimulatedDisk::Inode inode = 0;
  if (code == 0) code = disk_.find(normal(path), inode);
  if (code == 0 && inode != SimulatedDisk::kDirectory) code = ENOTDIR;
  if (code != 0) return error_of(code, "list", path);
  std::vector<DirectoryEntry> entries = disk_.list(normal(path));
  std::shuffle(entries.begin(), entries.end(), disk_.random());  // as readdir: in any order
  return entries;
}

Result<std::uint64_t> SimulatedFileSystem::free_bytes(const std::string& path) {
  std::lock_guard lock(mutex_);
  const int code = enter(Operation::free_bytes);
  if (code != 0) return error_of(code, "statvfs", path);
  return disk_.free_bytes();
}

Result<std::unique_ptr<File>> SimulatedFileSystem::lock(const std::string& path) {
  std::lock_guard lock(mutex_);
  int code = enter(Operation::lock);
  SimulatedDisk::Inode inode = 0;
  if (code == 0) code = disk_.find(path, inode);
  if (code == ENOENT) {
    code = disk_.create(path, inode);
    if (code == 0) changed();
  }
  if (code == 0 && !locked_.insert(inode).second) code = EWOULDBLOCK;
  if (code != 0) return error_of(code, "lock", path);
  return handle(inode, path, true);
}

}  // namespace holdfast
