// The requests that an upstream refused for good and the bytes that went bad on disk, each in a
// file of its own with the reason.
//
// A .rec file's first line is JSON (seq, request, items, reader, reason, status, message, bytes,
// unix_ms); the bytes follow after the line's end. A .seg file is a whole segment as it was.
// Bounded: the oldest go when new ones need the room. Thread-safe; stats() never waits for a disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "buffer/clock.h"
#include "buffer/filesystem.h"
#include "buffer/log.h"
#include "buffer/result.h"

namespace holdfast {

class Quarantine {
 public:
  Quarantine(FileSystem& fs, const Clock& clock, std::string directory, std::uint64_t bytes_max)
      : fs_(fs), clock_(clock), directory_(std::move(directory)), bytes_max_(bytes_max) {}

  /// Takes up what is there. A missing directory is empty; it is made with the first entry.
  Status open();

  /// Writes the entry and syncs it. An entry larger than the whole quarantine keeps its first
  /// bytes.
  Status add(const QuarantineEntry& entry);

  /// Moves a segment's file in, whole. `allocated`: the room that it takes. Fails with EFBIG when
  /// it is larger than the whole quarantine.
  Status take_in(const std::string& path, std::uint64_t allocated);

  /// The next entry makes the room that a smaller one asks for. Any thread.
  void set_bytes_max(std::uint64_t bytes_max) { bytes_max_ = bytes_max; }

  /// Notices what has been deleted by hand, or brought in. Lists the directory; free while it is
  /// known to be empty.
  void look_again();

  struct Stats {
    std::uint64_t bytes = 0;  // allocated
    std::uint64_t entries = 0;
    std::uint64_t evicted = 0;
    std::uint64_t next_seq = 0;  // after any number in it
  };
  Stats stats() const;

 private:
  struct Entry {
    std::string name;
    std::uint64_t allocated = 0;
  };
  Status make_directory();
  void take_up(const std::vector<DirectoryEntry>& listed);
  Status write(const std::string& name, const QuarantineEntry& entry, std::string_view bytes);
  Status make_room(std::uint64_t bytes);
  std::deque<Entry>::iterator find(std::string_view name);
  void insert(Entry entry);
  void erase(std::deque<Entry>::iterator entry);
  void count_numbers_of(const Entry& entry);

  FileSystem& fs_;
  const Clock& clock_;
  const std::string directory_;
  std::atomic<std::uint64_t> bytes_max_;
  std::mutex mutex_;           // whoever holds it writes files; stats() does without
  std::deque<Entry> entries_;  // oldest first
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> evicted_{0};
  std::atomic<std::uint64_t> next_seq_{0};
  bool made_ = false;
};

/// `text` as a JSON string with its quotes; control characters escaped, bytes that are not ASCII as
/// \u00XX.
std::string json_quoted(std::string_view text);

}  // namespace holdfast
