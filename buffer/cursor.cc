#include "buffer/cursor.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "buffer/clock.h"
#include "buffer/deflate.h"
#include "buffer/little_endian.h"
#include "buffer/segment_format.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kMagic = 0x55434648;  // "HFCU"
constexpr std::uint16_t kVersion = 1;
// A slot has a sector of its own: a torn write cannot touch the other one.
constexpr std::size_t kSlotBytes = kCursorBytes / 2;
constexpr std::size_t kUsedBytes = 40;
constexpr std::size_t kCrcAt = 36;
constexpr std::size_t kRulesLengthAt = 40;
constexpr std::size_t kRulesCrcAt = 44;
constexpr std::size_t kRulesAt = 48;
constexpr std::size_t kRulesBytesMax = kSlotBytes - kRulesAt;

using Slot = std::array<char, kSlotBytes>;

bool is_whole(const char* slot) {
  return load_le<std::uint32_t>(slot) == kMagic && load_le<std::uint16_t>(slot + 4) == kVersion &&
         load_le<std::uint32_t>(slot + kCrcAt) == crc32c(0, std::string_view(slot, kCrcAt)) &&
         load_le<std::uint64_t>(slot + 16) <= kSeqTakenUpMax;
}

std::string encode_rules(const SkipRules& rules) {
  std::string bytes;
  const auto put = [&bytes](auto value) {
    char at[sizeof value];
    store_le<decltype(value)>(at, value);
    bytes.append(at, sizeof value);
  };
  for (const SkipRule& rule : rules) {
    put(rule.from_seq);
    put(static_cast<std::uint16_t>(rule.sources.size()));
    for (const std::uint16_t source : rule.sources) put(source);
  }
  return bytes;
}

/// False: the slot's rules are damaged. A slot that ends before them has none.
bool read_rules(std::string_view slot, SkipRules& rules) {
  if (slot.size() < kRulesAt) return true;
  const auto length = load_le<std::uint32_t>(slot.data() + kRulesLengthAt);
  if (length == 0) return true;
  if (length > slot.size() - kRulesAt) return false;
  const std::string_view bytes = slot.substr(kRulesAt, length);
  // Over the slot's own checksum: rules of another generation do not pass for these.
  const auto of_slot = load_le<std::uint32_t>(slot.data() + kCrcAt);
  if (load_le<std::uint32_t>(slot.data() + kRulesCrcAt) != crc32c(of_slot, bytes)) return false;
  for (std::size_t at = 0; at < bytes.size();) {
    if (bytes.size() - at < 10) return false;
    SkipRule rule{load_le<std::uint64_t>(bytes.data() + at), {}};
    const auto count = load_le<std::uint16_t>(bytes.data() + at + 8);
    at += 10;
    if (bytes.size() - at < std::size_t{count} * 2) return false;
    for (int i = 0; i < count; ++i, at += 2) {
      rule.sources.push_back(load_le<std::uint16_t>(bytes.data() + at));
    }
    rules.push_back(std::move(rule));
  }
  return true;
}

}  // namespace

const Sources& skipped_at(const SkipRules& rules, std::uint64_t seq) {
  static const Sources kNone;
  const auto in_force = std::find_if(rules.rbegin(), rules.rend(),
                                     [&](const SkipRule& rule) { return rule.from_seq <= seq; });
  return in_force == rules.rend() ? kNone : in_force->sources;
}

bool contains(const Sources& sources, std::uint16_t source) {
  return std::find(sources.begin(), sources.end(), source) != sources.end();
}

bool skips(const SkipRules& rules, std::uint64_t seq, std::uint16_t source) {
  return contains(skipped_at(rules, seq), source);
}

bool fit_in_cursor(const SkipRules& rules) { return encode_rules(rules).size() <= kRulesBytesMax; }

std::string cursor_file_name(std::string_view reader) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string name = "cursor-";
  for (const char c : reader) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (plain) {
      name += c;
    } else {
      name += '%';
      name += kHex[byte >> 4];
      name += kHex[byte & 15];
    }
  }
  return name;
}

Cursor Cursor::open(FileSystem& fs, const std::string& directory, std::string_view reader,
                    std::int64_t now_unix_ns) {
  auto opened = open_file(fs, directory, cursor_file_name(reader));
  if (opened) return std::move(*opened);
  // Out of the way at once: left there, a later start could read it again and take newer records
  // for delivered.
  Cursor cursor(fs, directory, directory + "/" + cursor_file_name(reader));
  const Status moved = cursor.set_aside(now_unix_ns);
  cursor.obstacle_ =
      opened.error().message + (moved.ok() ? "; it was renamed" : "; " + moved.error().message);
  return cursor;
}

