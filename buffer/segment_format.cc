#include "buffer/segment_format.h"

#include <charconv>
#include <cstdio>

#include "buffer/clock.h"
#include "buffer/deflate.h"
#include "buffer/little_endian.h"

namespace holdfast {
namespace {

constexpr std::string_view kSegmentMagic{"HOLDFAST", 8};
constexpr std::uint32_t kRecordMagic = 0x43524648;  // "HFRC"
constexpr std::size_t kSegmentCrcAt = 60;
constexpr std::size_t kRecordCrcAt = 4;
constexpr std::size_t kRecordCrcFrom = 8;

std::string_view view(const char* from, std::size_t length) { return {from, length}; }

std::uint32_t record_header_crc(const char* header, std::uint32_t nonce) {
  return crc32c(nonce, view(header + kRecordCrcFrom, kRecordHeaderBytes - kRecordCrcFrom));
}

}  // namespace

SegmentHeaderBytes encode_segment_header(const SegmentHeader& header) {
  SegmentHeaderBytes bytes{};
  char* at = bytes.data();
  kSegmentMagic.copy(at, kSegmentMagic.size());
  store_le<std::uint16_t>(at + 8, kFormatMajor);
  store_le<std::uint16_t>(at + 10, kFormatMinor);
  store_le<std::uint32_t>(at + 12, kSegmentHeaderBytes);
  store_le<std::uint64_t>(at + 16, header.segment_id);
  store_le<std::uint64_t>(at + 24, header.first_seq);
  store_le<std::uint64_t>(at + 32, static_cast<std::uint64_t>(header.created_unix_ns));
  store_le<std::uint32_t>(at + 40, header.nonce);
  store_le<std::uint8_t>(at + 44, header.stream_tag);
  store_le<std::uint32_t>(at + 48, header.boot_id);
  store_le<std::uint64_t>(at + 52, static_cast<std::uint64_t>(header.created_boottime_ns));
  store_le<std::uint32_t>(at + kSegmentCrcAt, crc32c(0, view(at, kSegmentCrcAt)));
  return bytes;
}

RecordHeaderBytes encode_record_header(const RecordHeader& header, std::uint32_t nonce) {
  RecordHeaderBytes bytes{};
  char* at = bytes.data();
  store_le<std::uint32_t>(at, kRecordMagic);
  store_le<std::uint32_t>(at + 8, header.stored_length);
  store_le<std::uint32_t>(at + 12, header.payload_crc32c);
  store_le<std::uint64_t>(at + 16, header.seq);
  store_le<std::uint64_t>(at + 24, static_cast<std::uint64_t>(header.received_unix_ns));
  store_le<std::uint32_t>(at + 32, header.item_count);
  store_le<std::uint32_t>(at + 36, header.raw_length);
  store_le<std::uint32_t>(at + 40, header.raw_crc32);
  store_le<std::uint8_t>(at + 44, static_cast<std::uint8_t>(header.type));
  store_le<std::uint8_t>(at + 45, static_cast<std::uint8_t>(header.codec));
  store_le<std::uint16_t>(at + 46, header.source);
  store_le<std::uint32_t>(at + 48, header.extension_length);
  store_le<std::uint32_t>(at + 52, header.request_count);
  store_le<std::uint64_t>(at + 56, header.item_total);
  store_le<std::uint32_t>(at + kRecordCrcAt, record_header_crc(at, nonce));
  return bytes;
}

ParsedSegmentHeader parse_segment_header(std::string_view bytes) {
  ParsedSegmentHeader parsed;
  parsed.error = SegmentHeaderError::damaged;
  if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kSegmentMagic)) return parsed;
  SegmentHeaderBytes header{};
  bytes.copy(header.data(), header.size());
  char* at = header.data();
  const bool version_is_ours = load_le<std::uint16_t>(at + 8) == kFormatMajor;
  store_le<std::uint16_t>(at + 8, kFormatMajor);
  const bool holds =
      load_le<std::uint32_t>(at + kSegmentCrcAt) == crc32c(0, view(at, kSegmentCrcAt));
  const bool length_is_ours = load_le<std::uint32_t>(at + 12) == kSegmentHeaderBytes;
  // Another major version may keep its checksum elsewhere. One whose checksum holds as ours, but
  // for the version, is ours with damage in these two bytes.
  if (version_is_ours ? holds && !length_is_ours : !(holds && length_is_ours)) {
    parsed.error = SegmentHeaderError::unknown_version;
    return parsed;
  }
  if (!holds || load_le<std::uint64_t>(at + 24) > kSeqMax) return parsed;
  parsed.error = SegmentHeaderError::none;
  parsed.version_was_damaged = !version_is_ours;
  parsed.header.segment_id = load_le<std::uint64_t>(at + 16);
  parsed.header.first_seq = load_le<std::uint64_t>(at + 24);
  parsed.header.created_unix_ns = static_cast<std::int64_t>(load_le<std::uint64_t>(at + 32));
  parsed.header.nonce = load_le<std::uint32_t>(at + 40);
  parsed.header.stream_tag = load_le<std::uint8_t>(at + 44);
  parsed.header.boot_id = load_le<std::uint32_t>(at + 48);
  parsed.header.created_boottime_ns = static_cast<std::int64_t>(load_le<std::uint64_t>(at + 52));
  return parsed;
}

