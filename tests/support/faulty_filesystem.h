// The real file system with faults that a test orders: which operation fails, after how many, with
// which errno.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "buffer/filesystem.h"

namespace holdfast {

class FaultyFileSystem final : public FileSystem {
 public:
  enum class Operation : std::uint8_t {
    open,
    pread,
    pwritev,
    fdatasync,
    rename,
    unlink,
    sync_directory
  };
  static constexpr std::size_t kOperations = 7;

  /// After `passed` more operations of this kind the next `times` of them fail with `code`.
  void fail(Operation operation, int code, int times = 1, int passed = 0) {
    Fault& fault = faults_.at(static_cast<std::size_t>(operation));
    fault.code = code;
    fault.times = times;
    fault.passed = passed;
  }
  void heal() {
    for (Fault& fault : faults_) fault.times = 0;
  }
  /// What the disk says that it has left, instead of what it has.
  void say_free(std::uint64_t bytes) { free_bytes_ = bytes; }
  int count(Operation operation) const {
    return faults_.at(static_cast<std::size_t>(operation)).count;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, Mode mode) override {
    if (Status status = check(Operation::open); !status) return status.error();
    auto file = real_.open(path, mode);
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<FaultyFile>(*this, std::move(*file)));
  }
  Status rename(const std::string& from, const std::string& to) override {
    const Status status = check(Operation::rename);
    return status.ok() ? real_.rename(from, to) : status;
  }
  Status unlink(const std::string& path) override {
    const Status status = check(Operation::unlink);
    return status.ok() ? real_.unlink(path) : status;
  }
  Status make_directories(const std::string& path, unsigned permissions) override {
    return real_.make_directories(path, permissions);
  }
  Status sync_directory(const std::string& path) override {
    const Status status = check(Operation::sync_directory);
    return status.ok() ? real_.sync_directory(path) : status;
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    return real_.list(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    const std::uint64_t said = free_bytes_;
    return said != kNotSaid ? Result<std::uint64_t>(said) : real_.free_bytes(path);
  }
  Result<std::unique_ptr<File>> lock(const std::string& path) override { return real_.lock(path); }

 private:
  struct Fault {
    std::atomic<int> code{0};
    std::atomic<int> times{0};
    std::atomic<int> passed{0};
    std::atomic<int> count{0};
  };

  class FaultyFile final : public File {
   public:
    FaultyFile(FaultyFileSystem& fs, std::unique_ptr<File> real)
        : fs_(fs), real_(std::move(real)) {}
    Result<std::size_t> pread(void* to, std::size_t length, std::uint64_t offset) override {
      if (Status status = fs_.check(Operation::pread); !status) return status.error();
      return real_->pread(to, length, offset);
    }
    Status pwritev(std::span<const iovec> parts, std::uint64_t offset) override {
      const Status status = fs_.check(Operation::pwritev);
      if (status.ok()) return real_->pwritev(parts, offset);
      // Half of it is there, as after a real failure.
      static_cast<void>(real_->pwritev(parts.subspan(0, parts.size() / 2), offset));
      return status;
    }
    Status fdatasync() override {
      const Status status = fs_.check(Operation::fdatasync);
      return status.ok() ? real_->fdatasync() : status;
    }
    Result<std::uint64_t> size() override { return real_->size(); }
    Result<std::uint64_t> allocated() override { return real_->allocated(); }

   private:
    FaultyFileSystem& fs_;
    std::unique_ptr<File> real_;
  };

  Status check(Operation operation) {
    Fault& fault = faults_.at(static_cast<std::size_t>(operation));
    ++fault.count;
    if (fault.times <= 0 || fault.passed-- > 0) return {};
    --fault.times;
    return Error{fault.code, "ordered by the test"};
  }

  static constexpr std::uint64_t kNotSaid = ~std::uint64_t{0};

  FileSystem& real_ = posix_filesystem();
  std::atomic<std::uint64_t> free_bytes_{kNotSaid};
  std::array<Fault, kOperations> faults_;
};

}  // namespace holdfast
