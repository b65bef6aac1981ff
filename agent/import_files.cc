#include "agent/import_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>

#include "agent/logging.h"
#include "buffer/filesystem.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kGroupBytesMax = 1ULL << 20;
constexpr std::size_t kGroupFilesMax = 256;  // that a kill may repeat
constexpr std::uint64_t kTailBytesMax = 16ULL << 20;
constexpr std::uint64_t kOverheadBytes = 64ULL << 10;  // of a record on disk and in quarantine
/// So many records in a row that are no requests: the lengths are not lengths.
constexpr int kBadRunMax = 8;

std::string error_text(int code) { return std::generic_category().message(code); }

class Descriptor {
 public:
  /// Never follows a link, never waits for a pipe's other end.
  explicit Descriptor(const std::string& path)
      : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

std::uint64_t less(std::uint64_t from, std::uint64_t what) { return from > what ? from - what : 0; }

}  // namespace

struct FileImport::Open {
  const ImportFile& file;
  const int descriptor;
  JavaBufferReader reader;
  std::uint64_t taken;  // up to here it is in the batch, or further
  int bad_run = 0;

  /// Nobody has written to it since it was looked at.
  bool is_unchanged() const {
    const auto identity = identity_of(descriptor);
    return identity && identity->same_content(file.identity);
  }
};

FileImport::FileImport(const ImportTarget& target, ReceiverSignalStats& stats, ByteBudget& budget)
    : target_(target),
      stats_(stats),
      budget_(budget),
      group_bytes_max_(std::clamp<std::uint64_t>(target.folder_bytes_max / 8, 1, kGroupBytesMax)),
      record_bytes_max_(less(target.log->record_bytes_max(), kOverheadBytes)),
      tail_bytes_max_(std::min(less(target.quarantine_bytes_max, kOverheadBytes), kTailBytesMax)),
      batch_([&target] {
        SignalLogs logs{};
        logs[index_of(target.signal)] = target.log;
        return logs;
      }()) {}

FileImport::~FileImport() { budget_.release(reserved_); }

FileImport::Outcome FileImport::take(std::span<const ImportFile> files,
                                     const std::stop_token& stop) {
  Step step = Step::go_on;
  got_on_ = false;
  for (const ImportFile& file : files) {
    step = stop.stop_requested() ? Step::stopped : take_file(file, stop);
    if (step != Step::go_on) break;
    if (finished_.size() >= kGroupFilesMax && !flush(nullptr)) step = Step::full;
    if (step != Step::go_on) break;
  }
  // What is in the batch goes in, also when asked to stop: it is checked and compressed already.
  if (step == Step::go_on || step == Step::stopped) {
    if (!flush(nullptr)) step = Step::full;
  } else {
    delete_finished();  // nothing waits; those are of groups that are committed
  }
  switch (step) {
    case Step::go_on:
    case Step::next_file:
      return Outcome::done;
    case Step::full:
      return Outcome::full;
    case Step::busy:
      return Outcome::busy;
    case Step::stopped:
      break;
  }
  return Outcome::stopped;
}

FileImport::Step FileImport::take_file(const ImportFile& file, const std::stop_token& stop) {
  const Descriptor descriptor(file.path);
  if (descriptor.number() < 0) {
    if (errno != ENOENT) give_up(file, "it cannot be opened: " + error_text(errno));
    return Step::go_on;
  }
  const bool started = progress_ && progress_->identity.same_file(file.identity) &&
                       progress_->offset <= file.identity.bytes;
  const std::uint64_t from = started ? progress_->offset : 0;
  Open open{file, descriptor.number(), JavaBufferReader(descriptor.number(), from), from};
  if (!open.is_unchanged()) return Step::go_on;  // the next look will tell
  const Step step = take_records(open, stop);
  if (step == Step::stopped && !flush(&open)) return Step::full;
  return step == Step::next_file ? Step::go_on : step;
}

