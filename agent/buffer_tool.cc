#include "agent/buffer_tool.h"

#include <cerrno>
#include <iomanip>
#include <ostream>
#include <vector>

#include "agent/buffer_tool_files.h"
#include "agent/buffer_tool_records.h"
#include "buffer/clock.h"

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

Result<SegmentReport> examine(const std::string& folder, const std::string& file, bool contents,
                              const ToolContext& context, ProgressBar& progress) {
  auto steps = SegmentSteps::open(read_only_filesystem(), folder, file);
  if (!steps) return steps.error();
  SegmentReport report;
  if (steps->header_was_damaged()) report.damaged_bytes = kSegmentHeaderBytes;
  while (!context.stop.stop_requested()) {
    const Step step = steps->next();
    progress.advance(step.length);
    switch (step.kind) {
      case Step::Kind::end:
        return report;
      case Step::Kind::io_error:
        return step.error;
      case Step::Kind::seal:
        report.sealed = true;
        break;
      case Step::Kind::record:
        if (contents && !content_is_whole(step, steps->arena())) {
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
  return report;
}

void list_cursors(const std::string& folder, Signal signal, std::ostream& out) {
  for (const StoredCursor& cursor : read_cursors(folder)) {
    out << std::left << std::setw(8) << name_of(signal) << cursor.file;
    if (cursor.damaged) {
      out << "  damaged: its exporter starts again at the oldest record\n";
    } else {
      out << "  delivered all before " << cursor.next_seq << "\n";
    }
  }
}

void list_quarantine(const std::string& folder, Signal signal, std::ostream& out) {
  const auto listed = posix_filesystem().list(folder + "/quarantine");
  if (!listed) return;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  for (const DirectoryEntry& entry : *listed) {
    if (!entry.is_regular || entry.name.ends_with(".tmp")) continue;
    ++entries;
    bytes += file_bytes(folder + "/quarantine/" + entry.name);
  }
  if (entries == 0) return;
  out << std::left << std::setw(8) << name_of(signal) << "quarantine  " << counted(entries, "entry")
      << ", " << bytes << " bytes\n";
}

int interrupted(ToolContext& context) {
  context.err << "interrupted\n";
  return kToolInterrupted;
}

}  // namespace

int list_buffer(const std::string& directory, ToolContext& context) {
  if (!is_buffer_directory(directory, context)) return kToolDamage;
  const std::int64_t now_ms = system_clock().unix_ns() / kNsPerMs;
  std::uint64_t segments = 0;
  std::uint64_t items = 0;
  ProgressBar progress(context, "ls", segment_bytes(directory, std::nullopt));
  for (const Signal signal : kSignals) {
    const std::string folder = folder_of(directory, signal);
    for (const std::string& file : segment_files(folder)) {
      const auto report = examine(folder, file, false, context, progress);
      if (context.stop.stop_requested()) return interrupted(context);
      if (!report && report.error().code == ENOENT) continue;  // delivered meanwhile
      progress.clear();
      context.out << std::left << std::setw(9) << name_of(signal) << file;
      if (!report) {
        context.out << "  " << report.error().message << "\n";
        continue;
      }
      const std::int64_t age_s = (now_ms - parse_segment_name(file)->created_unix_ms) / 1000;
      context.out << "  " << report->records << " records, " << report->items << " items, " << age_s
                  << " s old, " << (report->sealed ? "sealed" : "open") << "\n";
      ++segments;
      items += report->items;
    }
    progress.clear();
    list_cursors(folder, signal, context.out);
    list_quarantine(folder, signal, context.out);
  }
  context.out << segments << " segments, " << items << " items on disk\n";
  return kToolOk;
}

int verify_buffer(const std::string& directory, ToolContext& context) {
  if (!is_buffer_directory(directory, context)) return kToolDamage;
  SegmentReport sum;
  std::uint64_t segments = 0;
  std::uint64_t unreadable = 0;
  ProgressBar progress(context, "verify", segment_bytes(directory, std::nullopt));
  for (const Signal signal : kSignals) {
    const std::string folder = folder_of(directory, signal);
    for (const std::string& file : segment_files(folder)) {
      const auto report = examine(folder, file, true, context, progress);
      if (context.stop.stop_requested()) return interrupted(context);
      if (!report && report.error().code == ENOENT) continue;  // delivered meanwhile
      ++segments;
      progress.clear();
      if (!report) {
        ++unreadable;
        context.out << folder << "/" << file << ": " << report.error().message << "\n";
        continue;
      }
      // A sealed segment has no tail that could be torn.
      const std::uint64_t damaged =
          report->damaged_bytes + (report->sealed ? report->torn_tail_bytes : 0);
      if (report->bad_records > 0 || damaged > 0) {
        context.out << folder << "/" << file << ": " << report->bad_records << " damaged records, "
                    << damaged << " bytes without a record\n";
      }
      sum.records += report->records;
      sum.items += report->items;
      sum.bad_records += report->bad_records;
      sum.damaged_bytes += damaged;
    }
  }
  progress.clear();
  context.out << segments - unreadable << " of " << segments << " segments readable, "
              << sum.records << " records with " << sum.items << " items whole, " << sum.bad_records
              << " damaged\n";
  return unreadable == 0 && sum.bad_records == 0 && sum.damaged_bytes == 0 ? kToolOk : kToolDamage;
}

}  // namespace holdfast
