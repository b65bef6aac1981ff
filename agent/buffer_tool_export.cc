#include "agent/buffer_tool_export.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <memory>
#include <ostream>

#include "agent/buffer_tool_files.h"
#include "agent/otlp_json_writer.h"

namespace holdfast {
namespace {

constexpr std::size_t kWriteBytes = 1U << 20;

/// A new file under a temporary name, or a stream.
class Output {
 public:
  explicit Output(std::ostream& stream) : stream_(&stream) {}

  static Result<std::unique_ptr<Output>> create(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) {
      return Error{EEXIST, path + " exists already: name another file, or remove it"};
    }
    static_cast<void>(posix_filesystem().unlink(path + ".tmp"));
    auto file = posix_filesystem().open(path + ".tmp", FileSystem::Mode::create_new);
    if (!file) return file.error();
    return std::unique_ptr<Output>(new Output(std::move(*file), path));
  }

  ~Output() {
    if (file_ != nullptr) static_cast<void>(posix_filesystem().unlink(path_ + ".tmp"));
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  std::string& buffer() { return buffer_; }

  Status flush(std::size_t at_least) {
    if (buffer_.size() < at_least || buffer_.empty()) return {};
    if (stream_ != nullptr) {
      stream_->write(buffer_.data(), static_cast<std::streamsize>(buffer_.size())).flush();
      if (!*stream_) return Error{EIO, "the output cannot be written"};
    } else {
      const iovec part{buffer_.data(), buffer_.size()};
      if (Status wrote = file_->pwritev({&part, 1}, written_); !wrote) return wrote;
    }
    written_ += buffer_.size();
    buffer_.clear();
    return {};
  }

  /// The file gets its name.
  Status finish() {
    if (Status wrote = flush(0); !wrote) return wrote;
    if (file_ == nullptr) return {};
    if (Status synced = file_->fdatasync(); !synced) return synced;
    if (Status named = posix_filesystem().rename(path_ + ".tmp", path_); !named) return named;
    file_.reset();
    const std::size_t slash = path_.rfind('/');
    return posix_filesystem().sync_directory(
        slash == std::string::npos ? "." : path_.substr(0, slash + 1));
  }

 private:
  Output(std::unique_ptr<File> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  std::ostream* stream_ = nullptr;
  std::unique_ptr<File> file_;
  std::string path_;
  std::uint64_t written_ = 0;
  std::string buffer_;
};

class Export {
 public:
  Export(const ExportOptions& options, ToolContext& context)
      : options_(options), context_(context) {
    struct stat info {};
    in_directory_ = ::stat(options.output.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  bool take(const StoredRequest& request) {
    Output* const output = output_of(request.signal);
    if (output == nullptr) return false;
    std::string& buffer = output->buffer();
    if (options_.format == ExportFormat::proto) {
      const auto length = static_cast<std::uint32_t>(request.raw.size());
      for (int shift = 24; shift >= 0; shift -= 8) buffer += static_cast<char>(length >> shift);
      buffer += request.raw;
    } else if (Status written = writer_.write(request.signal, request.raw, buffer); !written) {
      context_.err << name_of(request.signal) << " " << request.seq << ": "
                   << written.error().message << "; left out\n";
      ++unwritable_;
    } else {
      buffer += '\n';
    }
    return kept(output->flush(kWriteBytes));
  }

  bool finish() {
    bool all = true;
    for (const auto& output : outputs_) {
      if (output != nullptr) all = kept(output->finish()) && all;
    }
    return all;
  }

  bool failed() const { return failed_; }
  std::uint64_t unwritable() const { return unwritable_; }

 private:
  Output* output_of(Signal signal) {
    auto& output = outputs_[in_directory_ ? index_of(signal) : 0];
    if (output != nullptr) return output.get();
    if (options_.output == "-") {
      output = std::make_unique<Output>(context_.out);
      return output.get();
    }
    std::string path = options_.output;
    if (in_directory_) {
      path += "/" + std::string(name_of(signal)) +
              (options_.format == ExportFormat::proto ? ".pb" : ".jsonl");
    }
    auto created = Output::create(path);
    if (!created) {
      kept(created.error());
      return nullptr;
    }
    output = std::move(*created);
    return output.get();
  }

  bool kept(const Status& status) {
    if (status.ok()) return true;
    if (!failed_) context_.err << status.error().message << "\n";
    failed_ = true;
    return false;
  }

  const ExportOptions& options_;
  ToolContext& context_;
  OtlpJsonWriter writer_;
  std::array<std::unique_ptr<Output>, kSignalCount> outputs_;
  bool in_directory_ = false;
  bool failed_ = false;
  std::uint64_t unwritable_ = 0;
};

void warn_of_unknown_exporter(const std::string& directory, const RecordFilter& filter,
                              ToolContext& context) {
  if (filter.pending_exporter.empty()) return;
  std::string known;
  for (const Signal signal : signals_of(filter.signal)) {
    for (const StoredCursor& cursor : read_cursors(folder_of(directory, signal))) {
      if (cursor.exporter == filter.pending_exporter) return;
      if (known.find(cursor.exporter) == std::string::npos) known += " " + cursor.exporter;
    }
  }
  context.err << "\"" << filter.pending_exporter
              << "\" has delivered nothing yet, or is no exporter of this buffer; those that have "
                 "delivered:"
              << (known.empty() ? " none" : known) << "\n";
}

}  // namespace

int export_buffer(const std::string& directory, const ExportOptions& options,
                  ToolContext& context) {
  if (!is_buffer_directory(directory, context)) return kToolDamage;
  warn_of_unknown_exporter(directory, options.filter, context);
  Export exporting(options, context);
  ProgressBar progress(context, "export", segment_bytes(directory, options.filter.signal));
  const ReadTotals totals =
      read_requests(directory, options.filter, context, progress,
                    [&](const StoredRequest& request) { return exporting.take(request); });
  progress.clear();
  if (context.stop.stop_requested()) {
    context.err << "interrupted: files that were not complete are gone\n";
    return kToolInterrupted;
  }
  const bool written = !exporting.failed() && exporting.finish();
  if (!written) return kToolDamage;
  if (options.output != "-") {
    context.err << counted(totals.requests, "request") << " with " << counted(totals.items, "item")
                << " exported\n";
  }
  return totals.whole() && exporting.unwritable() == 0 ? kToolOk : kToolDamage;
}

}  // namespace holdfast
