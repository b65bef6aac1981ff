// Tells when something may have changed in some directories: files closed or moved in, directories
// that come, go or change their permissions.
//
// On plain inotify(7): libinotifytools has one descriptor and one table of watches for the whole
// process without a lock, waits in a select of its own that nothing else can end, and writes to
// stderr. refresh() and wait() on one thread; wake() from any.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace holdfast {

class DirectoryWatch {
 public:
  using NameFilter = std::function<bool(const std::string& name)>;
  /// Of files in the directories only those that `matters` says yes to are told.
  explicit DirectoryWatch(NameFilter matters);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  /// Watches each directory, or the nearest one above it while it does not exist. To be called
  /// before each look, since directories come and go. False: some cannot be watched, look by the
  /// clock.
  bool refresh(const std::vector<std::string>& directories);

  enum class Woken : std::uint8_t { changed, deadline, called };
  /// Blocks until something changed, `timeout_ns` have passed (negative: no limit), or wake().
  Woken wait(std::int64_t timeout_ns);

  void wake();

 private:
  /// What is looked for in a directory that is watched for one below it; empty: nothing but files.
  using Awaited = std::set<std::string>;
  enum class Added : std::uint8_t { yes, missing, failed };

  Added add(const std::string& directory, const std::string& awaited,
            std::map<int, Awaited>& watches);
  bool read_events();
  Woken settle();

  const NameFilter matters_;
  int events_ = -1;
  int called_ = -1;
  std::map<int, Awaited> watches_;  // by watch descriptor
};

/// Digits alone, as disk-buffering names its files.
bool is_all_digits(const std::string& name);

}  // namespace holdfast
