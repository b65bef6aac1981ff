#include "buffer/segment_reader.h"

#include <algorithm>
#include <array>

namespace holdfast {
namespace {

constexpr std::uint64_t kReadAheadBytes = 128U << 10;
constexpr std::uint64_t kAlignment = 8;

}  // namespace

Result<SegmentReader> SegmentReader::open(FileSystem& fs, const std::string& path) {
  auto file = fs.open(path, FileSystem::Mode::read);
  if (!file) return file.error();
  SegmentHeaderBytes bytes{};
  const auto got = (*file)->pread(bytes.data(), bytes.size(), 0);
  if (!got) return got.error();
  const auto parsed = parse_segment_header(std::string_view(bytes.data(), *got));
  switch (parsed.error) {
    case SegmentHeaderError::none:
      return SegmentReader(std::move(*file), parsed.header);
    case SegmentHeaderError::unknown_version:
      return Error{0, "unknown format version: " + path};
    case SegmentHeaderError::damaged:
      break;
  }
  return Error{0, "damaged segment header: " + path};
}

bool SegmentReader::fill(std::uint64_t length, std::uint64_t data_end, std::string& arena,
                         Step& step) {
  const std::uint64_t have_end = arena_offset_ + (arena.size() - arena_base_);
  if (offset_ + length <= have_end) return true;
  const std::uint64_t want_end =
      std::min(data_end, std::max(offset_ + length, have_end + kReadAheadBytes));
  const std::size_t at = arena.size();
  arena.resize(at + static_cast<std::size_t>(want_end - have_end));
  const auto got = file_->pread(arena.data() + at, arena.size() - at, have_end);
  arena.resize(at + (got ? *got : 0));
  if (!got) {
    step.kind = Step::Kind::io_error;
    step.error = got.error();
    return false;
  }
  return offset_ + length <= have_end + *got;
}

SegmentReader::Step SegmentReader::next(std::uint64_t data_end, std::string& arena) {
  Step step;
  step.offset = offset_;
  if (offset_ >= data_end) return step;
  const bool has_header =
      offset_ + kRecordHeaderBytes <= data_end && fill(kRecordHeaderBytes, data_end, arena, step);
  if (step.kind == Step::Kind::io_error) return step;
  const auto place = [&] {
    return arena_base_ + static_cast<std::size_t>(offset_ - arena_offset_);
  };
  const auto header =
      has_header ? parse_record_header(std::string_view(arena).substr(place()), header_.nonce)
                 : std::nullopt;
  if (!header) return resync(data_end);
  step.header = *header;
  step.length = header->padded_length();
  if (offset_ + step.length > data_end || !fill(step.length, data_end, arena, step)) {
    if (step.kind == Step::Kind::io_error) return step;
    Step damage = resync(data_end);  // the header is whole, but its record is cut off
    damage.header = *header;
    return damage;
  }
  step.payload_at = place() + kRecordHeaderBytes;
  step.payload_length = std::size_t{header->extension_length} + header->stored_length;
  const std::string_view payload(arena.data() + step.payload_at, step.payload_length);
  offset_ += step.length;
  if (header->type == RecordType::seal) {
    step.kind = Step::Kind::seal;
  } else {
    step.kind = payload_is_whole(*header, payload) ? Step::Kind::record : Step::Kind::bad_record;
  }
  return step;
}

SegmentReader::Step SegmentReader::resync(std::uint64_t data_end) {
  Step step;
  step.kind = Step::Kind::damage;
  step.offset = offset_;
  std::array<char, 16 * 1024> window{};
  for (std::uint64_t base = offset_ + kAlignment; base + kRecordHeaderBytes <= data_end;) {
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), data_end - base));
    const auto got = file_->pread(window.data(), wanted, base);
    if (!got) {
      step.kind = Step::Kind::io_error;
      step.error = got.error();
      return step;
    }
    if (*got < kRecordHeaderBytes) break;
    const std::size_t last = *got - kRecordHeaderBytes;
    for (std::size_t at = 0; at <= last; at += kAlignment) {
      if (parse_record_header({window.data() + at, kRecordHeaderBytes}, header_.nonce)) {
        step.length = base + at - offset_;
        offset_ = base + at;
        return step;
      }
    }
    base += last / kAlignment * kAlignment + kAlignment;
  }
  step.length = data_end - offset_;
  step.tail = true;
  offset_ = data_end;
  return step;
}

}  // namespace holdfast
