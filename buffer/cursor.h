// How far a reader has come, kept in a small file of two slots that are written in turn: a torn
// slot leaves the other one.
//
// Format: docs/format.md, "Cursor". Owned by the log; write() comes from the reader's thread,
// save() from the one that maintains. The file is overwritten in place, so that a full disk does
// not stop it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "buffer/filesystem.h"
#include "buffer/result.h"

namespace holdfast {

/// "cursor-" and the reader's name with everything but letters, digits, '.', '_' and '-'
/// percent-encoded.
std::string cursor_file_name(std::string_view reader);

/// Stands in no cursor's name but in that of what was set aside.
inline constexpr char kSetAsideMark = '~';

/// Of a cursor file.
inline constexpr std::size_t kCursorBytes = 1024;

class Cursor {
 public:
  /// Reads the newest whole slot. A missing file, or one without a whole slot, gives next_seq() =
  /// 0. What stands in the way (a directory, a file of another owner or that the disk cannot read)
  /// is renamed to "<name>~<unix_ms>"; where that fails too, each write tries again.
  static Cursor open(FileSystem& fs, const std::string& directory, std::string_view reader,
                     std::int64_t now_unix_ns);

  /// The same by the file's name, whoever's it is.
  static Result<Cursor> open_file(FileSystem& fs, const std::string& directory,
                                  const std::string& file_name);

  std::uint64_t next_seq() const { return next_seq_; }
  /// There was a file, but no slot of it was whole.
  bool was_damaged() const { return was_damaged_; }
  /// Why it could not be read, and what became of it; empty when all went well.
  const std::string& obstacle() const { return obstacle_; }
  bool has_file() const { return file_ != nullptr; }

  /// Writes: this outlives the process, not a loss of power. After a failure the slot before is
  /// still whole, and may be called again.
  Status write(std::uint64_t next_seq, std::int64_t now_unix_ns);

  /// Writes and syncs. After a failure as write().
  Status save(std::uint64_t next_seq, std::int64_t now_unix_ns);

 private:
  Cursor(FileSystem& fs, std::string directory, std::string path)
      : fs_(&fs), directory_(std::move(directory)), path_(std::move(path)) {}
  Status set_aside(std::int64_t now_unix_ns);
  Status make_file(std::int64_t now_unix_ns);
  Status read_slots();

  FileSystem* fs_;
  std::string directory_;
  std::string path_;
  // Held for the write of one slot: only the two threads above ever meet here. It does not move.
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  std::unique_ptr<File> file_;  // once set, it stays
  std::uint64_t generation_ = 0;
  std::uint64_t next_seq_ = 0;
  bool was_damaged_ = false;
  bool unsynced_ = false;  // a sync failed: what the file holds is not known
  std::string obstacle_;
};

}  // namespace holdfast
