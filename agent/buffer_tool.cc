#include "agent/buffer_tool.h"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <ostream>
#include <vector>

#include "buffer/clock.h"
#include "buffer/deflate.h"
#include "buffer/filesystem.h"
#include "buffer/segment_reader.h"
#include "proto/signal.h"

namespace holdfast {
namespace {

using Step = SegmentReader::Step;

struct SegmentReport {
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t bad_records = 0;
  std::uint64_t damaged_bytes = 0;
  std::uint64_t torn_tail_bytes = 0;
  bool sealed = false;
};

bool content_is_whole(const Step& step, const std::string& arena) {
  const Record record = make_record(
      step.header, std::string_view(arena).substr(step.payload_at, step.payload_length));
  if (record.codec == Codec::identity) return true;
  std::string raw;
  return inflate_fragment(record.stored, record.raw_length, raw).ok() &&
         crc32_gzip(0, raw) == record.raw_crc32;
}

Result<SegmentReport> examine(const std::string& path, bool contents) {
  auto reader = SegmentReader::open(posix_filesystem(), path);
  if (!reader) return reader.error();
  const auto size = reader->file().size();
  if (!size) return size.error();
  SegmentReport report;
  std::string arena;
  for (;;) {
    arena.clear();
    reader->start_arena(arena);
    const Step step = reader->next(*size, arena);
    switch (step.kind) {
      case Step::Kind::end:
        return report;
      case Step::Kind::io_error:
        return step.error;
      case Step::Kind::seal:
        report.sealed = true;
        break;
      case Step::Kind::record:
        if (contents && !content_is_whole(step, arena)) {
          ++report.bad_records;
          break;
        }
        ++report.records;
        report.items += step.header.item_count;
        break;
      case Step::Kind::bad_record:
        ++report.bad_records;
        break;
      case Step::Kind::damage:
        (step.tail ? report.torn_tail_bytes : report.damaged_bytes) += step.length;
        break;
    }
  }
}

std::vector<std::string> segment_files(const std::string& directory) {
  std::vector<std::string> files;
  auto listed = posix_filesystem().list(directory);
  if (!listed) return files;
  for (const DirectoryEntry& entry : *listed) {
    if (entry.is_regular && parse_segment_name(entry.name)) files.push_back(entry.name);
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool can_list(const std::string& directory) {
  const auto listed = posix_filesystem().list(directory);
  if (!listed) std::cerr << "this is no buffer directory: " << listed.error().message << "\n";
  return listed.ok();
}

}  // namespace

int list_buffer(const std::string& directory, std::ostream& out) {
  if (!can_list(directory)) return 1;
  const std::int64_t now_ms = system_clock().unix_ns() / kNsPerMs;
  std::uint64_t segments = 0;
  std::uint64_t items = 0;
  for (const Signal signal : kSignals) {
    const std::string folder = directory + "/" + std::string(name_of(signal));
    for (const std::string& file : segment_files(folder)) {
      const auto report = examine(folder + "/" + file, false);
      out << std::left << std::setw(8) << name_of(signal) << file;
      if (!report) {
        out << "  " << report.error().message << "\n";
        continue;
      }
      const std::int64_t age_s = (now_ms - parse_segment_name(file)->created_unix_ms) / 1000;
      out << "  " << report->records << " records, " << report->items << " items, " << age_s
          << " s old, " << (report->sealed ? "sealed" : "open") << "\n";
      ++segments;
      items += report->items;
    }
  }
  out << segments << " segments, " << items << " items on disk\n";
  return 0;
}

int verify_buffer(const std::string& directory, std::ostream& out) {
  if (!can_list(directory)) return 1;
  SegmentReport sum;
  std::uint64_t segments = 0;
  std::uint64_t unreadable = 0;
  for (const Signal signal : kSignals) {
    const std::string folder = directory + "/" + std::string(name_of(signal));
    for (const std::string& file : segment_files(folder)) {
      ++segments;
      const auto report = examine(folder + "/" + file, true);
      if (!report) {
        ++unreadable;
        out << folder << "/" << file << ": " << report.error().message << "\n";
        continue;
      }
      // A sealed segment has no tail that could be torn.
      const std::uint64_t damaged =
          report->damaged_bytes + (report->sealed ? report->torn_tail_bytes : 0);
      if (report->bad_records > 0 || damaged > 0) {
        out << folder << "/" << file << ": " << report->bad_records << " damaged records, "
            << damaged << " bytes without a record\n";
      }
      sum.records += report->records;
      sum.items += report->items;
      sum.bad_records += report->bad_records;
      sum.damaged_bytes += damaged;
    }
  }
  out << segments - unreadable << " of " << segments << " segments readable, " << sum.records
      << " records with " << sum.items << " items whole, " << sum.bad_records << " damaged\n";
  return unreadable == 0 && sum.bad_records == 0 && sum.damaged_bytes == 0 ? 0 : 1;
}

}  // namespace holdfast
