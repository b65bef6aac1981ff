// Drains directories that opentelemetry-java-contrib's disk-buffering writes: an application
// without a network exporter stores its telemetry there, and this takes it into the log of its
// signal.
//
// One thread. It sleeps until a file is closed or moved in, or the next one is old enough. A kill
// repeats at most what was not yet deleted (import_files.h).
#pragma once

#include <array>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include "agent/byte_budget.h"
#include "agent/config.h"
#include "agent/directory_watch.h"
#include "agent/import_directory.h"
#include "agent/import_files.h"
#include "agent/stats.h"
#include "buffer/clock.h"

namespace holdfast {

class DirectoryImport {
 public:
  /// A signal without a log is not imported. `receiver` and `budget` must outlive it, and so must
  /// its entries of `directories`: those that are not there are added here, and not later.
  DirectoryImport(const ImportConfig& config, const ImportTargets& targets, ReceiverStats& receiver,
                  std::vector<std::unique_ptr<ImportDirectoryStats>>& directories,
                  ByteBudget& budget, const Clock& clock = system_clock());
  ~DirectoryImport() { stop(); }

  void start();
  /// Commits what is under way, at most a MiB. Idempotent.
  void stop();

  /// Looks at all directories and takes what is old enough. Returns the steady time (ns) at which
  /// there is more to do without a change; INT64_MAX: none. The thread calls this; a test may, in
  /// its place.
  std::int64_t take_turn(const std::stop_token& stop);

 private:
  struct Lane {  // of one signal
    std::vector<ImportDirectory> directories;
    std::unique_ptr<FileImport> import;
    Signal signal = Signal::traces;
    std::int64_t not_before_ns = 0;  // steady
    std::int64_t pause_ns = 0;       // after the next failure
  };
  std::int64_t take_turn(Lane& lane, const std::stop_token& stop);

  const std::int64_t age_min_ns_;
  const Clock& clock_;
  std::vector<std::string> paths_;
  std::vector<Lane> lanes_;
  DirectoryWatch watch_{is_all_digits};
  std::jthread thread_;
};

}  // namespace holdfast
