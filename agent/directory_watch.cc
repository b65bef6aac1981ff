#include "agent/directory_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <utility>

#include "buffer/clock.h"

namespace holdfast {
namespace {

// One mask for all: two paths may be one directory, and the last mask would win.
constexpr std::uint32_t kMask = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB |
                                IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr int kSettleMs = 100;
constexpr std::uint32_t kOfItself =
    IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW;

}  // namespace

bool is_all_digits(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

DirectoryWatch::DirectoryWatch(NameFilter matters)
    : matters_(std::move(matters)),
      events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      called_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

DirectoryWatch::~DirectoryWatch() {
  if (events_ >= 0) ::close(events_);
  if (called_ >= 0) ::close(called_);
}

DirectoryWatch::Added DirectoryWatch::add(const std::string& directory, const std::string& awaited,
                                          std::map<int, Awaited>& watches) {
  const int watch = ::inotify_add_watch(events_, directory.c_str(), kMask);
  if (watch < 0) return errno == ENOENT || errno == ENOTDIR ? Added::missing : Added::failed;
  Awaited& names = watches[watch];
  if (!awaited.empty()) names.insert(awaited);
  return Added::yes;
}

bool DirectoryWatch::refresh(const std::vector<std::string>& directories) {
  if (events_ < 0 || called_ < 0) return false;
  bool complete = true;
  std::map<int, Awaited> watches;
  for (const std::string& directory : directories) {
    // Up to what exists, and down again: a directory may come between two calls.
    std::vector<std::filesystem::path> chain{std::filesystem::path(directory)};
    while (chain.back().has_relative_path()) chain.push_back(chain.back().parent_path());
    std::size_t at = 0;
    Added added = add(chain[0], "", watches);
    while (added == Added::missing && at + 1 < chain.size()) {
      ++at;
      added = add(chain[at], chain[at - 1].filename(), watches);
    }
    while (added == Added::yes && at > 0) {
      added = add(chain[at - 1], at > 1 ? chain[at - 2].filename().string() : "", watches);
      if (added == Added::yes) --at;
    }
    if (added == Added::failed) complete = false;
  }
  for (const auto& [watch, awaited] : watches_) {
    if (!watches.contains(watch)) ::inotify_rm_watch(events_, watch);
  }
  watches_ = std::move(watches);
  return complete;
}

DirectoryWatch::Woken DirectoryWatch::wait(std::int64_t timeout_ns) {
  const std::int64_t until = timeout_ns < 0 ? 0 : system_clock().steady_ns() + timeout_ns;
  for (;;) {
    timespec left{};
    if (timeout_ns >= 0) {
      const std::int64_t ns = std::max<std::int64_t>(until - system_clock().steady_ns(), 0);
      left = {static_cast<time_t>(ns / kNsPerSecond), static_cast<long>(ns % kNsPerSecond)};
    }
    // poll() steps over a descriptor that is negative: without inotify only the clock is left.
    std::array<pollfd, 2> ready{pollfd{events_, POLLIN, 0}, pollfd{called_, POLLIN, 0}};
    const int count =
        ::ppoll(ready.data(), ready.size(), timeout_ns < 0 ? nullptr : &left, nullptr);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Woken::deadline;
    if (ready[1].revents != 0) {
      std::uint64_t value = 0;
      static_cast<void>(!::read(called_, &value, sizeof value));
      return Woken::called;
    }
    if (ready[0].revents != 0 && read_events()) return settle();
  }
}

DirectoryWatch::Woken DirectoryWatch::settle() {
  // Many files come together: they are worth one look.
  pollfd called{called_, POLLIN, 0};
  if (::poll(&called, 1, kSettleMs) > 0) return Woken::called;
  read_events();
  return Woken::changed;
}

bool DirectoryWatch::read_events() {
  bool matters = false;
  alignas(inotify_event) std::array<char, 16 << 10> buffer;
  for (;;) {
    const ssize_t got = ::read(events_, buffer.data(), buffer.size());
    if (got <= 0) return matters;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      const auto watch = watches_.find(event->wd);
      const std::string name = event->len > 0 ? event->name : "";
      if ((event->mask & kOfItself) != 0 || name.empty()) {
        // IN_IGNORED of a watch that was given up is no news.
        matters |= watch != watches_.end() || (event->mask & IN_Q_OVERFLOW) != 0;
      } else if (watch != watches_.end()) {
        matters |= matters_(name) || watch->second.contains(name);
      }
    }
  }
}

void DirectoryWatch::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(called_, &one, sizeof one));
}

}  // namespace holdfast
