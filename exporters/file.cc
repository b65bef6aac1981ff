#include "exporters/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <limits>
#include <map>
#include <vector>

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using std::chrono::system_clock;

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kTimeLength = 23;  // "2026-01-02T15-04-05.000"
constexpr unsigned kFileMode = 0644;
constexpr unsigned kRotatedFileMode = 0600;

std::string failure(std::string_view what, const std::string& path) {
  return std::string(what) + " " + path + ": " + std::strerror(errno);
}

std::array<char, kLengthBytes> length_of(std::string_view message) {
  const auto length = static_cast<std::uint32_t>(message.size());
  std::array<char, kLengthBytes> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(length >> (24 - 8 * i));
  }
  return bytes;
}

std::uint64_t length_from(const std::array<unsigned char, kLengthBytes>& bytes) {
  std::uint64_t length = 0;
  for (const unsigned char byte : bytes) length = length << 8 | byte;
  return length;
}

/// Where the last whole message ends.
std::uint64_t end_of_frames(int fd, std::uint64_t size) {
  std::uint64_t end = 0;
  std::array<unsigned char, kLengthBytes> length{};
  while (size - end >= kLengthBytes &&
         ::pread(fd, length.data(), length.size(), static_cast<off_t>(end)) == kLengthBytes) {
    const std::uint64_t next = end + kLengthBytes + length_from(length);
    if (next > size) break;
    end = next;
  }
  return end;
}

bool make_directories(const fs::path& directory, unsigned permissions) {
  if (directory.empty() || fs::is_directory(directory)) return true;
  return make_directories(directory.parent_path(), permissions) &&
         (::mkdir(directory.c_str(), permissions) == 0 || errno == EEXIST);
}

/// So that a new name outlives a power cut. Where that is not possible, nothing else is either.
void sync_directory(const fs::path& file) {
  const fs::path parent = file.parent_path();
  const int fd = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

std::string time_text(system_clock::time_point at, bool local) {
  const auto since = at.time_since_epoch();
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(since).count();
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(since).count() % 1000;
  std::tm parts{};
  static_cast<void>(local ? ::localtime_r(&seconds, &parts) : ::gmtime_r(&seconds, &parts));
  std::array<char, 32> text{};
  std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H-%M-%S", &parts);
  std::string out(text.data(), length);
  const std::string fraction = std::to_string(1000 + ms);
  return out + "." + fraction.substr(1);
}

/// What closed files of this path are called: before and behind the time.
struct BackupName {
  explicit BackupName(const fs::path& path)
      : prefix(path.stem().string() + "-"), extension(path.extension().string()) {}

  std::string of(const std::string& time) const { return prefix + time + "-size" + extension; }
  /// The time in a name; "" if it is none of ours. Also those of older Collectors, without a
  /// reason.
  std::string time_in(const std::string& name) const {
    if (name.size() < prefix.size() + kTimeLength + extension.size() || !name.starts_with(prefix) ||
        !name.ends_with(extension)) {
      return "";
    }
    std::string time = name.substr(prefix.size(), kTimeLength);
    if (name != of(time) && name != prefix + time + extension) return "";
    static constexpr std::string_view kShape = "dddd-dd-ddTdd-dd-dd.ddd";
    const bool fits = std::equal(
        time.begin(), time.end(), kShape.begin(), kShape.end(),
        [](char c, char shape) { return shape == 'd' ? c >= '0' && c <= '9' : c == shape; });
    return fits ? time : "";
  }

  std::string prefix;
  std::string extension;
};

}  // namespace

FileOutput::FileOutput(FileOptions options)
    : options_(std::move(options)),
      framed_(options_.encoding == BodyEncoding::protobuf || options_.zstd),
      truncate_(!options_.append && !options_.rotation) {}

FileOutput::~FileOutput() {
  if (fd_ >= 0) ::close(fd_);
}

std::string FileOutput::write(std::string_view message) {
  if (message.size() > std::numeric_limits<std::uint32_t>::max()) return "the batch is too large";
  std::lock_guard lock(mutex_);
  if (fd_ < 0) {
    if (std::string error = open(); !error.empty()) return error;
  }
  const std::uint64_t length = message.size() + (framed_ ? kLengthBytes : 1);
  if (options_.rotation && size_ > 0 && size_ + length > options_.rotation->bytes_max) {
    if (std::string error = rotate(); !error.empty()) return error;
  }
  return append(message);
}

std::string FileOutput::open() {
  const fs::path path(options_.path);
  if (options_.create_directory &&
      !make_directories(path.parent_path(), options_.directory_permissions)) {
    return failure("cannot make the directory of", options_.path);
  }
  const int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (truncate_ ? O_TRUNC : 0);
  fd_ = ::open(options_.path.c_str(), flags, options_.rotation ? kRotatedFileMode : kFileMode);
  if (fd_ < 0) return failure("cannot open", options_.path);
  truncate_ = false;
  sync_directory(path);
  return mend_end();
}

