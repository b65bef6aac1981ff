#include "agent/buffer_tool_repair.h"

#include <algorithm>
#include <cerrno>
#include <ostream>

#include "agent/buffer_tool_files.h"
#include "agent/buffer_tool_records.h"
#include "agent/buffer_tool_segment.h"
#include "buffer/clock.h"
#include "buffer/quarantine.h"

namespace holdfast {
namespace {

class Repair {
 public:
  Repair(FileSystem& fs, bool dry_run, ToolContext& context, ProgressBar& progress)
      : fs_(fs), dry_run_(dry_run), context_(context), progress_(progress) {}

  void repair_folder(const std::string& folder);
  void print_totals() const;
  bool failed() const { return failed_; }

 private:
  void remove_temporary_files(const std::string& folder);
  void repair_segment(const std::string& folder, std::string file);
  /// False: it stays as it is.
  bool seal_name(const std::string& folder, std::string& file);
  bool keep_damage(const std::string& folder, const std::string& file, const SegmentScan& scan);
  void move_aside(const std::string& folder, const std::string& file, const std::string& why);
  void remove_empty(const std::string& path);
  void say(const std::string& path, const std::string& what);
  void fail(const std::string& path, const std::string& why);

  FileSystem& fs_;
  const bool dry_run_;
  ToolContext& context_;
  ProgressBar& progress_;
  bool failed_ = false;
  std::uint64_t segments_ = 0;
  std::uint64_t repaired_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t items_ = 0;
  std::uint64_t quarantined_bytes_ = 0;
};

void Repair::repair_folder(const std::string& folder) {
  remove_temporary_files(folder);
  remove_temporary_files(folder + "/quarantine");
  for (const std::string& file : segment_files(folder)) {
    if (context_.stop.stop_requested()) return;
    const std::uint64_t bytes = file_bytes(folder + "/" + file);
    repair_segment(folder, file);
    progress_.advance(bytes);
  }
}

void Repair::remove_temporary_files(const std::string& folder) {
  const auto listed = fs_.list(folder);
  if (!listed) return;
  for (const DirectoryEntry& entry : *listed) {
    if (!entry.is_regular || !entry.name.ends_with(kRewriteEnding)) continue;
    // Ours alone: "….seg.tmp" and "….rec.tmp".
    const std::string_view whole =
        std::string_view(entry.name).substr(0, entry.name.size() - kRewriteEnding.size());
    if (!parse_segment_name(whole) && !whole.ends_with(".rec")) continue;
    const std::string path = folder + "/" + entry.name;
    const Status gone = dry_run_ ? Status() : fs_.unlink(path);
    gone ? say(path, "a temporary file, removed") : fail(path, gone.error().message);
  }
}

void Repair::repair_segment(const std::string& folder, std::string file) {
  const std::string path = folder + "/" + file;
  auto scanned = scan_segment(fs_, folder, file);
  if (!scanned) {
    const Error& why = scanned.error();
    if (why.code == 0 && !SegmentReader::is_unknown_version(why)) {
      move_aside(folder, file, why.message);
    } else {
      fail(path, why.message + "; left alone");
    }
    return;
  }
  ++segments_;
  const SegmentScan& scan = *scanned;
  if (scan.records == 0) {
    const bool nothing = std::all_of(scan.parts.begin(), scan.parts.end(),
                                     [](const SegmentPart& part) { return part.empty; });
    return nothing ? remove_empty(path) : move_aside(folder, file, "no whole record in it");
  }
  records_ += scan.records;
  items_ += scan.items;
  const bool open = file.ends_with(".wip");
  if (!open && scan.sealed && !scan.damaged) return;
  if (!seal_name(folder, file) || !keep_damage(folder, file, scan)) return;
  if (!scan.sealed || scan.damaged) {
    const Status written = dry_run_ ? Status()
                                    : rewrite_segment(fs_, folder, file, scan,
                                                      [](const SegmentPart&) { return true; });
    if (!written) return fail(path, written.error().message);
  }
  ++repaired_;
  say(path, std::string(scan.damaged ? "written anew" : "sealed") + ", " +
                counted(scan.records, "record") + " with " + counted(scan.items, "item") +
                " whole");
}

bool Repair::seal_name(const std::string& folder, std::string& file) {
  if (!file.ends_with(".wip")) return true;
  const std::string sealed = file.substr(0, file.size() - 4) + ".seg";
  if (fs_.open(folder + "/" + sealed, FileSystem::Mode::read)) {
    fail(folder + "/" + file, sealed + " lies beside it; one of the two is a copy: left alone");
    return false;
  }
  if (dry_run_) return true;
  Status named = fs_.rename(folder + "/" + file, folder + "/" + sealed);
  if (named.ok()) named = fs_.sync_directory(folder);
  if (!named) fail(folder + "/" + file, named.error().message);
  file = sealed;
  return named.ok();
}

/// All damaged bytes, before the file that holds them is replaced.
bool Repair::keep_damage(const std::string& folder, const std::string& file,
                         const SegmentScan& scan) {
  if (!scan.damaged) return true;
  const std::string path = folder + "/" + file;
  Quarantine quarantine(fs_, system_clock(), folder + "/quarantine", UINT64_MAX);
  const Status opened = dry_run_ ? Status() : quarantine.open();
  if (!opened) {
    fail(path, opened.error().message);
    return false;
  }
  for (const SegmentPart& part : scan.parts) {
    if (part.record || part.empty) continue;
    const std::string place = std::to_string(part.length) + " damaged bytes at " +
                              std::to_string(part.offset) + ", " + counted(part.items, "item");
    if (!dry_run_) {
      const auto bytes = read_part(fs_, path, part);
      if (!bytes) {
        fail(path, bytes.error().message);
        return false;
      }
      QuarantineEntry entry;
      entry.seq = part.seq;
      // As the agent names what it meets there: the same place makes the same file.
      entry.request_index = static_cast<std::uint32_t>(part.offset % 1'000'000);
      entry.item_count = part.items;
      entry.reason = "corrupt";
      entry.message = path;
      entry.bytes = *bytes;
      if (Status kept = quarantine.add(entry); !kept) {
        fail(path, "damaged bytes cannot be put into quarantine: " + kept.error().message);
        return false;
      }
    }
    quarantined_bytes_ += part.length;
    say(path, place + ", put into quarantine");
  }
  return true;
}

void Repair::move_aside(const std::string& folder, const std::string& file,
                        const std::string& why) {
  const std::string path = folder + "/" + file;
  // Under its sealed name: the quarantine knows it by that.
  const std::string name = file.substr(0, file.size() - 4) + ".seg";
  if (!dry_run_) {
    const std::string quarantine = folder + "/quarantine";
    Status moved = fs_.make_directories(quarantine, 0750);
    if (moved.ok() && fs_.open(quarantine + "/" + name, FileSystem::Mode::read)) {
      return fail(path, "a file of this name is in quarantine already: left alone");
    }
    if (moved.ok()) moved = fs_.rename(path, quarantine + "/" + name);
    if (moved.ok()) moved = fs_.sync_directory(quarantine);
    if (moved.ok()) moved = fs_.sync_directory(folder);
    if (!moved) return fail(path, moved.error().message);
  }
  ++repaired_;
  say(path, why + ": the file is moved into quarantine");
}

/// As the agent's start does: nothing in it was ever acknowledged.
void Repair::remove_empty(const std::string& path) {
  const Status gone = dry_run_ ? Status() : fs_.unlink(path);
  if (!gone) return fail(path, gone.error().message);
  ++repaired_;
  say(path, "empty, removed");
}

void Repair::say(const std::string& path, const std::string& what) {
  progress_.clear();
  context_.out << (dry_run_ ? "would: " : "") << path << ": " << what << "\n";
}

void Repair::fail(const std::string& path, const std::string& why) {
  progress_.clear();
  context_.err << path << ": " << why << "\n";
  failed_ = true;
}

void Repair::print_totals() const {
  context_.out << counted(segments_, "segment") << ", " << repaired_
               << (dry_run_ ? " to repair, " : " repaired, ") << quarantined_bytes_
               << (dry_run_ ? " bytes for the quarantine, " : " bytes put into quarantine, ")
               << counted(records_, "record") << " with " << counted(items_, "item") << " whole\n";
}

}  // namespace

int repair_buffer(FileSystem& fs, const std::string& directory, bool dry_run,
                  ToolContext& context) {
  if (!is_buffer_directory(directory, context)) return kToolDamage;
  const auto hold = BufferHold::take(directory);
  if (!hold) {
    context.err << hold.error().message << "\n";
    return kToolDamage;
  }
  ProgressBar progress(context, "repair", segment_bytes(directory, std::nullopt));
  Repair repair(fs, dry_run, context, progress);
  for (const Signal signal : kSignals) repair.repair_folder(folder_of(directory, signal));
  progress.clear();
  repair.print_totals();
  if (context.stop.stop_requested()) {
    context.err << "interrupted: what is repaired stays so, the rest is as it was\n";
    return kToolInterrupted;
  }
  return repair.failed() ? kToolDamage : kToolOk;
}

}  // namespace holdfast
