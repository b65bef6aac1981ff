// A file system in memory, for tests that open thousands of directories: no syncs to wait for, and
// blocks that cannot be read where a test says so.
//
// Files only, by their whole path; a directory is there as soon as it is made. Not thread-safe.
#pragma once

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "buffer/filesystem.h"

namespace holdfast {

class MemoryFileSystem final : public FileSystem {
 public:
  struct Node {
    std::string bytes;
    std::set<std::uint64_t> bad_blocks;  // of 4096 bytes: reads that touch them give EIO
    int open_errno = 0;
  };

  /// By path. A copy of it is a copy of the disk.
  std::map<std::string, Node> disk() const {
    std::map<std::string, Node> copy;
    for (const auto& [path, node] : files_) copy[path] = *node;
    return copy;
  }
  void set_disk(const std::map<std::string, Node>& disk) {
    files_.clear();
    for (const auto& [path, node] : disk) files_[path] = std::make_shared<Node>(node);
  }
  Node& node(const std::string& path) {
    auto& node = files_[path];
    if (node == nullptr) node = std::make_shared<Node>();
    return *node;
  }
  bool exists(const std::string& path) const { return files_.count(path) != 0; }
  void fail_unlinks(int code) { unlink_errno_ = code; }

  std::vector<std::string> names_in(const std::string& directory) const {
    std::vector<std::string> names;
    const std::string prefix = directory + "/";
    for (auto at = files_.lower_bound(prefix); at != files_.end(); ++at) {
      if (!at->first.starts_with(prefix)) break;
      const std::string name = at->first.substr(prefix.size());
      if (name.find('/') == std::string::npos) names.push_back(name);
    }
    return names;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, Mode mode) override {
    const auto found = files_.find(path);
    if (mode == Mode::create_new) {
      if (found != files_.end()) return Error{EEXIST, path + " exists"};
      return std::unique_ptr<File>(
          std::make_unique<MemoryFile>(files_[path] = std::make_shared<Node>()));
    }
    if (found == files_.end()) return Error{ENOENT, path + " is not there"};
    if (found->second->open_errno != 0) return Error{found->second->open_errno, "open " + path};
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(found->second));
  }
  Status rename(const std::string& from, const std::string& to) override {
    const auto found = files_.find(from);
    if (found == files_.end()) return Error{ENOENT, from + " is not there"};
    files_[to] = found->second;
    files_.erase(from);
    return {};
  }
  Status unlink(const std::string& path) override {
    if (unlink_errno_ != 0) return Error{unlink_errno_, "unlink " + path};
    if (files_.erase(path) == 0) return Error{ENOENT, path + " is not there"};
    return {};
  }
  Status make_directories(const std::string& path, unsigned) override {
    directories_.insert(path);
    return {};
  }
  Status sync_directory(const std::string&) override { return {}; }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    std::vector<DirectoryEntry> entries;
    for (const std::string& name : names_in(path)) entries.push_back({name, true});
    if (entries.empty() && directories_.count(path) == 0) return Error{ENOENT, path};
    return entries;
  }
  Result<std::uint64_t> free_bytes(const std::string&) override { return std::uint64_t{1} << 40; }
  Result<std::unique_ptr<File>> lock(const std::string& path) override {
    return open(path, Mode::create_new);
  }

 private:
  class MemoryFile final : public File {
   public:
    explicit MemoryFile(std::shared_ptr<Node> node) : node_(std::move(node)) {}
    Result<std::size_t> pread(void* to, std::size_t length, std::uint64_t offset) override {
      const std::string& bytes = node_->bytes;
      if (offset >= bytes.size()) return std::size_t{0};
      const std::size_t count = std::min<std::size_t>(length, bytes.size() - offset);
      const auto bad = node_->bad_blocks.lower_bound(offset / kDiskBlockBytes);
      if (bad != node_->bad_blocks.end() && *bad * kDiskBlockBytes < offset + count) {
        return Error{EIO, "a bad block"};
      }
      bytes.copy(static_cast<char*>(to), count, static_cast<std::size_t>(offset));
      return count;
    }
    Status pwritev(std::span<const iovec> parts, std::uint64_t offset) override {
      std::string& bytes = node_->bytes;
      for (const iovec& part : parts) {
        if (bytes.size() < offset + part.iov_len) bytes.resize(offset + part.iov_len);
        bytes.replace(offset, part.iov_len, static_cast<const char*>(part.iov_base), part.iov_len);
        offset += part.iov_len;
      }
      return {};
    }
    Status fdatasync() override { return {}; }
    Result<std::uint64_t> size() override { return std::uint64_t{node_->bytes.size()}; }
    Result<std::uint64_t> allocated() override { return rounded_to_blocks(node_->bytes.size()); }

   private:
    std::shared_ptr<Node> node_;
  };

  std::map<std::string, std::shared_ptr<Node>> files_;
  std::set<std::string> directories_;
  int unlink_errno_ = 0;
};

}  // namespace holdfast
