#include "agent/quarantine_tool_entry.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "agent/buffer_tool_files.h"

namespace holdfast {
namespace {

constexpr std::size_t kLineBytesMax = 64U << 10;
constexpr std::string_view kUnreadable = "unreadable";

std::uint64_t number_of(const simdjson::dom::element& object, const char* key) {
  std::int64_t value = 0;
  return object[key].get(value) == simdjson::SUCCESS && value > 0
             ? static_cast<std::uint64_t>(value)
             : 0;
}

std::string text_of(const simdjson::dom::element& object, const char* key) {
  std::string_view value;
  return object[key].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

bool parse_line(std::string_view line, QuarantinedFile& entry) {
  simdjson::dom::parser parser;
  simdjson::dom::element object;
  const simdjson::padded_string padded(line);
  if (parser.parse(padded).get(object) != simdjson::SUCCESS || !object.is_object()) return false;
  entry.seq = number_of(object, "seq");
  entry.request = static_cast<std::uint32_t>(number_of(object, "request"));
  entry.items = number_of(object, "items");
  entry.exporter = text_of(object, "exporter");
  entry.reason = text_of(object, "reason");
  entry.status = static_cast<int>(number_of(object, "status"));
  entry.message = text_of(object, "message");
  entry.unix_ms = static_cast<std::int64_t>(number_of(object, "unix_ms"));
  entry.bytes = number_of(object, "bytes");
  return !entry.reason.empty();
}

/// A file that the log moved here as it was.
void describe_segment(const SegmentName& name, std::uint64_t size, QuarantinedFile& entry) {
  entry.reason = "segment";
  entry.seq = name.first_seq;
  entry.unix_ms = name.created_unix_ms;
  entry.message = "a whole file that could not be read";
  entry.bytes = entry.content_length = size;
}

bool read_entry(QuarantinedFile& entry) {
  auto file = posix_filesystem().open(entry.path, FileSystem::Mode::read);
  if (!file) return false;
  const auto size = (*file)->size();
  if (!size) return false;
  if (const auto segment = parse_segment_name(entry.file)) {
    describe_segment(*segment, *size, entry);
    return true;
  }
  std::string head(static_cast<std::size_t>(std::min<std::uint64_t>(*size, kLineBytesMax)), '\0');
  const auto got = (*file)->pread(head.data(), head.size(), 0);
  if (!got) return false;
  head.resize(*got);
  const std::size_t end = head.find('\n');
  if (end == std::string::npos || !parse_line(std::string_view(head).substr(0, end), entry)) {
    entry.reason = kUnreadable;
    std::from_chars(entry.file.data(), entry.file.data() + entry.file.size(), entry.seq);
    entry.bytes = entry.content_length = *size;
    return true;
  }
  entry.content_at = end + 1;
  entry.content_length = *size - entry.content_at;
  return true;
}

}  // namespace

std::vector<QuarantinedFile> read_quarantine(const std::string& directory,
                                             std::optional<Signal> signal) {
  std::vector<QuarantinedFile> entries;
  for (const Signal each : signals_of(signal)) {
    const std::string folder = folder_of(directory, each) + "/quarantine";
    auto listed = posix_filesystem().list(folder);
    if (!listed) continue;
    std::sort(listed->begin(), listed->end(),
              [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
    for (const DirectoryEntry& found : *listed) {
      if (!found.is_regular) continue;
      if (!found.name.ends_with(".rec") && !parse_segment_name(found.name)) continue;
      QuarantinedFile entry;
      entry.signal = each;
      entry.file = found.name;
      entry.path = folder + "/" + found.name;
      if (read_entry(entry)) entries.push_back(std::move(entry));
    }
  }
  return entries;
}

Result<std::string> read_content(const QuarantinedFile& entry) {
  auto file = posix_filesystem().open(entry.path, FileSystem::Mode::read);
  if (!file) return file.error();
  std::string bytes(static_cast<std::size_t>(entry.content_length), '\0');
  const auto got = (*file)->pread(bytes.data(), bytes.size(), entry.content_at);
  if (!got) return got.error();
  bytes.resize(*got);
  return bytes;
}

}  // namespace holdfast
