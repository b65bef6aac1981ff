#include "agent/directory_import.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "agent/logging.h"

namespace holdfast {
namespace {

constexpr std::int64_t kPauseMinNs = kNsPerSecond;
constexpr std::int64_t kPauseMaxNs = 5 * kNsPerSecond;
constexpr std::int64_t kBusyPauseNs = 100 * kNsPerMs;
constexpr std::int64_t kLookWithoutWatchNs = 30 * kNsPerSecond;

ImportDirectoryStats& stats_of(const std::string& path, Signal signal,
                               std::vector<std::unique_ptr<ImportDirectoryStats>>& directories) {
  for (const auto& stats : directories) {
    if (stats->directory == path && stats->signal == signal) return *stats;
  }
  auto& stats = *directories.emplace_back(std::make_unique<ImportDirectoryStats>());
  stats.directory = path;
  stats.signal = signal;
  return stats;
}

}  // namespace

DirectoryImport::DirectoryImport(const ImportConfig& config, const ImportTargets& targets,
                                 ReceiverStats& receiver,
                                 std::vector<std::unique_ptr<ImportDirectoryStats>>& directories,
                                 ByteBudget& budget, const Clock& clock)
    : age_min_ns_(config.age_min.count() * kNsPerMs), clock_(clock) {
  for (const Signal signal : kSignals) {
    const ImportTarget& target = targets[index_of(signal)];
    Lane lane;
    lane.signal = signal;
    lane.pause_ns = kPauseMinNs;
    for (const std::string& path : config.directories[index_of(signal)]) {
      if (target.log == nullptr) {
        log(LogLevel::warn, "an import directory is left alone: its signal has no pipeline",
            {{"directory", path}, {"signal", name_of(signal)}});
        continue;
      }
      ImportDirectoryStats& stats = stats_of(path, signal, directories);
      lane.directories.emplace_back(stats, clock_);
      paths_.push_back(path);
      log(LogLevel::info, "importing a directory",
          {{"directory", path}, {"signal", name_of(signal)}});
    }
    if (lane.directories.empty()) continue;
    lane.import = std::make_unique<FileImport>(target, receiver.signals[index_of(signal)], budget);
    lanes_.push_back(std::move(lane));
  }
}

void DirectoryImport::start() {
  if (lanes_.empty()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) noexcept {
    const std::stop_callback wake(stop, [this] { watch_.wake(); });
    while (!stop.stop_requested()) {
      const std::int64_t due = take_turn(stop);
      const std::int64_t now = clock_.steady_ns();
      watch_.wait(due == INT64_MAX ? -1 : std::max<std::int64_t>(due - now, 0));
    }
  });
}

void DirectoryImport::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

std::int64_t DirectoryImport::take_turn(const std::stop_token& stop) {
  std::int64_t due = INT64_MAX;
  // Before the look: what comes between the two is told by the watch.
  if (!watch_.refresh(paths_)) {
    log(LogLevel::warn,
        "some import directories cannot be watched: they are looked at by the clock");
    due = clock_.steady_ns() + kLookWithoutWatchNs;
  }
  for (Lane& lane : lanes_) due = std::min(due, take_turn(lane, stop));
  return due;
}

std::int64_t DirectoryImport::take_turn(Lane& lane, const std::stop_token& stop) {
  if (lane.not_before_ns > clock_.steady_ns()) return lane.not_before_ns;
  std::int64_t due = INT64_MAX;
  std::vector<ImportFile> ready;
  for (ImportDirectory& directory : lane.directories) {
    ImportDirectory::Look look = directory.look(age_min_ns_);
    due = std::min(due, look.due_ns);
    std::move(look.ready.begin(), look.ready.end(), std::back_inserter(ready));
  }
  std::sort(ready.begin(), ready.end(), [](const ImportFile& a, const ImportFile& b) {
    return std::tie(a.created_ms, a.path) < std::tie(b.created_ms, b.path);
  });
  const FileImport::Outcome outcome = lane.import->take(ready, stop);
  for (const ImportFile& file : lane.import->set_aside()) {
    for (ImportDirectory& directory : lane.directories) {
      if (directory.path() == file.stats->directory) directory.set_aside(file);
    }
  }
  const std::int64_t now = clock_.steady_ns();
  switch (outcome) {
    case FileImport::Outcome::full:
      log(LogLevel::warn, "the import waits: the buffer has no room",
          {{"signal", name_of(lane.signal)}});
      lane.not_before_ns = now + lane.pause_ns;
      lane.pause_ns = std::min(lane.pause_ns * 2, kPauseMaxNs);
      return lane.not_before_ns;
    case FileImport::Outcome::busy:
      lane.not_before_ns = now + kBusyPauseNs;
      return lane.not_before_ns;
    case FileImport::Outcome::done:
      lane.pause_ns = kPauseMinNs;
      // A file that is never what it was a moment ago must not keep the processor busy.
      if (!ready.empty() && !lane.import->got_on()) lane.not_before_ns = now + lane.pause_ns;
      break;
    case FileImport::Outcome::stopped:
      break;
  }
  // What came or was written to while it was read shows in another look.
  return ready.empty() ? due : std::max(now, lane.not_before_ns);
}

}  // namespace holdfast