std::optional<RecordHeader> parse_record_header(std::string_view bytes, std::uint32_t nonce) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  const char* at = bytes.data();
  if (load_le<std::uint32_t>(at) != kRecordMagic) return std::nullopt;
  if (load_le<std::uint32_t>(at + kRecordCrcAt) != record_header_crc(at, nonce))
    return std::nullopt;
  RecordHeader header;
  const auto type = load_le<std::uint8_t>(at + 44);
  const auto codec = load_le<std::uint8_t>(at + 45);
  if (type != 1 && type != 2) return std::nullopt;
  if (codec > static_cast<std::uint8_t>(Codec::deflate_fragment)) return std::nullopt;
  header.type = static_cast<RecordType>(type);
  header.codec = static_cast<Codec>(codec);
  header.stored_length = load_le<std::uint32_t>(at + 8);
  header.payload_crc32c = load_le<std::uint32_t>(at + 12);
  header.seq = load_le<std::uint64_t>(at + 16);
  header.received_unix_ns = static_cast<std::int64_t>(load_le<std::uint64_t>(at + 24));
  header.item_count = load_le<std::uint32_t>(at + 32);
  header.raw_length = load_le<std::uint32_t>(at + 36);
  header.raw_crc32 = load_le<std::uint32_t>(at + 40);
  header.source = load_le<std::uint16_t>(at + 46);
  header.extension_length = load_le<std::uint32_t>(at + 48);
  header.request_count = load_le<std::uint32_t>(at + 52);
  header.item_total = load_le<std::uint64_t>(at + 56);
  if (header.stored_length > kStoredBytesMax || header.extension_length > kStoredBytesMax ||
      header.seq > kSeqMax) {
    return std::nullopt;
  }
  return header;
}

bool resembles_record_header(std::string_view bytes, std::uint64_t expected_seq) {
  return bytes.size() >= kRecordHeaderBytes &&
         (load_le<std::uint32_t>(bytes.data()) == kRecordMagic ||
          load_le<std::uint64_t>(bytes.data() + 16) == expected_seq);
}

std::uint32_t nonce_of_record_header(std::string_view bytes) {
  const char* at = bytes.data();
  return crc32c_before(load_le<std::uint32_t>(at + kRecordCrcAt),
                       view(at + kRecordCrcFrom, kRecordHeaderBytes - kRecordCrcFrom));
}

bool payload_is_whole(const RecordHeader& header, std::string_view payload) {
  const std::uint64_t length = std::uint64_t{header.extension_length} + header.stored_length;
  return payload.size() >= length && crc32c(0, payload.substr(0, length)) == header.payload_crc32c;
}

Record make_record(const RecordHeader& header, std::string_view payload) {
  Record record;
  record.seq = header.seq;
  record.received_unix_ns = header.received_unix_ns;
  record.extension = payload.substr(0, header.extension_length);
  record.stored = payload.substr(header.extension_length, header.stored_length);
  record.raw_length = header.raw_length;
  record.raw_crc32 = header.raw_crc32;
  record.item_count = header.item_count;
  record.request_count = header.request_count;
  record.codec = header.codec;
  record.source = header.source;
  return record;
}

std::string segment_stem(std::uint64_t first_seq, std::int64_t created_unix_ns) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%020llu-%013lld",
                static_cast<unsigned long long>(first_seq),
                static_cast<long long>(created_unix_ns / kNsPerMs));
  return text.data();
}

std::optional<SegmentName> parse_segment_name(std::string_view name) {
  constexpr std::size_t kSeqDigits = 20;
  SegmentName parsed;
  if (name.ends_with(".seg")) {
    parsed.sealed = true;
  } else if (!name.ends_with(".wip")) {
    return std::nullopt;
  }
  name.remove_suffix(4);
  if (name.size() < kSeqDigits + 2 || name[kSeqDigits] != '-') return std::nullopt;
  const char* const end = name.data() + name.size();
  const auto seq = std::from_chars(name.data(), name.data() + kSeqDigits, parsed.first_seq);
  const auto created = std::from_chars(name.data() + kSeqDigits + 1, end, parsed.created_unix_ms);
  if (seq.ec != std::errc{} || seq.ptr != name.data() + kSeqDigits || created.ec != std::errc{} ||
      created.ptr != end || parsed.created_unix_ms < 0) {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace holdfast