FileImport::Step FileImport::take_records(Open& open, const std::stop_token& stop) {
  // Where in a file it has come to is lost with the process: a small one that is begun is finished.
  while (!stop.stop_requested() || open.file.identity.bytes <= group_bytes_max_) {
    const auto next = open.reader.next();
    if (!next) {
      give_up(open.file, next.error().message);
      return flush(&open) ? Step::next_file : Step::full;
    }
    if (*next == JavaBufferReader::Next::torn) {
      count_malformed();
      return take_torn(open, open.reader.why());
    }
    if (*next == JavaBufferReader::Next::end) {
      // What has been appended meanwhile is taken when it is old enough in turn.
      if (!open.is_unchanged()) return flush(&open) ? Step::next_file : Step::full;
      finished_.push_back(open.file);
      return Step::next_file;
    }
    if (const Step step = take_record(open); step != Step::go_on) return step;
  }
  return Step::stopped;
}

FileImport::Step FileImport::take_record(Open& open) {
  const std::uint64_t length = open.reader.record_length();
  if (length > record_bytes_max_) {
    count_malformed();
    return take_torn(open, "a record is larger than the buffer may be");
  }
  if (batch_.empty() && !has_room(std::max(length, group_bytes_max_))) return Step::full;
  if (!reserve(open, length)) return Step::busy;
  const auto bytes = open.reader.record();
  if (!bytes || bytes->size() < length) {
    give_up(open.file, bytes ? "it was cut while it was read" : bytes.error().message);
    return flush(&open) ? Step::next_file : Step::full;
  }
  stats_.wire_bytes.fetch_add(length, std::memory_order_relaxed);
  std::optional<std::string> refusal;
  const std::size_t waiting = batch_.pending_bytes();
  batch_.accept(target_.signal, *bytes, stats_, [this, &refusal](const IngestResult& result) {
    // Bad bytes are told here and now, the rest in flush(), when `refusal` is gone.
    if (result.outcome == IngestResult::Outcome::refused) {
      refusal = result.message;
    } else if (result.outcome != IngestResult::Outcome::stored) {
      stored_ = false;
    }
  });
  if (refusal) return take_bad_record(open, *bytes, *refusal);
  if (batch_.pending_bytes() > waiting) open.bad_run = 0;
  open.taken = open.reader.end_offset();
  if (batch_.pending_bytes() >= group_bytes_max_ && !flush(&open)) return Step::full;
  return Step::go_on;
}

FileImport::Step FileImport::take_bad_record(Open& open, std::string_view bytes,
                                             const std::string& why) {
  if (++open.bad_run >= kBadRunMax) {
    return take_torn(open, "its records are no OTLP requests: " + why);
  }
  if (bytes.size() > tail_bytes_max_) return take_torn(open, why);
  // First what came before, so that a full log does not bring it here twice.
  if (!flush(&open) || !quarantine(open, bytes, why)) return Step::full;
  open.taken = open.reader.end_offset();
  progress_ = Progress{open.file.identity, open.taken};
  return Step::go_on;
}

FileImport::Step FileImport::take_torn(Open& open, std::string_view why) {
  if (!flush(&open)) return Step::full;
  if (!open.is_unchanged()) return Step::next_file;  // somebody still writes to it
  const std::uint64_t length = open.file.identity.bytes - open.reader.offset();
  if (length > tail_bytes_max_) {
    put_aside(open, why);
    return Step::next_file;
  }
  if (!reserve(open, length)) return Step::busy;
  const auto tail = open.reader.tail(length);
  if (!tail) {
    give_up(open.file, tail.error().message);
    return Step::next_file;
  }
  if (!quarantine(open, *tail, why)) return Step::full;
  finished_.push_back(open.file);
  return flush(nullptr) ? Step::next_file : Step::full;
}

