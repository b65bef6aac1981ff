#include "agent/buffer_tool_import.h"

#include <memory>
#include <ostream>

#include "agent/buffer_tool_files.h"
#include "agent/buffer_tool_input.h"
#include "agent/ingest.h"
#include "agent/otlp_json.h"
#include "agent/routes.h"
#include "agent/wire_walker.h"
#include "buffer/clock.h"

namespace holdfast {
namespace {

constexpr std::size_t kCommitBytes = 1U << 20;

constexpr std::array<std::array<std::string_view, 2>, kSignalCount> kTopLevelNames{{
    {"resourceSpans", "resource_spans"},
    {"resourceMetrics", "resource_metrics"},
    {"resourceLogs", "resource_logs"},
    {"resourceProfiles", "resource_profiles"},
}};

bool is_key(std::string_view line, std::size_t at, std::size_t length) {
  if (at == 0 || line[at - 1] != '"') return false;
  std::string_view rest = line.substr(at + length);
  if (!rest.starts_with('"')) return false;
  rest.remove_prefix(1);
  const std::size_t next = rest.find_first_not_of(" \t\r");
  return next != std::string_view::npos && rest[next] == ':';
}

/// By the first of the keys that a request begins with.
std::optional<Signal> signal_of(std::string_view line) {
  std::optional<Signal> found;
  std::size_t first = std::string_view::npos;
  for (const Signal signal : kSignals) {
    for (const std::string_view name : kTopLevelNames[index_of(signal)]) {
      std::size_t at = line.substr(0, first).find(name);
      while (at != std::string_view::npos && !is_key(line, at, name.size())) {
        at = line.substr(0, first).find(name, at + 1);
      }
      if (at == std::string_view::npos) continue;
      first = at;
      found = signal;
    }
  }
  return found;
}

class Import {
 public:
  Import(const BufferImportTarget& target, const ImportOptions& options, ToolContext& context,
         ProgressBar& progress)
      : target_(target), options_(options), context_(context), progress_(progress) {}

  Status open_logs();
  /// False: no more files are to be read.
  bool read_file(const std::string& name);
  void finish();
  int exit_code() const;

 private:
  void take(std::string_view line);
  void accept(Signal signal, std::string_view request);
  void bad(const std::string& why);
  bool goes_on() const { return full_at_.empty() && !context_.stop.stop_requested(); }

