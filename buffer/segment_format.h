// The bytes of a segment, version 1: one header, then records, each on an 8-byte boundary.
// docs/format.md is the reference.
//
// Nothing read is trusted before its checksum has been verified. Thread safety: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "buffer/record.h"

namespace holdfast {

inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 64;
inline constexpr std::uint16_t kFormatMajor = 1;
inline constexpr std::uint16_t kFormatMinor = 2;  // 1: boot; 2: sources of records
inline constexpr std::uint32_t kStoredBytesMax = 256U
                                                 << 20;  // of one record; longer lengths are damage

// Numbers beyond this are none of ours, and an append never gets there: a start takes up none that
// is higher than half of it, wherever it stands.
inline constexpr std::uint64_t kSeqMax = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kSeqTakenUpMax = kSeqMax / 2;

struct SegmentHeader {
  std::uint64_t segment_id = 0;
  std::uint64_t first_seq = 0;
  std::int64_t created_unix_ns = 0;
  std::uint32_t nonce = 0;  // seeds the records' header checksums: no payload can pose as a record
  std::uint8_t stream_tag = 0;
  // From minor version 1 on: when it was created by a clock that nobody sets, valid for as long as
  // the machine runs.
  std::uint32_t boot_id = 0;  // 0: not known
  std::int64_t created_boottime_ns = 0;
};

enum class RecordType : std::uint8_t { data = 1, seal = 2 };

struct RecordHeader {
  RecordType type = RecordType::data;
  Codec codec = Codec::identity;
  std::uint32_t stored_length = 0;
  std::uint32_t extension_length = 0;
  std::uint32_t payload_crc32c = 0;  // of extension and stored bytes
  std::uint64_t seq = 0;             // seal: the segment's next seq
  std::int64_t received_unix_ns = 0;
  std::uint32_t item_count = 0;
  std::uint32_t raw_length = 0;
  std::uint32_t raw_crc32 = 0;
  std::uint16_t source = 0;         // from minor version 2 on; 0: not known
  std::uint32_t request_count = 0;  // seal: number of records
  std::uint64_t item_total = 0;     // seal: items of the segment; else 0

  /// From the first byte of the header to the first of the next record.
  std::uint64_t padded_length() const {
    const std::uint64_t length =
        kRecordHeaderBytes + std::uint64_t{extension_length} + stored_length;
    return (length + 7) & ~std::uint64_t{7};
  }
};

using SegmentHeaderBytes = std::array<char, kSegmentHeaderBytes>;
using RecordHeaderBytes = std::array<char, kRecordHeaderBytes>;

SegmentHeaderBytes encode_segment_header(const SegmentHeader& header);
RecordHeaderBytes encode_record_header(const RecordHeader& header, std::uint32_t nonce);

enum class SegmentHeaderError : std::uint8_t { none, damaged, unknown_version };
struct ParsedSegmentHeader {
  SegmentHeaderError error = SegmentHeaderError::none;
  SegmentHeader header;
  bool version_was_damaged = false;  // the checksum holds with version 1 in its place
};
ParsedSegmentHeader parse_segment_header(std::string_view bytes);

/// The record header at the start of `bytes` (64 or more), or nothing when its checksum does not
/// hold.
std::optional<RecordHeader> parse_record_header(std::string_view bytes, std::uint32_t nonce);

/// Whatever its checksum says: does it begin as one, or have the number that comes next?
bool resembles_record_header(std::string_view bytes, std::uint64_t expected_seq);

/// The nonce under which the header's checksum holds. Every 64 bytes have one: nothing is proven by
/// it.
std::uint32_t nonce_of_record_header(std::string_view bytes);

/// Does the checksum over extension and stored bytes hold? `payload` follows the header.
bool payload_is_whole(const RecordHeader& header, std::string_view payload);

Record make_record(const RecordHeader& header, std::string_view payload);

/// "00000000000000000042-1795248604496" (without its ending).
std::string segment_stem(std::uint64_t first_seq, std::int64_t created_unix_ns);

struct SegmentName {
  std::uint64_t first_seq = 0;
  std::int64_t created_unix_ms = 0;
  bool sealed = false;
};
/// Nothing for a stranger's file.
std::optional<SegmentName> parse_segment_name(std::string_view name);

}  // namespace holdfast
