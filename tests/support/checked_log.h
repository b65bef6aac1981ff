// A log on a simulated disk beside a model of what it must hold; every step is checked against it.
//
// What is held against the log: docs/format.md and the comments of buffer/log.h. One thread. The
// first thing that is wrong ends it: failure() says what, and no further step does anything.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/log.h"
#include "tests/support/log_model.h"
#include "tests/support/manual_clock.h"
#include "tests/support/simulated_filesystem.h"

namespace holdfast {

class CheckedLog {
 public:
  CheckedLog(SimulatedFileSystem& fs, ManualClock& clock) : fs_(fs), clock_(clock) {}

  /// The model of another one, after a crash, on a copy of its disk.
  CheckedLog(SimulatedFileSystem& fs, ManualClock& clock, const CheckedLog& other)
      : fs_(fs),
        clock_(clock),
        model_(other.model_),
        failure_(other.failure_),
        story_(other.story_),
        power_was_lost_(other.power_was_lost_) {}

  static LogOptions small_options();

  /// The readers' names say what they skip: see spec_of().
  void open(const LogOptions& options, const std::vector<std::string>& readers);
  /// False: not now, nothing was done.
  bool set_readers(const std::vector<std::string>& readers);
  /// One append of a record for each size.
  void append(const std::vector<std::uint32_t>& sizes);
  void claim(std::string_view reader, const ClaimLimits& limits = {});
  void acknowledge(std::string_view reader);
  void rewind(std::string_view reader);
  /// Puts the first claimed record into quarantine and acknowledges all that is claimed.
  void quarantine(std::string_view reader);
  void maintain();
  void close();
  void kill();
  void lose_power(const CrashPolicy& policy);
  /// Delivers everything to everyone: nothing may be left on the disk but cursors and quarantine.
  void drain();

  bool is_open() const { return log_ != nullptr; }
  bool ok() const { return failure_.empty(); }
  const std::string& failure() const { return failure_; }
  /// The last steps and what the log reported in them, a line each.
  std::string story() const;
  const LogModel& model() const { return model_; }
  Log& log() { return *log_; }

 private:
  struct Before {  // a step
    std::uint64_t failures = 0;
    std::uint64_t failed_unlinks = 0;
    std::uint64_t writes = 0;
    std::uint64_t free_bytes = 0;
    LogStats stats;
  };
  void tell(std::string line);
  bool runs() const { return ok() && log_ != nullptr && !stopped(); }
  /// The machine stood still in this step: what the log said in it is known, its state is not.
  bool stopped() const { return fs_.stopped(); }
  bool failed_since(const Before& before) const { return fs_.failures() != before.failures; }
  Before before() const;
  bool expect(bool holds, std::string_view what);
  bool expect_equal(std::uint64_t is, std::uint64_t should_be, std::string_view what);

  // checked_log.cc
  void settle_append(const std::vector<std::uint32_t>& ids, AppendOutcome outcome,
                     const Before& before);
  void check_refusal(std::uint64_t bytes, const Before& before);
  bool could_not_be_deleted(const ModelSegment& segment) const;
  bool is_in_window(const ModelSegment& segment) const;
  bool is_all_skipped(const ModelReader& reader, std::uint64_t first_seq) const;
  std::vector<std::uint32_t> expected_claim(const ModelReader& reader, const ClaimLimits& limits,
                                            bool& more) const;
  // checked_log_life.cc
  void cursors_are_durable();
  void cursors_may_be_lost();
  void doom_unsynced();
  void settle_gone();

  // checked_log_disk.cc
  std::map<std::uint64_t, ModelSegment> segments_on_disk() const;
  void observe_segments(DropReason reason, std::uint64_t wanted_bytes, const Before& before);
  bool drop_segment(std::uint64_t first_seq, DropReason reason);
  void take_up_disk();
  bool take_up_segment(std::uint64_t& first_seq, ModelSegment& segment);
  void forget_numbers();
  void take_up_readers(const std::vector<std::string>& names);
  void take_up_reader(const ReaderStats& shown);
  void note_unsettled();
  bool is_in_log(const ModelRecord& record) const;
  void check_nothing_lost();
  void note_quarantined(const QuarantineEntry& entry);
  void check_quarantine();
  void check_stats(const LogStats& stats);
  void check_reader(ModelReader& reader, const ReaderStats& stats);
  std::uint64_t bytes_for_segments() const;
  std::uint64_t bytes_on_disk() const;
  std::uint64_t allocated(const std::string& path) const;

  SimulatedFileSystem& fs_;
  ManualClock& clock_;
  LogModel model_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
  std::string failure_;
  std::deque<std::string> story_;
  bool power_was_lost_ = false;       // since it was last open
  std::set<std::string> left_alone_;  // segment files that the log has not taken up
  bool failed_at_open_ = false;       // something may have been left for the next start
  std::size_t failed_unlinks_at_open_ = 0;
  std::size_t failed_renames_at_open_ = 0;
};

}  // namespace holdfast
