// Room on the disk that is held for what must go on when the disk is full: cursors, quarantine,
// names. A file of that size, deleted when one of those finds no room, and made again later.
//
// Owned by the log. Thread-safe. A crash leaves the file whole, short or missing; it holds nothing
// that is ever read.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "buffer/filesystem.h"
#include "buffer/result.h"

namespace holdfast {

/// The two ways in which a file system says that there is no room.
bool is_out_of_room(const Error& error);

class Reserve {
 public:
  Reserve(FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}

  /// Takes up what an earlier life left, if it is `bytes` (whole blocks of the disk) long; another
  /// one goes. Makes none, and never fails. Before all else.
  void open(std::uint64_t bytes);

  std::uint64_t bytes() const { return bytes_; }
  bool is_there() const { return there_; }
  /// It was given away and could not be made again for want of room: nothing else may grow.
  bool is_owed() const { return owed_; }

  /// Gives the room away. False: there was none to give.
  bool release();

  /// Makes the file if it is missing. ENOSPC, EDQUOT: later. Another error: it is not owed any
  /// more, and the log goes on without one.
  Status make();

  /// Is there room for as much again? Writes it, and deletes it.
  Status prove_room();

 private:
  Status write(const std::string& path);

  FileSystem& fs_;
  const std::string directory_;
  std::atomic<std::uint64_t> bytes_{0};
  std::mutex mutex_;  // whoever holds it writes the file
  std::atomic<bool> there_{false};
  std::atomic<bool> owed_{false};
};

}  // namespace holdfast
