#include "agent/import_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "agent/directory_watch.h"
#include "agent/logging.h"
#include "buffer/filesystem.h"

namespace holdfast {
namespace {

std::optional<FileIdentity> identity_of(const struct stat& info) {
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return FileIdentity{info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
                      info.st_mtim.tv_sec * kNsPerSecond + info.st_mtim.tv_nsec,
                      info.st_ctim.tv_sec * kNsPerSecond + info.st_ctim.tv_nsec};
}

/// Nothing for names that are no time in ms.
std::optional<std::uint64_t> created_ms_of(const std::string& name) {
  std::uint64_t ms = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, ms);
  if (name.empty() || error != std::errc{} || rest != end) return std::nullopt;
  if (ms > static_cast<std::uint64_t>(INT64_MAX / kNsPerMs)) return std::nullopt;
  return ms;
}

}  // namespace

std::optional<FileIdentity> identity_of(int descriptor) {
  struct stat info {};
  return ::fstat(descriptor, &info) == 0 ? identity_of(info) : std::nullopt;
}

std::optional<FileIdentity> identity_of(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? identity_of(info) : std::nullopt;
}

bool ImportDirectory::may_delete() {
  if (::faccessat(AT_FDCWD, path().c_str(), W_OK | X_OK, AT_EACCESS) == 0) return true;
  const int code = errno;
  stats_.last_error.set("cannot be written: " + std::generic_category().message(code));
  log(LogLevel::error, "an import directory is left alone: its files could not be deleted",
      {{"directory", path()}, {"error", std::generic_category().message(code)}});
  return false;
}

ImportDirectory::Look ImportDirectory::look(std::int64_t age_min_ns) {
  Look look;
  stats_.pending_files = stats_.pending_bytes = 0;
  auto listed = posix_filesystem().list(path());
  if (!listed) {
    if (listed.error().code == ENOENT) return look;
    stats_.last_error.set(listed.error().message);
    log(LogLevel::error, "an import directory cannot be read",
        {{"directory", path()}, {"error", listed.error().message}});
    return look;
  }
  std::map<std::string, FileIdentity> aside;
  const std::int64_t now = clock_.steady_ns();
  for (const DirectoryEntry& entry : *listed) {
    const auto created_ms = is_all_digits(entry.name) ? created_ms_of(entry.name) : std::nullopt;
    if (!created_ms) continue;
    ImportFile file{path() + "/" + entry.name, *created_ms, {}, &stats_};
    const auto identity = identity_of(file.path);
    if (!identity) continue;  // a link, a pipe, or its writer has deleted it
    file.identity = *identity;
    ++stats_.pending_files;
    stats_.pending_bytes += identity->bytes;
    const auto kept = set_aside_.find(file.path);
    if (kept != set_aside_.end() && kept->second == *identity) {
      aside.insert(*kept);
      continue;
    }
    const std::int64_t at = old_enough_at(file, age_min_ns);
    if (at > now) {
      look.due_ns = std::min(look.due_ns, at);
    } else {
      look.ready.push_back(std::move(file));
    }
  }
  set_aside_ = std::move(aside);
  still_ = std::exchange(still_next_, {});
  const bool stuck = !look.ready.empty() && !may_delete();
  if (stuck) look.ready.clear();
  if (!stuck && set_aside_.empty()) stats_.last_error.set("");
  return look;
}

std::int64_t ImportDirectory::old_enough_at(const ImportFile& file, std::int64_t age_min_ns) {
  const std::int64_t steady = clock_.steady_ns();
  const std::int64_t touched =
      std::max(static_cast<std::int64_t>(file.created_ms) * kNsPerMs, file.identity.modified_ns);
  const std::int64_t age = clock_.unix_ns() - touched;
  if (age >= 0) return steady + (age_min_ns - age);
  // The clock was set back, or the name lies. An age cannot be told; that it keeps still can.
  Still still{file.identity, steady};
  const auto seen = still_.find(file.path);
  if (seen != still_.end() && seen->second.identity == file.identity) still = seen->second;
  still_next_[file.path] = still;
  return still.since_ns + age_min_ns;
}

}  // namespace holdfast
