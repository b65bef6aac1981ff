// How far a reader has come, kept in a small file of two slots that are written in turn: a torn
// slot leaves the other one.
//
// Format: docs/format.md, "Cursor". Owned by the log; one thread at a time. The file is overwritten
// in place, so that a full disk does not stop it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "buffer/filesystem.h"
#include "buffer/result.h"

namespace holdfast {

/// "cursor-" and the reader's name with everything but letters, digits, '.', '_' and '-'
/// percent-encoded.
std::string cursor_file_name(std::string_view reader);

class Cursor {
 public:
  /// Reads the newest whole slot. A missing file, or one without a whole slot, gives next_seq() =
  /// 0.
  static Result<Cursor> open(FileSystem& fs, const std::string& directory, std::string_view reader);

  std::uint64_t next_seq() const { return next_seq_; }
  /// There was a file, but no slot of it was whole.
  bool was_damaged() const { return was_damaged_; }

  /// Writes and syncs. After a failure the slot before is still whole, and save() may be called
  /// again.
  Status save(std::uint64_t next_seq, std::int64_t now_unix_ns);

 private:
  Cursor(FileSystem& fs, std::string directory, std::string path)
      : fs_(&fs), directory_(std::move(directory)), path_(std::move(path)) {}
  Status make_file();
  void read_slots();

  FileSystem* fs_;
  std::string directory_;
  std::string path_;
  std::unique_ptr<File> file_;
  std::uint64_t generation_ = 0;
  std::uint64_t next_seq_ = 0;
  bool was_damaged_ = false;
};

}  // namespace holdfast
