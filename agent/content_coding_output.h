// Where a decoder writes: the end of a string that grows as output comes, never past a limit.
//
// A decoder asks for room, writes, and says how much. At the limit it is given one byte that does
// not belong to the string: whatever lands there is one byte too many. Owned by one decode call.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

namespace holdfast {

class BoundedOutput {
 public:
  BoundedOutput(std::string& out, std::size_t limit_bytes, std::size_t body_bytes)
      : out_(out), begin_(out.size()), limit_(limit_bytes), body_bytes_(body_bytes) {}
  ~BoundedOutput() { out_.resize(begin_ + written_); }
  BoundedOutput(const BoundedOutput&) = delete;
  BoundedOutput& operator=(const BoundedOutput&) = delete;

  /// At least one byte.
  std::span<char> room() {
    if (written_ == limit_) return {&beyond_, 1};
    if (begin_ + written_ == out_.size()) out_.resize(begin_ + std::min(limit_, next_size()));
    return {out_.data() + begin_ + written_, out_.size() - begin_ - written_};
  }

  /// Exactly `bytes`, which must not be more than remaining().
  std::span<char> room_for(std::size_t bytes) {
    const std::size_t end = begin_ + written_ + bytes;
    if (end > out_.size()) out_.resize(end);
    return {out_.data() + begin_ + written_, bytes};
  }

  /// False: that was more than the limit.
  bool wrote(std::size_t bytes) {
    if (written_ == limit_) return bytes == 0;
    written_ += bytes;
    return true;
  }

  std::size_t remaining() const { return limit_ - written_; }

 private:
  /// Telemetry shrinks about eightfold; what a body claims of its own size is not trusted.
  std::size_t next_size() const {
    if (written_ != 0) return 2 * written_;
    return std::clamp<std::size_t>(8 * body_bytes_, 512, std::size_t{4} << 20);
  }

  std::string& out_;
  const std::size_t begin_;
  const std::size_t limit_;
  const std::size_t body_bytes_;
  std::size_t written_ = 0;
  char beyond_ = 0;
};

}  // namespace holdfast
