// Takes files that disk-buffering wrote into the log of one signal: reads, checks, commits,
// deletes.
//
// A file is deleted only when all of its records are committed, so a kill repeats what had not come
// that far: one group of files, or one large file. Used by the import's thread alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/import_directory.h"
#include "agent/ingest.h"
#include "agent/java_buffer_reader.h"
#include "agent/stats.h"
#include "buffer/log.h"
#include "proto/signal.h"

namespace holdfast {

struct ImportTarget {
  Signal signal = Signal::traces;
  Log* log = nullptr;
  std::uint64_t folder_bytes_max = 0;      // max_folder_size of the log
  std::uint64_t quarantine_bytes_max = 0;  // set aside in it
  bool sync_directories = true;            // durability batch: what is deleted stays deleted

  bool operator==(const ImportTarget&) const = default;
};
using ImportTargets = std::array<ImportTarget, kSignalCount>;  // by signal

class FileImport {
 public:
  /// All must outlive it.
  FileImport(const ImportTarget& target, ReceiverSignalStats& stats, ByteBudget& budget);
  ~FileImport();
  FileImport(const FileImport&) = delete;
  FileImport& operator=(const FileImport&) = delete;

  enum class Outcome : std::uint8_t {
    done,
    full,     // the log has no room: to be tried again later
    busy,     // memory is short: to be tried again soon
    stopped,  // asked to
  };
  /// `files` in the order in which they are to be taken. After anything but `done` the rest is to
  /// be given again.
  Outcome take(std::span<const ImportFile> files, const std::stop_token& stop);

  /// Whether the last take() was done with any file.
  bool got_on() const { return got_on_; }

  /// Files that cannot be read, or be deleted after they were taken, since the last call.
  std::vector<ImportFile> set_aside() { return std::exchange(set_aside_, {}); }

 private:
  enum class Step : std::uint8_t { go_on, next_file, full, busy, stopped };
  struct Open;

  Step take_file(const ImportFile& file, const std::stop_token& stop);
  Step take_records(Open& open, const std::stop_token& stop);
  Step take_record(Open& open);
  Step take_bad_record(Open& open, std::string_view bytes, const std::string& why);
  /// What follows cannot be told apart: it goes to quarantine as a whole, and the file goes.
  Step take_torn(Open& open, std::string_view why);
  void put_aside(const Open& open, std::string_view why);
  void count_malformed();
  void give_up(const ImportFile& file, const std::string& why);
  /// Commits what waits, and deletes the files that are done with it. `open`: the file that is
  /// being read, if any.
  bool flush(const Open* open);
  void delete_finished();
  bool quarantine(const Open& open, std::string_view bytes, std::string_view why);
  bool has_room(std::uint64_t bytes) const;
  bool reserve(const Open& open, std::uint64_t bytes);

  const ImportTarget target_;
  ReceiverSignalStats& stats_;
  ByteBudget& budget_;
  const std::uint64_t group_bytes_max_;
  const std::uint64_t record_bytes_max_;  // what the log can hold
  const std::uint64_t tail_bytes_max_;    // what a quarantine of this size can hold
  IngestBatch batch_;
  bool got_on_ = false;
  std::uint64_t reserved_ = 0;        // of the budget
  bool stored_ = true;                // what the last commit() said
  std::vector<ImportFile> finished_;  // wholly in the batch
  std::vector<ImportFile> set_aside_;
  std::uint32_t quarantined_ = 0;  // numbers entries under one sequence number

  /// Of the file that was being read when the last group was committed: how far it is stored.
  struct Progress {
    FileIdentity identity;
    std::uint64_t offset = 0;
  };
  std::optional<Progress> progress_;
};

}  // namespace holdfast
