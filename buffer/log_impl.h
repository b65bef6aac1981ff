// The log's insides: opening (log_open.cc, log_scan.cc), group commit (log_append.cc), readers
// (log_reader.cc, log_damage.cc), which readers and limits there are (log_readers.cc), upkeep
// (log_maintain.cc), room in the folder and on the disk (log_room.cc).
//
// Locks, in this order: upkeep_mutex_ (maintain(), close(), and whoever changes readers or limits),
// writer_mutex_ (whoever writes segment files: the leader of a commit or maintain()), mutex_ (what
// is known of segments and readers; never held during input or output). queue_mutex_ stands alone.
// Which segments there are changes only under one of the first two, and under the third.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "buffer/log.h"
#include "buffer/log_state.h"
#include "buffer/quarantine.h"
#include "buffer/reserve.h"
#include "buffer/segment_format.h"
#include "buffer/segment_reader.h"

namespace holdfast {

class LogImpl;

LogLimits with_quarantine_bounded(LogLimits limits);

class LogReaderImpl final : public LogReader {
 public:
  LogReaderImpl(LogImpl& log, std::string name, Cursor cursor)
      : log_(log), cursor_(std::move(cursor)), rules_(cursor_.rules()) {
    state_.name = std::move(name);
  }

  const std::string& name() const override { return state_.name; }
  Claim claim(const ClaimLimits& limits) override;
  void acknowledge() override;
  void rewind() override;
  bool wait_readable(std::stop_token stop, std::chrono::steady_clock::time_point deadline) override;
  Status quarantine(const QuarantineEntry& entry) override;

 private:
  friend class LogImpl;
  struct Target {
    std::uint64_t first_seq = 0;
    std::string path;
    std::uint64_t data_end = 0;
    std::uint64_t next_seq = 0;
    std::uint64_t items = 0;  // of records that are not skipped
    std::uint64_t records = 0;
    std::uint64_t skipped_bytes = 0;
    Sources skipped;
    bool sealed = false;
    bool given_up = false;
  };
  struct Piece {  // a record whose views cannot be made before the arena has stopped growing
    RecordHeader header;
    std::size_t payload_at = 0;
    std::size_t payload_length = 0;
    std::uint64_t segment = 0;
  };
  enum class Read : std::uint8_t { limited, finished, failed };
  enum class AfterFailure : std::uint8_t { wait, read_around, give_up };

  std::optional<Target> next_target();
  Status open_target(const Target& target);
  Status open_file(const Target& target, const std::string& path);
  Read read_target(const Target& target, const ClaimLimits& limits, Claim& claim, ClaimPart& part);
  const Sources& skipped_in(
      const Segment& segment) const;  // under the log's mutex, or its writer's
  bool pass_skipped_locked(ReadPosition& place) const;
  bool settle_skipped_locked();
  void add_pending_locked(std::span<const NewRecord* const> records, DropCounts sum,
                          const Sources& skipped);
  void pass(const RecordHeader& header, bool skipped);
  void settle(const Target& target, ClaimPart& part);
  // log_damage.cc
  AfterFailure after_failure(const Target& target);
  void step_over(const Target& target, const SegmentReader::Step& step, ClaimPart& part);
  bool is_new_damage(const Target& target, std::uint64_t offset, std::uint64_t length);
  Status quarantine_damage(const SegmentReader::Step& step, std::string_view what);
  void give_up(const Target& target, ClaimPart& part);
  void keep_parts(std::vector<ClaimPart>& parts, Claim& claim);
  void readable_wait(std::unique_lock<std::mutex>& lock, const std::stop_token& stop,
                     std::chrono::steady_clock::time_point until);

  LogImpl& log_;
  Cursor cursor_;
  SkipRules rules_;                      // guarded by the log's mutex
  ReaderState state_;                    // guarded by the log's mutex
  std::unique_ptr<SegmentReader> open_;  // this thread's from here on
  std::uint64_t open_segment_ = 0;
  std::uint64_t skip_below_ = 0;  // records before it were delivered in an earlier life
  ReadPosition place_;            // where the claim under way has come to
  std::string arena_;
  std::vector<Piece> pieces_;
  bool passed_ = false;  // skipped segments without a part of their own
  bool around_ = false;  // what cannot be read in open_segment_ is damage
  int failures_ = 0;     // in a row
  Error failure_;        // the last one
  std::chrono::steady_clock::time_point not_before_{};  // after a failed read
};

class LogImpl final : public Log {
 public:
  LogImpl(FileSystem& fs, const Clock& clock, LogOptions options);

