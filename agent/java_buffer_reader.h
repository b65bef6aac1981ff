// Reads a file that opentelemetry-java-contrib's disk-buffering wrote, record by record, in bounded
// memory.
//
// A file is (varint length, Export{Trace,Metrics,Logs}ServiceRequest)*, without header or checksum:
// nothing in it is trusted. Source: disk-buffering's WritableFile and DelimitedProtoStreamReader,
// the same in all versions. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "buffer/result.h"

namespace holdfast {

class JavaBufferReader {
 public:
  /// The library's own files hold 1 MiB unless told otherwise: a longer record is damage.
  static constexpr std::uint64_t kRecordBytesMax = 64ULL << 20;

  enum class Next : std::uint8_t {
    record,
    end,   // of the file, right behind a record
    torn,  // what follows is no whole record, or too long for one: why() says what it is
  };

  /// `descriptor` stays the caller's and must outlive the reader. Reading begins at `offset`.
  explicit JavaBufferReader(int descriptor, std::uint64_t offset = 0)
      : descriptor_(descriptor), next_(offset) {}

  /// Looks at what follows the last record; empty ones are stepped over. Fails when the file cannot
  /// be read.
  Result<Next> next();

  /// Where it begins what next() found, its length included.
  std::uint64_t offset() const { return offset_; }
  /// Behind the record that next() found.
  std::uint64_t end_offset() const { return next_; }
  std::uint64_t record_length() const { return length_; }
  std::string_view why() const { return why_; }

  /// The record that next() found; valid until the next call. Shorter than record_length() if the
  /// file has been cut meanwhile.
  Result<std::string_view> record() { return view(next_ - length_, length_); }

  /// The bytes from offset() to the end of the file, `length_max` of them at most.
  Result<std::string_view> tail(std::uint64_t length_max);

 private:
  Result<std::string_view> view(std::uint64_t offset, std::uint64_t length);
  Status step_over_zeros();
  Next torn(std::string_view why);

  const int descriptor_;
  std::uint64_t next_;
  std::uint64_t offset_ = 0;
  std::uint64_t length_ = 0;
  std::string_view why_;
  std::string window_;  // what was read last
  std::uint64_t window_offset_ = 0;
};

}  // namespace holdfast
