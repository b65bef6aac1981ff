// Tells when the files of a configuration have changed: replaced by a rename, written in place, or
// behind a symbolic link that was switched (Kubernetes' ..data).
//
// One thread, which sleeps until something happens in one of the directories on the way to the
// files. What counts is the file at the end (file_stamp.h), once it has kept still for a moment.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/directory_watch.h"
#include "agent/file_stamp.h"

namespace holdfast {

/// The directories in which something must happen before `path` is another file: those of the file
/// itself and of each symbolic link on the way.
std::set<std::string> directories_of(const std::string& path);

class ConfigWatch {
 public:
  /// From now on; `changed` is called on the thread.
  ConfigWatch(const std::vector<std::string>& files, std::function<void()> changed);
  ~ConfigWatch();
  ConfigWatch(const ConfigWatch&) = delete;
  ConfigWatch& operator=(const ConfigWatch&) = delete;

  /// Watches these instead. Thread-safe.
  void watch(const std::vector<std::string>& files);

 private:
  using Stamps = std::map<std::string, FileStamp>;  // by file
  void run(const std::stop_token& stop);
  /// Of the files that are watched now.
  Stamps look() const;
  bool is_news(const Stamps& now) const;
  void note(const Stamps& now);

  const std::function<void()> changed_;
  DirectoryWatch watch_;
  mutable std::mutex mutex_;
  Stamps told_;          // as they were when they were read
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace holdfast