  Status recover(const std::vector<ReaderSpec>& readers);

  AppendOutcome append(std::span<const NewRecord> records) override;
  std::uint64_t record_bytes_max() const override;
  LogReader& reader(std::string_view name) override;
  Status set_readers(const std::vector<ReaderSpec>& readers) override;
  Status set_limits(const LogOptions& options) override;
  Status quarantine(const QuarantineEntry& entry) override;
  std::int64_t maintain() override;
  void on_dirty(std::function<void()> wake) override { wake_ = std::move(wake); }
  void close() override;
  LogStats stats() const override;

 private:
  friend class LogReaderImpl;
  struct Waiter {
    std::span<const NewRecord> records;
    std::uint64_t length = 0;  // of them in a file
    AppendOutcome outcome = AppendOutcome::failed;
    bool done = false;
    bool leads = false;
    std::condition_variable changed;
  };
  struct Undeleted {
    std::string path;
    std::uint64_t allocated = 0;
  };
  /// The segment that takes records. Guarded by writer_mutex_.
  struct Active {
    std::unique_ptr<File> file;
    SegmentHeader header;
    std::string stem;
    std::uint64_t end = 0;  // durable end, where the next group goes
    std::uint64_t items = 0;
    std::uint64_t records = 0;
    std::int64_t created_steady_ns = 0;
    bool dirty = false;  // written, not synced (interval)
  };

  // log_open.cc
  Status scan_directory();
  void resolve_overlaps();
  void adopt(Segment& segment, const std::vector<DirectoryEntry>& listed);
  void take_up_seq(std::uint64_t next_seq);
  struct Reason {
    std::string_view message;  // constant
    std::string detail;
  };
  /// False: it is still there.
  bool quarantine_file(const std::string& file_name, std::uint64_t allocated, const Reason& why);
  Status quarantine_beginning(const std::string& path, const Reason& why);

  // log_scan.cc
  std::int64_t age_of(const SegmentHeader& header) const;
  std::optional<Segment> examine(const SegmentName& name, const std::string& file_name);
  void set_aside(const SegmentName& name, const std::string& file_name, const Error& why);
  bool read_seal(SegmentReader& reader, std::uint64_t size, Segment& segment);
  void scan_whole(SegmentReader& reader, std::uint64_t size, Segment& segment);
  bool is_damaged_tail(SegmentReader& reader, const SegmentReader::Step& tail,
                       const Segment& segment);

  // log_readers.cc; under upkeep_mutex_ and writer_mutex_, or before anybody else is there
  Status take_up_readers(const std::vector<ReaderSpec>& specs);
  void add_reader(const ReaderSpec& spec);
  std::uint64_t begin_reader(LogReaderImpl& reader, const ReaderSpec& spec);
  void set_rules(LogReaderImpl& reader, SkipRules rules);
  void count_sources();                                         // without writer_mutex_ as well
  void retire_readers(const std::vector<ReaderSpec>& staying);  // without writer_mutex_
  SkipRules changed_rules(const LogReaderImpl& reader, const ReaderSpec& spec) const;
  void change_skipped(LogReaderImpl& reader, const ReaderSpec& spec);
  void take_limits(const LogLimits& limits);
  void place_reader(LogReaderImpl& reader, std::uint64_t cursor_seq);
  void place_within(const Segment& segment, std::uint64_t cursor_seq, LogReaderImpl& reader);
  LogReaderImpl* find_reader(std::string_view name);

  // log_append.cc; all under writer_mutex_
  void commit(const std::vector<Waiter*>& group);
  AppendOutcome write_records(std::span<const NewRecord* const> records, std::uint64_t length);
  Status write_once(std::span<const NewRecord* const> records);
  Status start_segment();
  void publish(std::span<const NewRecord* const> records, std::uint64_t end);
  void abandon_active();