void FileImport::put_aside(const Open& open, std::string_view why) {
  // Kept whole, under a name that nobody takes for a file of disk-buffering.
  const std::string aside = open.file.path + ".corrupt";
  if (Status renamed = posix_filesystem().rename(open.file.path, aside); !renamed) {
    give_up(open.file, renamed.error().message);
    return;
  }
  got_on_ = true;
  ++open.file.stats->quarantined;
  log(LogLevel::error, "a damaged file is too large for quarantine and was renamed",
      {{"file", aside}, {"offset", open.reader.offset()}, {"error", why}});
}

void FileImport::count_malformed() {
  stats_.requests.fetch_add(1, std::memory_order_relaxed);
  stats_.failed.fetch_add(1, std::memory_order_relaxed);
}

void FileImport::give_up(const ImportFile& file, const std::string& why) {
  got_on_ = true;
  set_aside_.push_back(file);
  file.stats->last_error.set(file.path + ": " + why);
  log(LogLevel::error, "a file is left alone until it changes",
      {{"file", file.path}, {"error", why}});
}

bool FileImport::flush(const Open* open) {
  if (!batch_.empty()) {
    stored_ = true;
    batch_.commit();
  }
  budget_.release(std::exchange(reserved_, 0));
  if (!std::exchange(stored_, true)) {
    finished_.clear();  // they are still there, and will be given again
    return false;
  }
  delete_finished();
  progress_.reset();
  if (open != nullptr && open->taken > 0) progress_ = Progress{open->file.identity, open->taken};
  return true;
}

void FileImport::delete_finished() {
  std::set<std::string> directories;
  for (const ImportFile& file : std::exchange(finished_, {})) {
    const auto identity = identity_of(file.path);
    // Another file by now, or deleted by its writer: neither is ours to touch.
    if (!identity || !identity->same_content(file.identity)) continue;
    const Status gone = posix_filesystem().unlink(file.path);
    if (!gone && gone.error().code != ENOENT) {
      give_up(file, gone.error().message);
      continue;
    }
    got_on_ = true;
    ++file.stats->imported_files;
    --file.stats->pending_files;
    file.stats->pending_bytes -= file.identity.bytes;
    directories.insert(file.stats->directory);
  }
  if (!target_.sync_directories) return;
  // Only spares duplicates after a power cut: an error here loses nothing.
  for (const std::string& each : directories) {
    static_cast<void>(posix_filesystem().sync_directory(each));
  }
}

bool FileImport::quarantine(const Open& open, std::string_view bytes, std::string_view why) {
  const std::string message =
      open.file.path + " at byte " + std::to_string(open.reader.offset()) + ": " + std::string(why);
  QuarantineEntry entry;
  entry.seq = target_.log->stats().next_seq;
  entry.request_index = quarantined_++ % 1'000'000;
  entry.reader = "import";
  entry.reason = "corrupt";
  entry.message = message;
  entry.bytes = bytes;
  if (Status kept = target_.log->quarantine(entry); !kept) {
    log(LogLevel::error, "quarantine cannot be written: the import waits",
        {{"file", open.file.path}, {"error", kept.error().message}});
    return false;
  }
  ++open.file.stats->quarantined;
  log(LogLevel::error, "damage in an imported file was put into quarantine",
      {{"file", open.file.path},
       {"offset", open.reader.offset()},
       {"bytes", bytes.size()},
       {"error", why}});
  return true;
}

bool FileImport::has_room(std::uint64_t bytes) const {
  // Data that lies safely in a file must push nothing out, whatever `overflow` says: a quarter is
  // left to the receivers.
  const LogStats stats = target_.log->stats();
  const std::uint64_t used = stats.allocated_bytes - stats.quarantine_bytes;
  const std::uint64_t room = target_.folder_bytes_max - target_.quarantine_bytes_max;
  return stats.segments == 0 || used + bytes <= room / 4 * 3;
}

bool FileImport::reserve(const Open& open, std::uint64_t bytes) {
  if (!budget_.try_acquire(bytes)) {
    // Alone it may pass.
    if (batch_.empty() || !flush(&open) || !budget_.try_acquire(bytes)) return false;
  }
  reserved_ += bytes;
  return true;
}

}  // namespace holdfast
