#include "agent/buffer_tool_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "buffer/segment_format.h"

namespace holdfast {
namespace {

constexpr std::size_t kReadBytes = 1U << 20;
constexpr std::size_t kLengthBytes = 4;
constexpr int kPollMs = 200;

}  // namespace

Result<std::unique_ptr<ImportInput>> ImportInput::open(const std::string& name,
                                                       std::stop_token stop) {
  const int descriptor =
      name == "-" ? ::dup(STDIN_FILENO) : ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return Error{errno, name + ": " + std::generic_category().message(errno)};
  }
  return std::unique_ptr<ImportInput>(new ImportInput(descriptor, name, std::move(stop)));
}

ImportInput::~ImportInput() { ::close(descriptor_); }

Result<bool> ImportInput::read_more() {
  pollfd input{descriptor_, POLLIN, 0};
  while (!stop_.stop_requested()) {
    if (::poll(&input, 1, kPollMs) <= 0) continue;
    buffer_.erase(0, at_);
    at_ = 0;
    const std::size_t had = buffer_.size();
    buffer_.resize(had + kReadBytes);
    const ssize_t got = ::read(descriptor_, buffer_.data() + had, kReadBytes);
    const int code = errno;
    buffer_.resize(had + (got > 0 ? static_cast<std::size_t>(got) : 0));
    if (got < 0 && code == EINTR) continue;
    if (got < 0) return Error{code, "cannot be read: " + std::generic_category().message(code)};
    bytes_read_ += static_cast<std::uint64_t>(got);
    return got > 0;
  }
  return false;
}

Result<bool> ImportInput::fill(std::size_t bytes) {
  while (buffer_.size() - at_ < bytes) {
    auto more = read_more();
    if (!more || !*more) return more;
  }
  return true;
}

bool ImportInput::looks_like_json() {
  for (std::size_t i = 0;; ++i) {
    const auto filled = fill(i + 1);
    if (!filled || !*filled) return true;  // empty: no message either way
    const char c = buffer_[at_ + i];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return c == '{';
  }
}

Result<bool> ImportInput::next_line(std::string& line) {
  std::size_t searched = 0;
  for (;;) {
    const std::size_t end = buffer_.find('\n', at_ + searched);
    if (end != std::string::npos) {
      line.assign(buffer_, at_, end - at_);
      at_ = end + 1;
      ++pieces_;
      return true;
    }
    searched = buffer_.size() - at_;
    if (searched > kStoredBytesMax) {
      ++pieces_;
      return Error{0, "a line of more than 256 MiB"};
    }
    const auto more = read_more();
    if (!more) return more.error();
    if (*more) continue;
    if (searched == 0 || stop_.stop_requested()) return false;
    line.assign(buffer_, at_);  // the last one, without its line break
    at_ = buffer_.size();
    ++pieces_;
    return true;
  }
}

Result<bool> ImportInput::next_message(std::string& message) {
  auto any = fill(1);
  if (!any || !*any) return any;
  ++pieces_;
  const auto cut_off = [this](const Result<bool>& filled) -> Result<bool> {
    if (!filled) return filled;
    if (stop_.stop_requested()) return false;
    return Error{0, "cut off: the file ends within it"};
  };
  const auto head = fill(kLengthBytes);
  if (!head || !*head) return cut_off(head);
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8U | static_cast<std::uint8_t>(buffer_[at_ + i]);
  }
  if (length > kStoredBytesMax) {
    return Error{0, "a length of " + std::to_string(length) + ": this is no protobuf export"};
  }
  const auto body = fill(kLengthBytes + length);
  if (!body || !*body) return cut_off(body);
  message.assign(buffer_, at_ + kLengthBytes, length);
  at_ += kLengthBytes + length;
  return true;
}

}  // namespace holdfast