Result<Cursor> Cursor::open_file(FileSystem& fs, const std::string& directory,
                                 const std::string& file_name) {
  Cursor cursor(fs, directory, directory + "/" + file_name);
  auto file = fs.open(cursor.path_, FileSystem::Mode::read_write);
  if (!file) {
    if (file.error().code == ENOENT) return cursor;
    return file.error();
  }
  cursor.file_ = std::move(*file);
  cursor.stale_ = true;  // an earlier life may have failed to: what is read tells nothing of it
  if (Status read = cursor.read_slots(); !read) return read.error();
  return cursor;
}

Status Cursor::read_slots() {
  std::array<char, kCursorBytes> bytes{};
  const auto got = file_->pread(bytes.data(), bytes.size(), 0);
  if (!got) return got.error();
  was_damaged_ = true;
  for (std::size_t at = 0; at + kUsedBytes <= *got; at += kSlotBytes) {
    const char* slot = bytes.data() + at;
    SkipRules rules;
    const std::size_t there = std::min(kSlotBytes, *got - at);
    if (!is_whole(slot) || !read_rules({slot, there}, rules)) continue;
    const auto generation = load_le<std::uint64_t>(slot + 8);
    // By their distance: there is none that could not be followed by another one.
    if (was_damaged_ || static_cast<std::int64_t>(generation - generation_) > 0) {
      generation_ = generation;
      next_seq_ = load_le<std::uint64_t>(slot + 16);
      rules_ = std::move(rules);
    }
    was_damaged_ = false;
  }
  return {};
}

Status Cursor::set_aside(std::int64_t now_unix_ns) {
  return fs_->rename(path_, path_ + kSetAsideMark + std::to_string(now_unix_ns / kNsPerMs));
}

Status Cursor::make_file(std::int64_t now_unix_ns) {
  auto file = fs_->open(path_, FileSystem::Mode::create_new);
  if (!file && file.error().code == EEXIST) {  // what could not be renamed at the start
    if (Status moved = set_aside(now_unix_ns); !moved) return moved;
    file = fs_->open(path_, FileSystem::Mode::create_new);
  }
  if (!file) return file.error();
  // Both slots get their blocks now, so that later writes need none.
  std::array<char, kCursorBytes> zeros{};
  const iovec part{zeros.data(), zeros.size()};
  Status status = (*file)->pwritev({&part, 1}, 0);
  if (status.ok()) status = (*file)->fdatasync();
  if (status.ok()) status = fs_->sync_directory(directory_);
  if (!status) {
    static_cast<void>(fs_->unlink(path_));
    return status;
  }
  file_ = std::move(*file);
  return {};
}

Status Cursor::write(std::uint64_t next_seq, std::int64_t now_unix_ns) {
  std::lock_guard lock(*mutex_);
  if (file_ != nullptr && next_seq <= next_seq_ && !stale_) return {};  // the other thread did
  if (file_ == nullptr) {
    if (Status made = make_file(now_unix_ns); !made) return made;
  }
  next_seq = std::max(next_seq, next_seq_);
  Slot slot{};
  const std::uint64_t generation = generation_ + 1;
  store_le<std::uint32_t>(slot.data(), kMagic);
  store_le<std::uint16_t>(slot.data() + 4, kVersion);
  store_le<std::uint64_t>(slot.data() + 8, generation);
  store_le<std::uint64_t>(slot.data() + 16, next_seq);
  store_le<std::uint64_t>(slot.data() + 24, static_cast<std::uint64_t>(now_unix_ns));
  const std::uint32_t crc = crc32c(0, std::string_view(slot.data(), kCrcAt));
  store_le<std::uint32_t>(slot.data() + kCrcAt, crc);
  const std::string rules = encode_rules(rules_);
  store_le<std::uint32_t>(slot.data() + kRulesLengthAt, static_cast<std::uint32_t>(rules.size()));
  store_le<std::uint32_t>(slot.data() + kRulesCrcAt, rules.empty() ? 0 : crc32c(crc, rules));
  rules.copy(slot.data() + kRulesAt, kRulesBytesMax);
  const iovec part{slot.data(), slot.size()};
  if (Status wrote = file_->pwritev({&part, 1}, (generation % 2) * kSlotBytes); !wrote)
    return wrote;
  generation_ = generation;
  next_seq_ = next_seq;
  stale_ = false;
  return {};
}

void Cursor::set_rules(SkipRules rules) {
  std::lock_guard lock(*mutex_);
  rules_ = std::move(rules);
  stale_ = true;
}

Status Cursor::save(std::uint64_t next_seq, std::int64_t now_unix_ns) {
  if (Status wrote = write(next_seq, now_unix_ns); !wrote) return wrote;
  // The kernel may have dropped what it could not sync: only a new write brings it back.
  const Status synced = file_->fdatasync();
  if (synced.ok()) return synced;
  std::lock_guard lock(*mutex_);
  stale_ = true;
  return synced;
}

}  // namespace holdfast
