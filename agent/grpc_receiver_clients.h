// The connections that were handed to a gRPC server, which tells nobody when it closes one.
//
// One thread at a time.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <map>

namespace holdfast {

class GrpcClients {
 public:
  void add(int fd) { inodes_[fd] = inode_of(fd); }

  /// A descriptor that is closed is gone, or another file's.
  bool any_open() const {
    return std::any_of(inodes_.begin(), inodes_.end(),
                       [](const auto& client) { return inode_of(client.first) == client.second; });
  }

 private:
  static ino_t inode_of(int fd) {
    struct stat found {};
    return fstat(fd, &found) == 0 ? found.st_ino : 0;
  }

  std::map<int, ino_t> inodes_;  // of each socket, by descriptor
};

}  // namespace holdfast
