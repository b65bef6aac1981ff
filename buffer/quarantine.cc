#include "buffer/quarantine.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "buffer/cursor.h"
#include "buffer/segment_format.h"

namespace holdfast {
namespace {

constexpr std::string_view kEnding = ".rec";
constexpr std::string_view kTemporary = ".tmp";
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
  std::erase_if(*listed, [&](const DirectoryEntry& found) {
    const bool unfinished = found.is_regular && found.name.ends_with(kTemporary);
    if (unfinished) static_cast<void>(fs_.unlink(directory_ + "/" + found.name));  // by a crash
    return unfinished;
  });
  take_up(*listed);
  return {};
}

void Quarantine::look_again() {
  if (count_ == 0) return;
  std::lock_guard lock(mutex_);
  const auto listed = fs_.list(directory_);
  if (listed || listed.error().code == ENOENT) {
    made_ = listed.ok();
    take_up(listed ? *listed : std::vector<DirectoryEntry>());
  }
}

/// Makes entries_ what is listed.
void Quarantine::take_up(const std::vector<DirectoryEntry>& listed) {
  const auto by_name = [](const Entry& a, const Entry& b) { return a.name < b.name; };
  std::sort(entries_.begin(), entries_.end(), by_name);
  std::deque<Entry> now;
  std::uint64_t bytes = 0;
  for (const DirectoryEntry& found : listed) {
    if (!found.is_regular || found.name.ends_with(kTemporary)) continue;
    Entry entry{found.name, kDiskBlockBytes};  // that at least, where it cannot be asked
    const auto known = std::lower_bound(entries_.begin(), entries_.end(), entry, by_name);
    if (known != entries_.end() && known->name == entry.name) {
      entry.allocated = known->allocated;
    } else if (const auto file = fs_.open(directory_ + "/" + entry.name, FileSystem::Mode::read)) {
      const auto allocated = (*file)->allocated();
      if (allocated) entry.allocated = *allocated;
    }
    count_numbers_of(entry);
    bytes += entry.allocated;
    now.push_back(std::move(entry));
  }
  std::sort(now.begin(), now.end(), by_name);
  entries_.swap(now);
  bytes_ = bytes;
  count_ = entries_.size();
}

Status Quarantine::make_directory() {
  if (made_) return {};
  const Status made = fs_.make_directories(directory_, 0750);
  made_ = made.ok();
  return made;
}

Status Quarantine::add(const QuarantineEntry& entry) {
  std::lock_guard lock(mutex_);
  if (Status made = make_directory(); !made) return made;
  const std::uint64_t head = entry_line(entry, 0).size() + 64;
  const std::uint64_t room_max = bytes_max_;
  const std::uint64_t room = room_max > head ? room_max - head : 0;
  const std::string_view bytes = entry.bytes.substr(0, room);
  const std::uint64_t needs = rounded_to_blocks(head + bytes.size());
  if (Status room_made = make_room(needs); !room_made) return room_made;
  const std::string name = entry_name(entry);
  if (Status wrote = write(name, entry, bytes); !wrote) return wrote;
  // The same request again, after a crash before its acknowledgement.
  if (const auto same = find(name); same != entries_.end()) erase(same);
  insert({name, needs});
  return {};
}

Status Quarantine::take_in(const std::string& path, std::uint64_t allocated) {
  std::lock_guard lock(mutex_);
  if (allocated > bytes_max_) return Error{EFBIG, "larger than the whole quarantine: " + path};
  if (Status made = make_directory(); !made) return made;
  if (Status room_made = make_room(allocated); !room_made) return room_made;
  const auto named = parse_segment_name(std::string_view(path).substr(path.rfind('/') + 1));
  if (!named) return Error{EINVAL, "not a segment: " + path};
  std::string name;
  for (std::int64_t ms = named->created_unix_ms; name.empty() || find(name) != entries_.end();
       ++ms) {
    // Nothing that is here may be written over.
    name = segment_stem(named->first_seq, ms % (INT64_MAX / kNsPerMs) * kNsPerMs) + ".seg";
  }
  if (Status moved = fs_.rename(path, directory_ + "/" + name); !moved) return moved;
  insert({name, allocated});
  return fs_.sync_directory(directory_);
}

std::deque<Quarantine::Entry>::iterator Quarantine::find(std::string_view name) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.name == name; });
}

void Quarantine::insert(Entry entry) {
  count_numbers_of(entry);
  bytes_ += entry.allocated;
  entries_.push_back(std::move(entry));
  count_ = entries_.size();
}

void Quarantine::erase(std::deque<Entry>::iterator entry) {
  bytes_ -= entry->allocated;
  entries_.erase(entry);
  count_ = entries_.size();
}

void Quarantine::count_numbers_of(const Entry& entry) {
  const std::string& name = entry.name;
  std::uint64_t seq = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), seq);
  if (parsed.ec != std::errc{} || seq > kSeqTakenUpMax) return;
  // How many records a segment holds that nobody has read is unknown; each takes some bytes.
  const std::uint64_t after = seq + (name.ends_with(kEnding) ? 1 : entry.allocated);
  next_seq_ = std::max(next_seq_.load(), after);
}

Status Quarantine::write(const std::string& name, const QuarantineEntry& entry,
                         std::string_view bytes) {
  const std::string path = directory_ + "/" + name;
  const std::string temporary = path + std::string(kTemporary);
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

Status Quarantine::make_room(std::uint64_t bytes) {
  while (!entries_.empty() && bytes_ + bytes > bytes_max_) {
    const Status gone = fs_.unlink(directory_ + "/" + entries_.front().name);
    // An operator may have been here before.
    const bool by_others = !gone && gone.error().code == ENOENT;
    if (!gone && !by_others) return gone;  // it would grow without a bound
    erase(entries_.begin());
    if (!by_others) ++evicted_;
  }
  return {};
}

Quarantine::Stats Quarantine::stats() const { return {bytes_, count_, evicted_, next_seq_}; }

}  // namespace holdfast