std::string FileOutput::mend_end() {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return failure("cannot look at", options_.path);
  size_ = static_cast<std::uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || size_ == 0) return "";
  if (framed_) {
    size_ = end_of_frames(fd_, size_);
    if (::ftruncate(fd_, static_cast<off_t>(size_)) == 0) return "";
    return failure("cannot cut a torn message off", options_.path);
  }
  char last = '\n';
  // A line that somebody else has left open is not ours to delete.
  if (::pread(fd_, &last, 1, static_cast<off_t>(size_ - 1)) == 1 && last != '\n') {
    if (::write(fd_, "\n", 1) != 1) return failure("cannot write", options_.path);
    ++size_;
  }
  return "";
}

std::string FileOutput::rotate() {
  const fs::path path(options_.path);
  const BackupName name(path);
  // Two within a millisecond must not be one.
  auto at = options_.now();
  fs::path backup;
  do {
    backup = path.parent_path() / name.of(time_text(at, options_.rotation->local_time));
    at += std::chrono::milliseconds(1);
  } while (fs::exists(backup));
  if (::rename(path.c_str(), backup.c_str()) != 0) return failure("cannot rename", options_.path);
  ::close(fd_);
  fd_ = -1;
  remove_old_backups();
  return open();
}

void FileOutput::remove_old_backups() const {
  const fs::path path(options_.path);
  const BackupName name(path);
  const FileRotation& rotation = *options_.rotation;
  std::vector<std::pair<std::string, fs::path>> backups;  // by the time in the name
  std::error_code ignored;
  for (const auto& entry :
       fs::directory_iterator(path.has_parent_path() ? path.parent_path() : ".", ignored)) {
    const std::string time = name.time_in(entry.path().filename().string());
    if (!time.empty()) backups.emplace_back(time, entry.path());
  }
  std::sort(backups.rbegin(), backups.rend());
  const std::string oldest = time_text(
      options_.now() - std::chrono::hours(24 * static_cast<std::int64_t>(rotation.days_max)),
      rotation.local_time);
  for (std::size_t i = 0; i < backups.size(); ++i) {
    const bool too_many = rotation.backups_max != 0 && i >= rotation.backups_max;
    const bool too_old = rotation.days_max != 0 && backups[i].first < oldest;
    if (too_many || too_old) fs::remove(backups[i].second, ignored);
  }
}

std::string FileOutput::append(std::string_view message) {
  auto length = length_of(message);
  char line_end = '\n';
  std::array<iovec, 2> parts{{{const_cast<char*>(message.data()), message.size()}, {&line_end, 1}}};
  if (framed_) parts = {{{length.data(), length.size()}, parts[0]}};
  const std::size_t bytes = parts[0].iov_len + parts[1].iov_len;
  std::size_t written = 0;
  while (written < bytes) {
    const ssize_t now = ::writev(fd_, parts.data(), parts.size());
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) break;
    written += static_cast<std::size_t>(now);
    auto rest = static_cast<std::size_t>(now);
    for (iovec& part : parts) {
      const std::size_t taken = std::min(rest, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + taken;
      part.iov_len -= taken;
      rest -= taken;
    }
  }
  if (written == bytes && (::fdatasync(fd_) == 0 || errno == EINVAL || errno == ENOTSUP)) {
    size_ += bytes;
    return "";
  }
  std::string error = failure("cannot write", options_.path);
  // It comes again as a whole. And a file that has failed is opened anew.
  static_cast<void>(::ftruncate(fd_, static_cast<off_t>(size_)));
  ::close(fd_);
  fd_ = -1;
  return error;
}

namespace {

/// Two that write to one file would not know where a message of theirs begins, so there is one in
/// the process for each path.
std::shared_ptr<FileOutput> output_of(FileOptions options) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<FileOutput>> outputs;
  std::lock_guard lock(mutex);
  const auto [found, is_first] = outputs.try_emplace(options.path);
  if (auto output = found->second.lock()) return output;
  if (!is_first) options.append = true;
  auto output = std::make_shared<FileOutput>(std::move(options));
  found->second = output;
  return output;
}

class FileExporter final : public Exporter {
 public:
  explicit FileExporter(const FileOptions& options)
      : form_{.coding = options.zstd ? ContentCoding::zstd : ContentCoding::identity,
              .encoding = options.encoding},
        output_(output_of(options)) {}

  BodyForm form() const override { return form_; }

  SendResult send(const ExportBatch& batch, std::stop_token) override {
    SendResult result;
    result.message = output_->write(batch.body);
    result.outcome =
        result.message.empty() ? SendResult::Outcome::delivered : SendResult::Outcome::retry;
    result.upstream_down = !result.message.empty();
    return result;
  }

 private:
  const BodyForm form_;
  const std::shared_ptr<FileOutput> output_;
};

}  // namespace

std::unique_ptr<Exporter> make_file_exporter(const FileOptions& options) {
  return std::make_unique<FileExporter>(options);
}

}  // namespace holdfast