  // log_room.cc; under writer_mutex_ but for those that say otherwise
  AppendOutcome make_room(std::uint64_t bytes);
  bool disk_has_room(std::uint64_t bytes);
  bool make_reserve();
  bool room_for_reserve();
  void refused_for_room(std::uint64_t bytes);
  bool fits_in_no_folder(std::uint64_t bytes);  // any thread
  bool folder_has_room_locked(std::uint64_t bytes) const;
  std::uint64_t folder_bytes_for_segments() const;  // any thread
  std::uint64_t reserve_bytes_wanted() const;
  bool purge_oldest(DropReason reason);
  void drop_segment_locked(const Segment& segment, DropReason reason);
  void delete_file(const std::string& path, std::uint64_t allocated);  // any thread
  void delete_again();                                                 // any thread
  void look_for_room();                                                // takes writer_mutex_

  /// For what must go on when the disk is full: tries once more with the room of the reserve.
  template <typename Operation>
  Status with_reserve(Operation&& operation) {
    const Status done = operation();
    if (done.ok() || !is_out_of_room(done.error()) || !reserve_.release()) return done;
    report("the disk is full: its reserve was given to cursors and quarantine", options_.directory);
    want_maintenance_at(clock_.steady_ns() + kNsPerSecond);
    return operation();
  }

  // log_maintain.cc
  void seal_active(bool sync);  // under writer_mutex_
  void expire(std::int64_t now);
  void sync_interval(std::int64_t now);
  void retire_or_seal(std::int64_t now);
  void save_cursors();
  void delete_consumed();
  void tell_readers();  // that segments have come or gone
  bool all_past_locked(const Segment& segment) const;
  bool is_consumed_locked(const Segment& segment) const;
  std::int64_t next_due();
  void want_maintenance_at(std::int64_t steady_ns);

  std::uint64_t folder_bytes_locked() const;
  void set_allocated_locked(Segment& segment, std::uint64_t bytes);
  /// The first segment at or after `first_seq`.
  std::deque<Segment>::iterator from_locked(std::uint64_t first_seq);
  Segment* find_locked(std::uint64_t first_seq);
  std::string path_of(std::string_view file_name) const;
  void report(std::string_view message, std::string_view detail);
  void note_error(std::string_view message, const Error& error);

  FileSystem& fs_;
  const Clock& clock_;
  // Written under all three locks, read under any; directory, stream_tag, report and
  // read_retry_pause never change.
  LogOptions options_;
  std::atomic<std::uint64_t> folder_bytes_max_{0};  // of options_, for those without a lock
  std::atomic<std::uint64_t> quarantine_bytes_max_{0};
  Quarantine quarantine_;
  std::uint64_t block_bytes_ = kDiskBlockBytes;  // block and left-alone bytes are set by recover()
  std::atomic<std::uint64_t> cursors_bytes_{0};  // allocated by cursor files, or soon
  std::uint64_t left_alone_bytes_ = 0;           // by segment files that could not go to quarantine
  Reserve reserve_;
  std::function<void()> wake_;
  std::atomic<std::int64_t> next_due_ns_{INT64_MAX};

  std::mutex queue_mutex_;
  std::vector<Waiter*> queue_;
  bool leading_ = false;

  std::mutex upkeep_mutex_;

  std::mutex writer_mutex_;
  std::optional<Active> active_;
  std::int64_t last_append_ns_ = 0;
  std::int64_t last_sync_ns_ = 0;
  std::int64_t last_cursor_save_ns_ = 0;  // maintain() and close() only
  std::int64_t quarantine_seen_ns_ = 0;   // maintain() only
  std::int64_t free_checked_ns_ = INT64_MIN;
  std::uint64_t free_left_ =
      0;  // free bytes above the floor when last looked, less what was written since
  std::uint64_t refused_bytes_ = 0;  // of the last append that found no room
  bool disk_refused_ = false;        // a write found the disk full, and none was stored since
  std::int64_t expire_again_ns_ = INT64_MIN;   // after a file that could not be deleted
  std::int64_t reserve_again_ns_ = INT64_MIN;  // after a failure that is no want of room

  mutable std::mutex mutex_;
  std::condition_variable_any readable_;
  std::uint64_t publications_ = 0;  // groups and seals: what waiting readers watch
  std::deque<Segment> segments_;
  std::uint64_t segments_bytes_ = 0;  // allocated by them and by undeleted_
  std::vector<Undeleted> undeleted_;  // tried again by maintain()
  std::vector<std::unique_ptr<LogReaderImpl>> readers_;
  std::uint64_t next_seq_ = 1;
  LogStats counters_;  // the counting fields only
};

}  // namespace holdfast
