#include "agent/buffer_tool_purge.h"

#include <algorithm>
#include <ostream>
#include <vector>

#include "agent/buffer_tool_files.h"
#include "agent/buffer_tool_segment.h"
#include "buffer/clock.h"
#include "buffer/cursor.h"

namespace holdfast {
namespace {

struct DoomedSegment {
  std::string file;
  bool whole = false;  // nothing of it stays
};

/// What one signal has to lose.
struct Doomed {
  std::string folder;
  std::vector<StoredCursor> cursors;
  std::vector<DoomedSegment> segments;
  bool keeps_segments = false;  // of those that were read, some stay at least in part
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t undelivered_items = 0;        // that some exporter has not delivered
  std::vector<std::uint64_t> undelivered_by;  // by cursor
  std::uint64_t damaged_bytes = 0;
  std::uint64_t unreadable = 0;
  std::uint64_t next_seq = 0;
};

class Purge {
 public:
  Purge(FileSystem& fs, const PurgeOptions& options, ToolContext& context)
      : fs_(fs), options_(options), context_(context) {}

  Doomed look_at(const std::string& directory, Signal signal);
  void print(const Doomed& doomed, Signal signal) const;
  bool carry_out(const Doomed& doomed);

 private:
  bool is_doomed(const SegmentPart& part) const {
    return part.record && part.received_unix_ns < options_.before_unix_ns;
  }
  bool takes_all() const { return options_.before_unix_ns == INT64_MAX; }
  void count(const SegmentPart& part, Doomed& doomed) const;
  Status cut(const std::string& folder, std::string file);
  bool report(const std::string& path, const Status& status) const;

