#include "agent/config_watch.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <system_error>
#include <utility>

#include "agent/file_stamp.h"
#include "agent/logging.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr int kLinksMax = 40;  // as the kernel has it
constexpr std::int64_t kLookWithoutWatchNs = 5 * kNsPerSecond;
constexpr std::int64_t kSettleNs = 100 * kNsPerMs;

}  // namespace

std::set<std::string> directories_of(const std::string& path) {
  std::set<std::string> directories;
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  std::deque<fs::path> rest(whole.begin(), whole.end());
  fs::path at;
  for (int links = 0; !rest.empty();) {
    const fs::path part = rest.front();
    rest.pop_front();
    if (part == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path next = at / part;
    if (fs::is_symlink(fs::symlink_status(next, error)) && ++links <= kLinksMax) {
      directories.insert(at);
      const fs::path target = fs::read_symlink(next, error);
      rest.insert(rest.begin(), target.begin(), target.end());
      if (target.is_absolute()) at.clear();
    } else {
      if (rest.empty()) directories.insert(at);
      at = next;
    }
  }
  return directories;
}

ConfigWatch::ConfigWatch(const std::vector<std::string>& files, std::function<void()> changed)
    : changed_(std::move(changed)), watch_([](const std::string&) { return true; }) {
  watch(files);
  thread_ = std::jthread([this](const std::stop_token& stop) noexcept { run(stop); });
}

ConfigWatch::~ConfigWatch() {
  thread_.request_stop();
  watch_.wake();
}

void ConfigWatch::watch(const std::vector<std::string>& files) {
  {
    std::lock_guard lock(mutex_);
    const Stamps before = std::exchange(told_, {});
    for (const std::string& file : files) {
      const auto known = before.find(file);
      told_[file] = known == before.end() ? stamp_of(file) : known->second;
    }
  }
  watch_.wake();
}

ConfigWatch::Stamps ConfigWatch::look() const {
  Stamps now;
  {
    std::lock_guard lock(mutex_);
    now = told_;
  }
  for (auto& [file, stamp] : now) stamp = stamp_of(file);
  return now;
}

bool ConfigWatch::is_news(const Stamps& now) const {
  std::lock_guard lock(mutex_);
  return std::any_of(now.begin(), now.end(), [this](const auto& entry) {
    const auto told = told_.find(entry.first);
    return told != told_.end() && told->second != entry.second;
  });
}

void ConfigWatch::note(const Stamps& now) {
  std::lock_guard lock(mutex_);
  for (auto& [file, stamp] : told_) {
    if (const auto found = now.find(file); found != now.end()) stamp = found->second;
  }
}

void ConfigWatch::run(const std::stop_token& stop) {
  Stamps seen;
  while (!stop.stop_requested()) {
    std::set<std::string> directories;
    for (const auto& entry : look()) directories.merge(directories_of(entry.first));
    const bool watched = watch_.refresh({directories.begin(), directories.end()});
    if (!watched) {
      log(LogLevel::warn, "the configuration cannot be watched: it is looked at by the clock");
    }
    // After the watch is set: what changes from here on wakes it.
    const Stamps now = look();
    const bool news = is_news(now);
    const bool still = now == std::exchange(seen, now);
    if (news && still) {
      note(now);  // before it is read: what changes meanwhile is news again
      changed_();
    }
    watch_.wait(news && !still ? kSettleNs : watched ? -1 : kLookWithoutWatchNs);
  }
}

}  // namespace holdfast
