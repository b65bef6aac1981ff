// How far a reader has come, and which sources it skips from where on, kept in a small file of two
// slots that are written in turn: a torn slot leaves the other one.
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
#include <vector>

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

/// Sources that a reader skips, ascending.
using Sources = std::vector<std::uint16_t>;

/// In force from the first segment that begins at `from_seq` or later, up to the next rule.
struct SkipRule {
  std::uint64_t from_seq = 0;
  Sources sources;
  bool operator==(const SkipRule&) const = default;
};
using SkipRules = std::vector<SkipRule>;

/// Is the record with this number and source skipped?
bool skips(const SkipRules& rules, std::uint64_t seq, std::uint16_t source);

/// What is skipped from the first record of a segment on to its last.
const Sources& skipped_at(const SkipRules& rules, std::uint64_t seq);

bool contains(const Sources& sources, std::uint16_t source);

/// Do they fit into a slot?
bool fit_in_cursor(const SkipRules& rules);

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
  /// In the order of their numbers; none: nothing is skipped.
  const SkipRules& rules() const { return rules_; }

  /// Written with every slot from now on. They must fit.
  void set_rules(SkipRules rules);

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
  SkipRules rules_;
  bool was_damaged_ = false;
  bool stale_ = false;  // the file does not hold all this, or a sync failed: it is not known
  std::string obstacle_;
};

}  // namespace holdfast
