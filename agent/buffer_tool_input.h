// Lines or length-delimited messages out of a file or standard input, for `holdfast buffer import`.
//
// Waits for more without blocking a stop. Single-threaded.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "buffer/result.h"

namespace holdfast {

class ImportInput {
 public:
  /// "-" is standard input.
  static Result<std::unique_ptr<ImportInput>> open(const std::string& name, std::stop_token stop);
  ~ImportInput();
  ImportInput(const ImportInput&) = delete;
  ImportInput& operator=(const ImportInput&) = delete;

  /// Does it begin with "{"? As a length in front of protobuf that would be 2 GB.
  bool looks_like_json();

  /// False at the end, or when a stop was requested. Errors end it too: nothing after them can be
  /// told apart.
  Result<bool> next_line(std::string& line);
  Result<bool> next_message(std::string& message);

  std::uint64_t pieces() const { return pieces_; }  // given out, the one that failed included
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  ImportInput(int descriptor, std::string name, std::stop_token stop)
      : descriptor_(descriptor), name_(std::move(name)), stop_(std::move(stop)) {}

  /// More bytes into the buffer. False: there are none.
  Result<bool> read_more();
  /// Makes the buffer hold `bytes` from its start on; false: the input ends before.
  Result<bool> fill(std::size_t bytes);

  const int descriptor_;
  const std::string name_;
  const std::stop_token stop_;
  std::string buffer_;
  std::size_t at_ = 0;  // given out up to here
  std::uint64_t pieces_ = 0;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace holdfast
