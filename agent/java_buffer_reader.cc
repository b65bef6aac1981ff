#include "agent/java_buffer_reader.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace holdfast {
namespace {

constexpr std::uint64_t kWindowBytes = 64ULL << 10;
constexpr std::uint64_t kWindowBytesKept = 1ULL << 20;
constexpr std::size_t kVarintBytesMax = 5;  // of 32 bits: the library's lengths are Java ints

Error system_error(std::string_view what) {
  return Error{errno, std::string(what) + ": " + std::generic_category().message(errno)};
}

struct Varint {
  std::uint64_t value = 0;
  std::size_t bytes = 0;  // 0: it goes on behind the bytes that are there, or is too long
};

Varint parse_varint(std::string_view bytes) {
  Varint varint;
  for (std::size_t i = 0; i < std::min(bytes.size(), kVarintBytesMax); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    varint.value |= static_cast<std::uint64_t>(byte & 0x7fU) << (7 * i);
    if (byte < 0x80) {
      varint.bytes = i + 1;
      break;
    }
  }
  return varint;
}

}  // namespace

Result<JavaBufferReader::Next> JavaBufferReader::next() {
  length_ = 0;
  Varint length;
  do {
    if (Status stepped = step_over_zeros(); !stepped) return stepped.error();
    offset_ = next_;
    const auto head = view(offset_, kVarintBytesMax);
    if (!head) return head.error();
    if (head->empty()) return Next::end;
    length = parse_varint(*head);
    if (length.bytes == 0) {
      return torn(head->size() < kVarintBytesMax ? "the file ends inside a length"
                                                 : "the length of a record is no length");
    }
    next_ += length.bytes;
  } while (length.value == 0);  // zero, in more bytes than it takes
  if (length.value > kRecordBytesMax) return torn("a record claims more than 64 MiB");
  const std::uint64_t end = offset_ + length.bytes + length.value;
  if (length.value <= kWindowBytes) {
    auto bytes = view(offset_ + length.bytes, length.value);
    if (!bytes) return bytes.error();
    if (bytes->size() < length.value) return torn("the file ends inside a record");
  } else {
    struct stat info {};
    if (::fstat(descriptor_, &info) != 0) return system_error("stat");
    if (end > static_cast<std::uint64_t>(info.st_size))
      return torn("the file ends inside a record");
  }
  length_ = length.value;
  next_ = end;
  return Next::record;
}

Result<std::string_view> JavaBufferReader::tail(std::uint64_t length_max) {
  return view(offset_, length_max);
}

Status JavaBufferReader::step_over_zeros() {
  // Requests without anything in them; also what a power cut may leave where data was to come.
  for (;;) {
    auto bytes = view(next_, 1);
    if (!bytes) return bytes.error();
    if (bytes->empty() || bytes->front() != '\0') return {};
    const std::string_view rest =
        std::string_view(window_).substr(static_cast<std::size_t>(next_ - window_offset_));
    next_ += std::min(rest.find_first_not_of('\0'), rest.size());
  }
}

JavaBufferReader::Next JavaBufferReader::torn(std::string_view why) {
  why_ = why;
  return Next::torn;
}

Result<std::string_view> JavaBufferReader::view(std::uint64_t offset, std::uint64_t length) {
  if (offset < window_offset_ || offset + length > window_offset_ + window_.size()) {
    const std::uint64_t wanted = std::max(length, kWindowBytes);
    if (window_.capacity() > kWindowBytesKept && wanted <= kWindowBytes) window_ = std::string();
    window_.resize(wanted);
    window_offset_ = offset;
    std::size_t done = 0;
    while (done < wanted) {
      const ssize_t got = ::pread(descriptor_, window_.data() + done, wanted - done,
                                  static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        window_.clear();
        return system_error("read");
      }
      done += static_cast<std::size_t>(got);
    }
    window_.resize(done);
  }
  return std::string_view(window_).substr(static_cast<std::size_t>(offset - window_offset_),
                                          static_cast<std::size_t>(length));
}

}  // namespace holdfast
