#include "agent/buffer_tool_segment.h"

#include <algorithm>
#include <cerrno>

#include "buffer/bad_blocks.h"

namespace holdfast {
namespace {

using Step = SegmentReader::Step;

bool is_zero(File& file, std::uint64_t offset, std::uint64_t length) {
  std::string window(64U << 10, '\0');
  while (length > 0) {
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, window.size()));
    BadBlocks bad;
    const auto got = pread_around(file, window.data(), wanted, offset, bad);
    if (!got || *got == 0 || bad.count > 0) return false;
    if (std::string_view(window).substr(0, *got).find_first_not_of('\0') != std::string::npos) {
      return false;
    }
    offset += *got;
    length -= *got;
  }
  return true;
}

class Writer {
 public:
  explicit Writer(File& to) : to_(to) {}

  Status append(std::string_view bytes) {
    const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    if (Status wrote = to_.pwritev({&part, 1}, end_); !wrote) return wrote;
    end_ += bytes.size();
    return {};
  }

  Status copy(File& from, std::uint64_t offset, std::uint64_t length) {
    std::string window;
    while (length > 0) {
      window.resize(static_cast<std::size_t>(std::min<std::uint64_t>(length, 1U << 20)));
      const auto got = from.pread(window.data(), window.size(), offset);
      if (!got) return got.error();
      if (*got == 0) return Error{EIO, "the file became shorter"};
      if (Status wrote = append({window.data(), *got}); !wrote) return wrote;
      offset += *got;
      length -= *got;
    }
    return {};
  }

 private:
  File& to_;
  std::uint64_t end_ = 0;
};

Status write_segment(File& from, File& to, const SegmentScan& scan,
                     const std::function<bool(const SegmentPart&)>& keep) {
  Writer writer(to);
  const SegmentHeaderBytes header = encode_segment_header(scan.header);
  if (Status wrote = writer.append({header.data(), header.size()}); !wrote) return wrote;
  RecordHeader seal;
  seal.type = RecordType::seal;
  seal.seq = scan.next_seq;
  for (std::size_t at = 0; at < scan.parts.size();) {
    // Records that stand side by side are copied in one go.
    const std::size_t first = at;
    std::uint64_t length = 0;
    for (; at < scan.parts.size() && scan.parts[at].record && keep(scan.parts[at]); ++at) {
      length += scan.parts[at].length;
      seal.item_total += scan.parts[at].items;
      ++seal.request_count;
    }
    if (at == first) {
      ++at;
      continue;
    }
    if (Status copied = writer.copy(from, scan.parts[first].offset, length); !copied) return copied;
  }
  const RecordHeaderBytes end = encode_record_header(seal, scan.header.nonce);
  if (Status wrote = writer.append({end.data(), end.size()}); !wrote) return wrote;
  return to.fdatasync();
}

}  // namespace

Result<SegmentScan> scan_segment(FileSystem& fs, const std::string& folder,
                                 const std::string& file) {
  auto steps = SegmentSteps::open(fs, folder, file);
  if (!steps) return steps.error();
  SegmentScan scan;
  scan.header = steps->header();
  scan.size = steps->size();
  scan.next_seq = scan.header.first_seq;
  if (steps->header_was_damaged()) {
    scan.damaged = true;
    scan.parts.push_back({.length = kSegmentHeaderBytes, .seq = scan.next_seq});
  }
  for (;;) {
    const Step step = steps->next();
    SegmentPart part;
    part.offset = step.offset;
    part.length = step.length;
    part.seq = scan.next_seq;
    switch (step.kind) {
      case Step::Kind::end:
        return scan;
      case Step::Kind::io_error:
        return step.error;
      case Step::Kind::seal:
        scan.sealed = true;
        scan.next_seq = std::max(scan.next_seq, step.header.seq);
        continue;
      case Step::Kind::record:
      case Step::Kind::bad_record:
        part.record = step.kind == Step::Kind::record && content_is_whole(step, steps->arena());
        part.seq = step.header.seq;
        part.items = step.header.item_count;
        part.source = step.header.source;
        part.received_unix_ns = step.header.received_unix_ns;
        scan.next_seq = std::max(scan.next_seq, step.header.seq + 1);
        break;
      case Step::Kind::damage:
        part.empty = is_zero(steps->file(), step.offset, step.length);
        if (step.has_header) part.items = step.header.item_count;
        break;
    }
    scan.damaged = scan.damaged || !part.record;
    scan.records += part.record ? 1 : 0;
    scan.items += part.record ? part.items : 0;
    // What follows a seal belongs to nothing: the file is to end there.
    scan.parts.push_back(part);
  }
}

Status rewrite_segment(FileSystem& fs, const std::string& folder, const std::string& file,
                       const SegmentScan& scan,
                       const std::function<bool(const SegmentPart&)>& keep) {
  const std::string path = folder + "/" + file;
  const std::string temporary = path + std::string(kRewriteEnding);
  auto from = fs.open(path, FileSystem::Mode::read);
  if (!from) return from.error();
  Status stale = fs.unlink(temporary);
  if (!stale && stale.error().code != ENOENT) return stale;
  auto to = fs.open(temporary, FileSystem::Mode::create_new);
  if (!to) return to.error();
  Status status = write_segment(**from, **to, scan, keep);
  if (status.ok()) status = fs.rename(temporary, path);
  if (!status) {
    static_cast<void>(fs.unlink(temporary));
    return status;
  }
  return fs.sync_directory(folder);
}

Result<std::string> read_part(FileSystem& fs, const std::string& path, const SegmentPart& part) {
  auto file = fs.open(path, FileSystem::Mode::read);
  if (!file) return file.error();
  std::string bytes(static_cast<std::size_t>(part.length), '\0');
  BadBlocks bad;
  const auto got = pread_around(**file, bytes.data(), bytes.size(), part.offset, bad);
  if (!got) return got.error();
  bytes.resize(*got);
  return bytes;
}

}  // namespace holdfast
