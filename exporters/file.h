// The exporter `file`: writes batches into a file, as the Collector's fileexporter does.
//
// JSON stands one batch a line; protobuf, and either of them compressed, with its length in front
// as four bytes, most significant first. A batch is delivered when it is synced to the disk.
//
// Source: opentelemetry-collector-contrib, exporter/fileexporter. A crash leaves at most one torn
// message at the end, of a batch that comes again: the next start cuts it off.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "exporters/exporter.h"

namespace holdfast {

/// Names of closed files: "data.json" becomes "data-2026-01-02T15-04-05.000-size.json".
struct FileRotation {
  std::uint64_t bytes_max = 100ULL << 20;  // a file that would grow beyond is closed first
  std::uint64_t days_max = 0;              // of 24 h, by the time in the name; 0: for ever
  std::uint64_t backups_max = 100;         // closed files that are kept; 0: all
  bool local_time = false;                 // in the names; else UTC

  bool operator==(const FileRotation&) const = default;
};

struct FileOptions {
  std::string path;
  bool append = false;  // false: what is there at the start is overwritten, unless files rotate
  BodyEncoding encoding = BodyEncoding::json;
  bool zstd = false;
  std::optional<FileRotation> rotation;
  bool create_directory = false;
  unsigned directory_permissions = 0755;
  std::function<std::chrono::system_clock::time_point()> now = std::chrono::system_clock::now;

  /// The clock is no setting.
  bool operator==(const FileOptions& other) const {
    return std::tie(path, append, encoding, zstd, rotation, create_directory,
                    directory_permissions) ==
           std::tie(other.path, other.append, other.encoding, other.zstd, other.rotation,
                    other.create_directory, other.directory_permissions);
  }
};

/// One file in the hands of all who write to it. Thread-safe.
class FileOutput {
 public:
  explicit FileOutput(FileOptions options);
  ~FileOutput();
  FileOutput(const FileOutput&) = delete;
  FileOutput& operator=(const FileOutput&) = delete;

  /// Writes one message and syncs it. What went wrong, or "": then nothing of it is in the file.
  std::string write(std::string_view message);

 private:
  std::string open();
  std::string mend_end();
  std::string rotate();
  void remove_old_backups() const;
  std::string append(std::string_view message);

  const FileOptions options_;
  const bool framed_;  // by lengths, not lines
  std::mutex mutex_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  bool truncate_ = false;  // with the next open()
};

/// Exporters of one path share its output; what the process has written there once, no later
/// exporter overwrites. Thread safety: may be called from any thread.
std::unique_ptr<Exporter> make_file_exporter(const FileOptions& options);

}  // namespace holdfast
