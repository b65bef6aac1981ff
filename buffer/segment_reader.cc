#include "buffer/segment_reader.h"

#include <algorithm>
#include <array>

#include "buffer/segment_salvage.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kReadAheadBytes = 128U << 10;
constexpr std::uint64_t kAlignment = 8;
constexpr std::string_view kUnknownVersion = "unknown format version: ";

}  // namespace

bool SegmentReader::is_unknown_version(const Error& error) {
  return error.code == 0 && error.message.starts_with(kUnknownVersion);
}

Result<SegmentReader> SegmentReader::open(FileSystem& fs, const std::string& path,
                                          Unreadable unreadable) {
  auto file = fs.open(path, FileSystem::Mode::read);
  if (!file) return file.error();
  SegmentReader reader(std::move(*file), {}, unreadable);
  SegmentHeaderBytes bytes{};
  BadBlocks bad;
  const auto got = reader.read(bytes.data(), bytes.size(), 0, bad);
  if (!got) return got.error();
  const std::string_view header(bytes.data(), *got);
  const auto parsed = parse_segment_header(header);
  reader.header_ = parsed.header;
  reader.header_was_damaged_ =
      parsed.version_was_damaged || parsed.error == SegmentHeaderError::damaged;
  if (parsed.error == SegmentHeaderError::none) return reader;
  if (parsed.error == SegmentHeaderError::unknown_version) {
    return Error{0, std::string(kUnknownVersion) + path};
  }
  const auto name = parse_segment_name(std::string_view(path).substr(path.rfind('/') + 1));
  const auto salvaged = salvage_segment_header(*reader.file_, header, name.value_or(SegmentName{}),
                                               unreadable == Unreadable::is_damage);
  if (!salvaged) return salvaged.error();
  if (!salvaged.value()) return Error{0, "damaged segment header: " + path};
  reader.header_ = *salvaged.value();
  return reader;
}

Status SegmentReader::reopen(FileSystem& fs, const std::string& path) {
  auto file = fs.open(path, FileSystem::Mode::read);
  if (!file) return file.error();
  file_ = std::move(*file);
  return {};
}

Result<std::size_t> SegmentReader::read(char* to, std::size_t length, std::uint64_t offset,
                                        BadBlocks& bad) {
  if (unreadable_ == Unreadable::is_damage) return pread_around(*file_, to, length, offset, bad);
  return file_->pread(to, length, offset);
}

bool SegmentReader::fill(std::uint64_t length, std::uint64_t data_end, std::string& arena,
                         Step& step) {
  const std::uint64_t have_end = arena_offset_ + (arena.size() - arena_base_);
  const std::uint64_t need_end = offset_ + length;
  if (need_end <= have_end) return true;
  const std::size_t at = arena.size();
  arena.resize(at +
               static_cast<std::size_t>(
                   std::min(data_end, std::max(need_end, have_end + kReadAheadBytes)) - have_end));
  auto got = file_->pread(arena.data() + at, arena.size() - at, have_end);
  if (!got) {
    // What lies ahead and cannot be read must not hold up what comes before it.
    arena.resize(at + static_cast<std::size_t>(need_end - have_end));
    got = read(arena.data() + at, arena.size() - at, have_end, step.bad);
  }
  arena.resize(at + (got ? *got : 0));
  if (!got) {
    step.kind = Step::Kind::io_error;
    step.error = got.error();
    return false;
  }
  return need_end <= have_end + *got;
}

SegmentReader::Step SegmentReader::next(std::uint64_t data_end, std::string& arena) {
  Step step;
  step.offset = offset_;
  if (offset_ >= data_end) return step;
  const auto damage = [&] {
    resync(data_end, step);
    if (step.kind == Step::Kind::damage) move_to(offset_ + step.length, arena);
    return step;
  };
  const auto place = [&] {
    return arena_base_ + static_cast<std::size_t>(offset_ - arena_offset_);
  };
  const bool filled =
      offset_ + kRecordHeaderBytes <= data_end && fill(kRecordHeaderBytes, data_end, arena, step);
  if (step.kind == Step::Kind::io_error) return step;
  if (!filled) return damage();
  const auto header = parse_record_header(std::string_view(arena).substr(place()), header_.nonce);
  if (!header) return damage();
  step.header = *header;
  step.length = header->padded_length();
  if (offset_ + step.length > data_end || !fill(step.length, data_end, arena, step)) {
    if (step.kind == Step::Kind::io_error) return step;
    step.has_header = true;  // and its record is cut off
    return damage();
  }
  step.payload_at = place() + kRecordHeaderBytes;
  step.payload_length = std::size_t{header->extension_length} + header->stored_length;
  const std::string_view payload(arena.data() + step.payload_at, step.payload_length);
  step.kind = Step::Kind::record;
  if (header->type == RecordType::seal) {
    step.kind = Step::Kind::seal;
  } else if (!payload_is_whole(*header, payload)) {
    step.kind = Step::Kind::bad_record;
    step.length = up_to_whole_header(step.length, data_end, arena);
  }
  offset_ += step.length;
  return step;
}

/// How far a damaged record goes: to its end, or to a record that has come to lie in it.
std::uint64_t SegmentReader::up_to_whole_header(std::uint64_t length, std::uint64_t data_end,
                                                std::string& arena) {
  const std::uint64_t wanted = std::min(data_end - offset_, length + kRecordHeaderBytes);
  Step ignored;  // what follows the record is the next step's
  static_cast<void>(fill(wanted, data_end, arena, ignored));
  const std::string_view bytes = std::string_view(arena).substr(
      arena_base_ + static_cast<std::size_t>(offset_ - arena_offset_));
  for (std::uint64_t at = kRecordHeaderBytes; at < length && at < bytes.size(); at += kAlignment) {
    if (parse_record_header(bytes.substr(static_cast<std::size_t>(at)), header_.nonce)) return at;
  }
  return length;
}

/// Looks for the next whole header after offset_.
void SegmentReader::resync(std::uint64_t data_end, Step& step) {
  step.kind = Step::Kind::damage;
  std::array<char, 16 * 1024> window{};
  for (std::uint64_t base = offset_ + kAlignment; base + kRecordHeaderBytes <= data_end;) {
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), data_end - base));
    const auto got = read(window.data(), wanted, base, step.bad);
    if (!got) {
      step.kind = Step::Kind::io_error;
      step.error = got.error();
      return;
    }
    if (*got < kRecordHeaderBytes) break;
    const std::size_t last = *got - kRecordHeaderBytes;
    for (std::size_t at = 0; at <= last; at += kAlignment) {
      if (parse_record_header({window.data() + at, kRecordHeaderBytes}, header_.nonce)) {
        step.length = base + at - offset_;
        return;
      }
    }
    base += last / kAlignment * kAlignment + kAlignment;
  }
  step.length = data_end - offset_;
  step.tail = true;
}

/// Past damage: what of it has not been read need not be.
void SegmentReader::move_to(std::uint64_t offset, const std::string& arena) {
  offset_ = offset;
  if (offset_ > arena_offset_ + (arena.size() - arena_base_)) start_arena(arena);
}

void SegmentReader::forget(std::string& arena, std::size_t keep) {
  const std::size_t place =
      std::min(arena.size(), arena_base_ + static_cast<std::size_t>(offset_ - arena_offset_));
  if (place <= keep) return;
  arena.erase(keep, place - keep);
  arena_base_ = keep;
  arena_offset_ = offset_;
}

}  // namespace holdfast