  FileSystem& fs_;
  const PurgeOptions& options_;
  ToolContext& context_;
};

Doomed Purge::look_at(const std::string& directory, Signal signal) {
  Doomed doomed;
  doomed.folder = folder_of(directory, signal);
  doomed.cursors = read_cursors(doomed.folder);
  doomed.undelivered_by.resize(doomed.cursors.size());
  for (const std::string& file : segment_files(doomed.folder)) {
    auto scan = scan_segment(fs_, doomed.folder, file);
    if (!scan) {
      ++doomed.unreadable;
      context_.err << doomed.folder << "/" << file << ": " << scan.error().message << "\n";
      if (takes_all()) doomed.segments.push_back({file, true});
      doomed.keeps_segments = doomed.keeps_segments || !takes_all();
      continue;
    }
    doomed.next_seq = std::max(doomed.next_seq, scan->next_seq);
    if (scan->damaged && !takes_all()) {
      // To write it anew would lose the damaged bytes; repair puts them into quarantine.
      context_.err << doomed.folder << "/" << file
                   << ": damaged, left as it is: run holdfast buffer repair first\n";
      ++doomed.unreadable;
      doomed.keeps_segments = true;
      continue;
    }
    std::uint64_t gone = 0;
    for (const SegmentPart& part : scan->parts) {
      doomed.damaged_bytes += part.record ? 0 : part.length;
      if (!is_doomed(part)) continue;
      ++gone;
      count(part, doomed);
    }
    const bool whole = takes_all() || (gone == scan->parts.size() && gone > 0);
    doomed.keeps_segments = doomed.keeps_segments || !whole;
    if (gone > 0 || whole) doomed.segments.push_back({file, whole});
  }
  return doomed;
}

void Purge::count(const SegmentPart& part, Doomed& doomed) const {
  ++doomed.records;
  doomed.items += part.items;
  bool undelivered = doomed.cursors.empty();
  for (std::size_t i = 0; i < doomed.cursors.size(); ++i) {
    if (!doomed.cursors[i].owes(part.seq, part.source)) continue;
    undelivered = true;
    doomed.undelivered_by[i] += part.items;
  }
  if (undelivered) doomed.undelivered_items += part.items;
}

void Purge::print(const Doomed& doomed, Signal signal) const {
  context_.out << name_of(signal) << ": " << counted(doomed.records, "record") << " with "
               << counted(doomed.items, "item") << ", " << doomed.undelivered_items
               << " of them not delivered";
  for (std::size_t i = 0; i < doomed.cursors.size(); ++i) {
    context_.out << (i == 0 ? " (" : ", ") << doomed.undelivered_by[i] << " by "
                 << doomed.cursors[i].exporter;
  }
  context_.out << (doomed.cursors.empty() ? "" : ")");
  if (doomed.damaged_bytes > 0) context_.out << "; " << doomed.damaged_bytes << " damaged bytes";
  if (doomed.unreadable > 0) {
    context_.out << "; damaged: " << counted(doomed.unreadable, "file") << ", "
                 << (takes_all() ? "to go too" : "to stay");
  }
  context_.out << "\n";
}

bool Purge::carry_out(const Doomed& doomed) {
  if (!doomed.keeps_segments && !doomed.segments.empty()) {
    // The files' names say which number comes next; when all go, the cursors must.
    for (const StoredCursor& stored : doomed.cursors) {
      auto cursor = Cursor::open_file(fs_, doomed.folder, stored.file);
      Status saved = cursor ? Status() : Status(cursor.error());
      if (cursor) saved = cursor->save(doomed.next_seq, system_clock().unix_ns());
      if (!report(doomed.folder + "/" + stored.file, saved)) return false;
    }
  }
  for (const DoomedSegment& segment : doomed.segments) {
    if (context_.stop.stop_requested()) return true;
    const std::string path = doomed.folder + "/" + segment.file;
    const Status done = segment.whole ? fs_.unlink(path) : cut(doomed.folder, segment.file);
    if (!report(path, done)) return false;
  }
  if (doomed.segments.empty()) return true;
  return report(doomed.folder, fs_.sync_directory(doomed.folder));
}

Status Purge::cut(const std::string& folder, std::string file) {
  auto scan = scan_segment(fs_, folder, file);
  if (!scan) return scan.error();
  if (file.ends_with(".wip")) {
    const std::string sealed = file.substr(0, file.size() - 4) + ".seg";
    if (Status named = fs_.rename(folder + "/" + file, folder + "/" + sealed); !named) return named;
    file = sealed;
  }
  return rewrite_segment(fs_, folder, file, *scan,
                         [this](const SegmentPart& part) { return !is_doomed(part); });
}

bool Purge::report(const std::string& path, const Status& status) const {
  if (!status) context_.err << path << ": " << status.error().message << "\n";
  return status.ok();
}

}  // namespace

int purge_buffer(FileSystem& fs, const std::string& directory, const PurgeOptions& options,
                 ToolContext& context) {
  if (!is_buffer_directory(directory, context)) return kToolDamage;
  const auto hold = BufferHold::take(directory);
  if (!hold) {
    context.err << hold.error().message << "\n";
    return kToolDamage;
  }
  Purge purge(fs, options, context);
  std::vector<Doomed> all;
  std::uint64_t records = 0;
  std::uint64_t items = 0;
  std::uint64_t undelivered = 0;
  std::size_t segments = 0;
  std::uint64_t left_alone = 0;
  for (const Signal signal : signals_of(options.signal)) {
    all.push_back(purge.look_at(directory, signal));
    purge.print(all.back(), signal);
    records += all.back().records;
    items += all.back().items;
    undelivered += all.back().undelivered_items;
    segments += all.back().segments.size();
    left_alone += options.before_unix_ns == INT64_MAX ? 0 : all.back().unreadable;
  }
  if (segments == 0) {
    context.out << "nothing to purge\n";
    return left_alone == 0 ? kToolOk : kToolDamage;
  }
  const std::string question = "Delete " + counted(records, "record") + " with " +
                               counted(items, "item") + ", " + std::to_string(undelivered) +
                               " of them not delivered?";
  if (!options.yes && !context.can_ask) {
    context.err << question << " Nothing was deleted: say --yes\n";
    return kToolUsage;
  }
  if (!options.yes && !confirm(context, question)) {
    context.err << "nothing was deleted\n";
    return context.stop.stop_requested() ? kToolInterrupted : kToolOk;
  }
  const bool done = std::all_of(all.begin(), all.end(),
                                [&](const Doomed& doomed) { return purge.carry_out(doomed); });
  if (context.stop.stop_requested()) {
    context.err << "interrupted: some of it is deleted\n";
    return kToolInterrupted;
  }
  if (!done) return kToolDamage;
  context.out << "deleted " << counted(records, "record") << " with " << counted(items, "item")
              << ", " << undelivered << " of them not delivered\n";
  return left_alone == 0 ? kToolOk : kToolDamage;
}

}  // namespace holdfast
