// A buffer directory as the offline tools see it: folders, segments and cursors, beside a running
// agent too.
//
// Files may be renamed (.wip to .seg) or deleted at any moment: what has gone is not an error.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/buffer_tool_context.h"
#include "buffer/cursor.h"
#include "buffer/filesystem.h"
#include "buffer/segment_reader.h"
#include "proto/signal.h"

namespace holdfast {

/// The real file system, but what would change it fails with EROFS: for the tools that only look.
FileSystem& read_only_filesystem();

std::string folder_of(const std::string& directory, Signal signal);

/// Those that `only` leaves.
std::vector<Signal> signals_of(std::optional<Signal> only);

/// Is there a directory of that name? Else says so on `err`.
bool is_buffer_directory(const std::string& directory, ToolContext& context);

/// Names in the order of their sequence numbers; none for a missing folder.
std::vector<std::string> segment_files(const std::string& folder);

std::uint64_t file_bytes(const std::string& path);

/// Follows a segment that is sealed meanwhile, and reads around bad blocks. ENOENT: it is gone.
Result<SegmentReader> open_segment(FileSystem& fs, const std::string& folder,
                                   const std::string& file);

struct StoredCursor {
  std::string exporter;
  std::string file;
  std::uint64_t next_seq = 0;
  SkipRules rules;
  bool damaged = false;

  /// Has its exporter still to deliver the record?
  bool owes(std::uint64_t seq, std::uint16_t source) const {
    return seq >= next_seq && !skips(rules, seq, source);
  }
};
std::vector<StoredCursor> read_cursors(const std::string& folder);

/// Do the record's bytes inflate to their length and CRC-32? Its checksums have been verified.
bool content_is_whole(const SegmentReader::Step& step, const std::string& arena);

/// Reads a segment step by step through one bounded buffer.
class SegmentSteps {
 public:
  /// Up to the end that the file has now.
  static Result<SegmentSteps> open(FileSystem& fs, const std::string& folder,
                                   const std::string& file);
  SegmentReader::Step next();
  const SegmentHeader& header() const { return reader_.header(); }
  bool header_was_damaged() const { return reader_.header_was_damaged(); }
  File& file() { return reader_.file(); }
  std::uint64_t size() const { return size_; }
  /// Holds the payload of the last step.
  const std::string& arena() const { return arena_; }

 private:
  SegmentSteps(SegmentReader reader, std::uint64_t size)
      : reader_(std::move(reader)), size_(size) {}

  SegmentReader reader_;
  std::uint64_t size_;
  std::string arena_;
};

/// The lock of a buffer directory, for tools that change it.
class BufferHold {
 public:
  /// Fails with a sentence when an agent runs on it.
  static Result<BufferHold> take(const std::string& directory);
  /// What root has made goes to the directory's owner: the agent must be able to read it.
  ~BufferHold();
  BufferHold(BufferHold&&) = default;

 private:
  BufferHold(std::unique_ptr<File> lock, std::string directory)
      : lock_(std::move(lock)), directory_(std::move(directory)) {}

  std::unique_ptr<File> lock_;
  std::string directory_;
};

}  // namespace holdfast