  const BufferImportTarget& target_;
  const ImportOptions& options_;
  ToolContext& context_;
  ProgressBar& progress_;
  std::array<std::unique_ptr<Log>, kSignalCount> logs_;
  std::unique_ptr<IngestBatch> batch_;
  ReceiverSignalStats stats_;  // nobody reads them
  OtlpJsonParser parser_;
  std::string wire_bytes_;
  std::string place_;
  std::uint64_t stored_requests_ = 0;
  std::uint64_t stored_items_ = 0;
  std::uint64_t empty_ = 0;
  std::uint64_t bad_ = 0;
  std::uint64_t not_stored_ = 0;
  std::uint64_t unread_files_ = 0;
  std::string full_at_;  // the first request that found no room
};

Status Import::open_logs() {
  SignalLogs logs{};
  for (const Signal signal : signals_of(options_.signal)) {
    const std::size_t index = index_of(signal);
    if (!target_.readers[index]) continue;
    LogOptions log_options = target_.logs[index];
    log_options.overflow = Overflow::reject;
    log_options.report = [this](std::string_view message, std::string_view detail) {
      progress_.clear();
      context_.err << message << ": " << detail << "\n";
    };
    auto opened = Log::open(posix_filesystem(), system_clock(), std::move(log_options),
                            *target_.readers[index]);
    if (!opened) return opened.error();
    logs_[index] = std::move(*opened);
    logs[index] = logs_[index].get();
  }
  batch_ = std::make_unique<IngestBatch>(logs);
  return {};
}

bool Import::read_file(const std::string& name) {
  auto input = ImportInput::open(name, context_.stop);
  if (!input) {
    progress_.clear();
    context_.err << input.error().message << "\n";
    ++unread_files_;
    return true;
  }
  const ExportFormat format = options_.format.value_or(
      (*input)->looks_like_json() ? ExportFormat::json : ExportFormat::proto);
  if (format == ExportFormat::proto && !options_.signal) {
    progress_.clear();
    context_.err << name << ": protobuf does not say which signal it holds: say --signal\n";
    ++unread_files_;
    return true;
  }
  const std::string_view noun = format == ExportFormat::json ? ":" : ": message ";
  std::string piece;
  while (goes_on()) {
    const std::uint64_t before = (*input)->bytes_read();
    const auto next =
        format == ExportFormat::json ? (*input)->next_line(piece) : (*input)->next_message(piece);
    progress_.advance((*input)->bytes_read() - before);
    place_ = name + std::string(noun) + std::to_string((*input)->pieces());
    if (!next) {
      bad(next.error().message);
      break;
    }
    if (!*next) break;
    if (format == ExportFormat::proto) {
      accept(*options_.signal, piece);
    } else {
      take(piece);
    }
  }
  return goes_on();
}

void Import::take(std::string_view line) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  const auto signal = signal_of(line);
  if (!signal) {
    const auto first = line.find_first_not_of("{} \t\r");
    if (first == std::string_view::npos && line.find('{') != std::string_view::npos) {
      ++empty_;
      return;
    }
    return bad(
        "none of resourceSpans, resourceMetrics, resourceLogs and resourceProfiles is in it");
  }
  if (options_.signal && *signal != *options_.signal) {
    return bad("this is of " + std::string(name_of(*signal)) + ", not of " +
               std::string(name_of(*options_.signal)));
  }
  wire_bytes_.clear();
  if (Status read = parser_.to_wire(*signal, line, wire_bytes_); !read) {
    return bad(read.error().message);
  }
  accept(*signal, wire_bytes_);
}

void Import::accept(Signal signal, std::string_view request) {
  const WalkResult walked = walk_export_request(signal, request);
  if (!walked.ok()) return bad(describe(walked));
  if (walked.items == 0) {
    ++empty_;
    return;
  }
  if (!batch_->takes(signal)) {
    return bad("no pipeline of the configuration takes " + std::string(name_of(signal)));
  }
  batch_->accept(signal, request, stats_,
                 [this, items = walked.items, place = place_](const IngestResult& result) {
                   if (result.outcome == IngestResult::Outcome::stored) {
                     ++stored_requests_;
                     stored_items_ += items;
                   } else if (result.outcome == IngestResult::Outcome::refused) {
                     bad(result.message);
                   } else {
                     ++not_stored_;
                     if (full_at_.empty()) full_at_ = place + ": " + result.message;
                   }
                 });
  if (batch_->pending_bytes() >= kCommitBytes) batch_->commit();
}

void Import::bad(const std::string& why) {
  progress_.clear();
  context_.err << place_ << ": " << why << "\n";
  ++bad_;
}

void Import::finish() {
  batch_->commit();
  for (auto& log : logs_) {
    if (log != nullptr) log->close();
    log.reset();
  }
  progress_.clear();
  context_.out << counted(stored_requests_, "request") << " with " << counted(stored_items_, "item")
               << " stored, " << bad_ << " bad, " << empty_ << " without items, " << not_stored_
               << " not stored\n";
  if (!full_at_.empty()) {
    context_.err << "the import ended at " << full_at_
                 << "\nwhat comes from there on is not in the buffer (max_folder_size, min_free)\n";
  } else if (context_.stop.stop_requested()) {
    context_.err << "interrupted at " << place_ << ": what comes after it is not in the buffer\n";
  }
}

int Import::exit_code() const {
  if (context_.stop.stop_requested()) return kToolInterrupted;
  const bool all = bad_ == 0 && not_stored_ == 0 && full_at_.empty() && unread_files_ == 0;
  return all ? kToolOk : kToolDamage;
}

}  // namespace

BufferImportTarget import_target(const Config& config) {
  BufferImportTarget target;
  target.directory = config.buffer.directory;
  target.logs = config.buffer.logs;
  for (const Signal signal : kSignals) {
    std::vector<ReaderSpec> readers = readers_of(config, signal);
    if (!readers.empty()) target.readers[index_of(signal)] = std::move(readers);
  }
  return target;
}

BufferImportTarget import_target(const std::string& directory) {
  BufferImportTarget target;
  target.directory = directory;
  for (const Signal signal : kSignals) {
    LogOptions& log = target.logs[index_of(signal)];
    log.directory = folder_of(directory, signal);
    log.stream_tag = static_cast<std::uint8_t>(signal);
    auto& readers = target.readers[index_of(signal)].emplace();
    for (const StoredCursor& cursor : read_cursors(log.directory)) {
      readers.push_back({cursor.exporter});
    }
  }
  return target;
}

int import_buffer(const BufferImportTarget& target, const ImportOptions& options,
                  ToolContext& context) {
  if (!is_buffer_directory(target.directory, context)) return kToolDamage;
  const auto hold = BufferHold::take(target.directory);
  if (!hold) {
    context.err << hold.error().message << "\n";
    return kToolDamage;
  }
  std::uint64_t bytes = 0;
  for (const std::string& file : options.files) bytes += file == "-" ? 0 : file_bytes(file);
  ProgressBar progress(context, "import", bytes);
  Import import(target, options, context, progress);
  if (Status opened = import.open_logs(); !opened) {
    context.err << "the buffer cannot be opened: " << opened.error().message << "\n";
    return kToolDamage;
  }
  for (const std::string& file : options.files) {
    if (!import.read_file(file)) break;
  }
  import.finish();
  return import.exit_code();
}

}  // namespace holdfast
