#include "agent/buffer_tool_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ostream>

#include "buffer/cursor.h"
#include "buffer/deflate.h"

namespace holdfast {
namespace {

constexpr std::size_t kArenaBytesMax = 1U << 20;
constexpr std::string_view kCursorPrefix = "cursor-";

class ReadOnlyFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, Mode mode) override {
    if (mode == Mode::create_new) return refused(path);
    return posix_filesystem().open(path, Mode::read);
  }
  Status rename(const std::string& from, const std::string&) override { return refused(from); }
  Status unlink(const std::string& path) override { return refused(path); }
  Status make_directories(const std::string& path, unsigned) override { return refused(path); }
  Status sync_directory(const std::string& path) override { return refused(path); }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    return posix_filesystem().list(path);
  }
  Result<std::uint64_t> free_bytes(const std::string& path) override {
    return posix_filesystem().free_bytes(path);
  }
  Result<std::unique_ptr<File>> lock(const std::string& path) override { return refused(path); }

 private:
  static Error refused(const std::string& path) {
    return {EROFS, path + ": this command changes nothing"};
  }
};

std::string decoded_name(std::string_view encoded) {
  std::string name;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = encoded.data() + i + 1;
    if (encoded[i] == '%' && i + 2 < encoded.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      name += static_cast<char>(byte);
      i += 2;
    } else {
      name += encoded[i];
    }
  }
  return name;
}

/// Gives what is root's in a folder to `owner`. By descriptors and without following links: the
/// folder belongs to somebody who may put anything there.
void give_folder(int folder, const struct stat& owner, int depth) {
  DIR* const listing = ::fdopendir(folder);
  if (listing == nullptr) {
    ::close(folder);
    return;
  }
  while (const dirent* entry = ::readdir(listing)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info {};
    const int at = ::dirfd(listing);
    if (::fstatat(at, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const bool directory = S_ISDIR(info.st_mode);
    if (info.st_uid == 0 && (directory || (S_ISREG(info.st_mode) && info.st_nlink == 1))) {
      static_cast<void>(
          ::fchownat(at, name.c_str(), owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW));
    }
    if (!directory || depth == 0) continue;
    const int inner = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner >= 0) give_folder(inner, owner, depth - 1);
  }
  ::closedir(listing);
}

}  // namespace

FileSystem& read_only_filesystem() {
  static ReadOnlyFileSystem filesystem;
  return filesystem;
}

std::string folder_of(const std::string& directory, Signal signal) {
  return directory + "/" + std::string(name_of(signal));
}

std::vector<Signal> signals_of(std::optional<Signal> only) {
  if (only) return {*only};
  return {kSignals.begin(), kSignals.end()};
}

bool is_buffer_directory(const std::string& directory, ToolContext& context) {
  const auto listed = posix_filesystem().list(directory);
  if (!listed) context.err << "this is no buffer directory: " << listed.error().message << "\n";
  return listed.ok();
}

std::vector<std::string> segment_files(const std::string& folder) {
  std::vector<std::string> files;
  auto listed = posix_filesystem().list(folder);
  if (!listed) return files;
  for (DirectoryEntry& entry : *listed) {
    if (entry.is_regular && parse_segment_name(entry.name)) files.push_back(std::move(entry.name));
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::uint64_t file_bytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

Result<SegmentReader> open_segment(FileSystem& fs, const std::string& folder,
                                   const std::string& file) {
  // Nobody tries again here: what the disk cannot give is damage.
  constexpr auto kAround = SegmentReader::Unreadable::is_damage;
  auto opened = SegmentReader::open(fs, folder + "/" + file, kAround);
  if (opened || opened.error().code != ENOENT || !file.ends_with(".wip")) return opened;
  return SegmentReader::open(fs, folder + "/" + file.substr(0, file.size() - 4) + ".seg", kAround);
}

std::vector<StoredCursor> read_cursors(const std::string& folder) {
  std::vector<StoredCursor> cursors;
  const auto listed = posix_filesystem().list(folder);
  if (!listed) return cursors;
  for (const DirectoryEntry& entry : *listed) {
    if (!entry.is_regular || !entry.name.starts_with(kCursorPrefix)) continue;
    if (entry.name.find(kSetAsideMark) != std::string::npos) continue;  // nobody's any more
    const auto cursor = Cursor::open_file(read_only_filesystem(), folder, entry.name);
    if (!cursor) continue;
    cursors.push_back({decoded_name(std::string_view(entry.name).substr(kCursorPrefix.size())),
                       entry.name, cursor->next_seq(), cursor->rules(), cursor->was_damaged()});
  }
  std::sort(cursors.begin(), cursors.end(),
            [](const StoredCursor& a, const StoredCursor& b) { return a.exporter < b.exporter; });
  return cursors;
}

bool content_is_whole(const SegmentReader::Step& step, const std::string& arena) {
  const Record record = make_record(
      step.header, std::string_view(arena).substr(step.payload_at, step.payload_length));
  if (record.codec == Codec::identity) {
    return record.stored.size() == record.raw_length &&
           crc32_gzip(0, record.stored) == record.raw_crc32;
  }
  std::string raw;
  return inflate_fragment(record.stored, record.raw_length, raw).ok() &&
         crc32_gzip(0, raw) == record.raw_crc32;
}

Result<SegmentSteps> SegmentSteps::open(FileSystem& fs, const std::string& folder,
                                        const std::string& file) {
  auto reader = open_segment(fs, folder, file);
  if (!reader) return reader.error();
  const auto size = reader->file().size();
  if (!size) return size.error();
  return SegmentSteps(std::move(*reader), *size);
}

SegmentReader::Step SegmentSteps::next() {
  if (arena_.empty() || arena_.size() > kArenaBytesMax) {
    arena_.clear();
    reader_.start_arena(arena_);
  }
  SegmentReader::Step step = reader_.next(size_, arena_);
  if (step.kind == SegmentReader::Step::Kind::damage) arena_.clear();  // it was not read
  return step;
}

Result<BufferHold> BufferHold::take(const std::string& directory) {
  auto lock = posix_filesystem().lock(directory + "/LOCK");
  if (lock) return BufferHold(std::move(*lock), directory);
  if (lock.error().code != EWOULDBLOCK) return lock.error();
  return Error{EWOULDBLOCK, "an agent runs on " + directory +
                                ": stop it first (systemctl stop holdfast). What only looks (ls, "
                                "cat, export, verify) works beside it"};
}

BufferHold::~BufferHold() {
  struct stat owner {};
  if (lock_ == nullptr || ::geteuid() != 0) return;
  if (::stat(directory_.c_str(), &owner) != 0 || owner.st_uid == 0) return;
  const int folder = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  constexpr int kSignalAndQuarantine = 2;
  if (folder >= 0) give_folder(folder, owner, kSignalAndQuarantine);
}

}  // namespace holdfast
