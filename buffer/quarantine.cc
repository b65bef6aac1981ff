#include "buffer/quarantine.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "buffer/cursor.h"

namespace holdfast {
namespace {

constexpr std::string_view kEnding = ".rec";
constexpr std::size_t kMessageBytesMax = 1024;

std::string entry_name(const QuarantineEntry& entry) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%020llu-%06u-",
                static_cast<unsigned long long>(entry.seq), entry.request_index);
  const std::string reader =
      cursor_file_name(entry.reader).substr(std::string_view("cursor-").size());
  return text.data() + reader + std::string(kEnding);
}

std::string entry_line(const QuarantineEntry& entry, std::int64_t unix_ms) {
  std::string line = "{\"seq\":" + std::to_string(entry.seq);
  line += ",\"request\":" + std::to_string(entry.request_index);
  line += ",\"items\":" + std::to_string(entry.item_count);
  line += ",\"exporter\":" + json_quoted(entry.reader);
  line += ",\"reason\":" + json_quoted(entry.reason);
  line += ",\"status\":" + std::to_string(entry.status);
  line += ",\"message\":" + json_quoted(entry.message.substr(0, kMessageBytesMax));
  line += ",\"unix_ms\":" + std::to_string(unix_ms);
  line += ",\"bytes\":" + std::to_string(entry.bytes.size());
  return line + "}\n";
}

}  // namespace

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", byte);
      out += escaped.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

Status Quarantine::open() {
  std::lock_guard lock(mutex_);
  auto listed = fs_.list(directory_);
  if (!listed) {
    if (listed.error().code == ENOENT) return {};
    return listed.error();
  }
  made_ = true;
  for (DirectoryEntry& found : *listed) {
    if (!found.is_regular) continue;
    if (found.name.ends_with(".tmp")) {
      static_cast<void>(fs_.unlink(directory_ + "/" + found.name));  // a crash while writing
      continue;
    }
    auto file = fs_.open(directory_ + "/" + found.name, FileSystem::Mode::read);
    if (!file) continue;
    const auto allocated = (*file)->allocated();
    std::uint64_t seq = 0;
    if (std::from_chars(found.name.data(), found.name.data() + found.name.size(), seq).ec ==
        std::errc{}) {
      next_seq_ = std::max(next_seq_.load(), seq + 1);
    }
    entries_.push_back({std::move(found.name), allocated ? *allocated : kDiskBlockBytes});
    bytes_ += entries_.back().allocated;
  }
  count_ = entries_.size();
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return {};
}

Status Quarantine::add(const QuarantineEntry& entry) {
  std::lock_guard lock(mutex_);
  if (!made_) {
    if (Status made = fs_.make_directories(directory_, 0750); !made) return made;
    made_ = true;
  }
  const std::uint64_t head = entry_line(entry, 0).size() + 64;
  const std::uint64_t room = bytes_max_ > head ? bytes_max_ - head : 0;
  const std::string_view bytes = entry.bytes.substr(0, room);
  const std::uint64_t needs = rounded_to_blocks(head + bytes.size());
  make_room(needs);
  const std::string name = entry_name(entry);
  if (Status wrote = write(name, entry, bytes); !wrote) return wrote;
  const auto same = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const Entry& other) { return other.name == name; });
  if (same != entries_.end()) {  // the same request again, after a crash before its acknowledgement
    bytes_ -= same->allocated;
    entries_.erase(same);
  }
  entries_.push_back({name, needs});
  bytes_ += needs;
  count_ = entries_.size();
  next_seq_ = std::max(next_seq_.load(), entry.seq + 1);
  return {};
}

Status Quarantine::write(const std::string& name, const QuarantineEntry& entry,
                         std::string_view bytes) {
  const std::string path = directory_ + "/" + name;
  const std::string temporary = path + ".tmp";
  auto file = fs_.open(temporary, FileSystem::Mode::create_new);
  if (!file && file.error().code == EEXIST) {
    static_cast<void>(fs_.unlink(temporary));
    file = fs_.open(temporary, FileSystem::Mode::create_new);
  }
  if (!file) return file.error();
  std::string line = entry_line(entry, clock_.unix_ns() / kNsPerMs);
  const std::array<iovec, 2> parts{iovec{line.data(), line.size()},
                                   iovec{const_cast<char*>(bytes.data()), bytes.size()}};
  Status status = (*file)->pwritev(parts, 0);
  if (status.ok()) status = (*file)->fdatasync();
  if (status.ok()) status = fs_.rename(temporary, path);
  if (status.ok()) status = fs_.sync_directory(directory_);
  if (!status) static_cast<void>(fs_.unlink(temporary));
  return status;
}

void Quarantine::make_room(std::uint64_t bytes) {
  while (!entries_.empty() && bytes_ + bytes > bytes_max_) {
    const Status gone = fs_.unlink(directory_ + "/" + entries_.front().name);
    if (!gone && gone.error().code != ENOENT) break;  // an operator may have been here before
    bytes_ -= entries_.front().allocated;
    entries_.pop_front();
    count_ = entries_.size();
    ++evicted_;
  }
}

Quarantine::Stats Quarantine::stats() const { return {bytes_, count_, evicted_, next_seq_}; }

}  // namespace holdfast
