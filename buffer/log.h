// The log of one signal: an append-only run of segments in a directory of its own, read by any
// number of named readers.
//
// Threads: append() from any thread, blocking until the group is as durable as asked; each
// LogReader from one thread; maintain() from one thread; stats() from any. A crash leaves what was
// acknowledged; see docs/format.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/clock.h"
#include "buffer/filesystem.h"
#include "buffer/record.h"
#include "buffer/result.h"

namespace holdfast {

enum class Durability : std::uint8_t { batch, interval, none };
enum class Overflow : std::uint8_t { drop_oldest, reject };
enum class DrainMode : std::uint8_t { live, windowed };

/// What of a log may change while it is open.
struct LogLimits {
  Durability durability = Durability::batch;
  std::chrono::milliseconds sync_interval{1'000};  // of Durability::interval
  Overflow overflow = Overflow::drop_oldest;
  DrainMode drain = DrainMode::live;
  std::uint64_t file_bytes_max = 8ULL << 20;
  std::uint64_t folder_bytes_max = 512ULL << 20;  // allocated bytes, quarantine included
  std::uint64_t free_bytes_min = 64ULL << 20;     // of the file system: below it append says full
  std::uint64_t quarantine_bytes_max = 16ULL << 20;  // set aside in the folder, a quarter at most
  std::chrono::milliseconds write_age_max{30'000};   // an open segment is sealed at this age
  std::chrono::milliseconds read_age_min{33'000};    // windowed: younger files are not read
  std::chrono::milliseconds read_age_max{18LL * 3600 *
                                         1000};  // older files are dropped and counted
};

struct LogOptions : LogLimits {
  std::string directory;        // of this signal; made if missing
  std::uint8_t stream_tag = 0;  // written into segment headers: the signal's number

  std::chrono::milliseconds read_retry_pause{1'000};  // between tries to read what a disk denies

  /// Told of what an operator should know (damage, drops, errors): a constant sentence and its
  /// detail. Any thread.
  std::function<void(std::string_view message, std::string_view detail)> report;
};

enum class AppendOutcome : std::uint8_t { stored, full, failed };

enum class DropReason : std::uint8_t { folder_full, expired, corrupt };
inline constexpr std::size_t kDropReasonCount = 3;
std::string_view name_of(DropReason reason);

struct DropCounts {
  std::uint64_t items = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
};

/// A reader of the log, by the name of its cursor.
struct ReaderSpec {
  std::string name;
  /// Records of these are neither given to it nor counted for it. Source 0 is given to all. A
  /// change counts for what is appended after it: what is there keeps the readers that it had.
  std::vector<std::uint16_t> skipped_sources;
  /// Where one begins that has never had a cursor: at the oldest record, or after all that is there
  /// now.
  bool starts_at_newest = false;
};

/// Readers of everything.
std::vector<ReaderSpec> readers_named(const std::vector<std::string>& names);

struct ReaderStats {
  std::string name;
  std::uint64_t pending_items = 0;  // stored, not skipped and not yet acknowledged by this reader
  std::uint64_t pending_records = 0;
  std::uint64_t next_seq = 0;
  std::int64_t oldest_unix_ns =
      0;  // when the oldest pending segment was created; 0: nothing is pending
  /// Pending when the log was opened, or when set_readers() gave it a backlog.
  std::uint64_t recovered_items = 0;
  DropCounts drops[kDropReasonCount]{};
};

struct LogStats {
  std::uint64_t allocated_bytes = 0;
  std::uint64_t segments = 0;
  std::uint64_t quarantine_bytes = 0;
  std::uint64_t quarantine_entries = 0;
  std::uint64_t quarantine_evicted_entries = 0;  // pushed out by newer ones
  std::uint64_t next_seq = 0;
  std::uint64_t appended_items = 0;
  std::uint64_t appended_records = 0;
  std::uint64_t appended_raw_bytes = 0;
  std::uint64_t appended_stored_bytes = 0;
  std::uint64_t commits = 0;
  std::uint64_t syncs = 0;
  std::uint64_t write_errors = 0;
  std::uint64_t corrupt_bytes = 0;
  std::uint64_t torn_tail_bytes = 0;
  std::uint64_t segments_unknown_version = 0;
  bool disk_nearly_full =
      false;  // free space below the floor, or folder full with Overflow::reject
  std::string last_error;
  std::vector<ReaderStats> readers;
};

/// What a reader may take at once. At least one record is given even if it is larger.
struct ClaimLimits {
  std::uint64_t items_max = 8192;
  std::uint64_t raw_bytes_max = 4ULL << 20;
  std::uint32_t records_max = 4096;
};

/// Records in order, after all that was claimed before. Views live until the reader's next claim().
struct Claim {
  std::vector<Record> records;
  std::uint64_t items = 0;
  std::uint64_t raw_bytes = 0;
  bool limited = false;  // a limit ended it: more is readable now
  bool empty() const { return records.empty(); }
};

/// A request that goes to quarantine: refused upstream, or damaged on disk.
struct QuarantineEntry {
  std::uint64_t seq = 0;
  std::uint32_t request_index = 0;  // within its record
  std::uint32_t item_count = 0;
  std::string_view reader;   // exporter's name
  std::string_view reason;   // "rejected", "corrupt"
  int status = 0;            // HTTP status of the upstream, 0: none
  std::string_view message;  // upstream's answer
  std::string_view bytes;    // raw request, or the damaged bytes
};

class LogReader {
 public:
  virtual ~LogReader() = default;
  virtual const std::string& name() const = 0;

  /// Reads on from the last claim. Empty: nothing readable. Damage is skipped, counted and
  /// quarantined in here.
  virtual Claim claim(const ClaimLimits& limits) = 0;

  /// All that was claimed is done with (delivered, or in quarantine): the cursor moves past it.
  virtual void acknowledge() = 0;

  /// Back to the first record that is not acknowledged.
  virtual void rewind() = 0;

  /// Blocks until something may be readable, `deadline` has come or `stop` is requested. True:
  /// claim() is worth a try.
  virtual bool wait_readable(std::stop_token stop,
                             std::chrono::steady_clock::time_point deadline) = 0;

  /// Puts a request into the signal's quarantine. Fails when it cannot be written; the entry is
  /// then counted as dropped.
  virtual Status quarantine(const QuarantineEntry& entry) = 0;
};

class Log {
 public:
  /// Opens or makes the directory, scans open segments only, seals them, takes up the cursors of
  /// `readers`. A reader whose cursor is damaged starts at the oldest record. Damage never fails
  /// it; only an unusable directory does. `fs` and `clock` must outlive the log. The caller holds
  /// the root's lock.
  static Result<std::unique_ptr<Log>> open(FileSystem& fs, const Clock& clock, LogOptions options,
                                           const std::vector<ReaderSpec>& readers);
  virtual ~Log() = default;

  /// Group commit: stores all of `records` or none of them, in order. `stored` means as durable as
  /// asked.
  virtual AppendOutcome append(std::span<const NewRecord> records) = 0;

  /// Of one record, as stored: a larger one never finds room. Any thread.
  virtual std::uint64_t record_bytes_max() const = 0;

  /// Of one that was named to open() or to the last set_readers(). Any thread.
  virtual LogReader& reader(std::string_view name) = 0;

  /// Makes these the readers. New ones are taken up as in open(). Those that are not named are
  /// retired: their cursor is synced and its file stays, and no segment is held for them any more;
  /// their LogReader must not be in use from the beginning of the call on. The others go on
  /// untouched: what they skip from now on counts for what is appended from now on. Errors, with
  /// nothing changed: EINVAL, a name is empty or there twice, or one skips too many sources; EBUSY,
  /// a reader has records before it from too many such changes. From one thread at a time; append()
  /// may wait for it.
  virtual Status set_readers(const std::vector<ReaderSpec>& readers) = 0;

  /// Takes over all limits, ages and modes; in a smaller folder room is made at once (with
  /// Overflow::drop_oldest). EINVAL, with nothing changed: another directory or stream tag.
  /// `report` and `read_retry_pause` stay as they are. From one thread at a time.
  virtual Status set_limits(const LogOptions& options) = 0;

  /// Puts something that never came into the log into its quarantine. Any thread.
  virtual Status quarantine(const QuarantineEntry& entry) = 0;

  /// Seals by age, expires, purges, syncs cursors and intervals, deletes what all have read,
  /// retires an idle segment. Returns the steady time (ns) at which it wants to be called again;
  /// INT64_MAX: when `on_dirty` says so.
  virtual std::int64_t maintain() = 0;

  /// `wake` is called (from any thread) when maintain() should run earlier than it asked for. Set
  /// before use.
  virtual void on_dirty(std::function<void()> wake) = 0;

  /// Syncs, seals and writes the cursors. No append or claim may follow.
  virtual void close() = 0;

  virtual LogStats stats() const = 0;
};

}  // namespace holdfast
