#include "agent/content_coding_snappy.h"

#include <snappy.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "buffer/deflate.h"

namespace holdfast {
namespace {

constexpr std::string_view kStreamIdentifier{"\xff\x06\x00\x00sNaPpY", 10};
constexpr std::size_t kChunkHeaderBytes = 4;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kChunkRawBytesMax = 65536;
constexpr std::uint32_t kChecksumMask = 0xa282ead8;

// No element of a block makes more of its bytes: three for a copy of 64.
constexpr std::size_t kBlockExpansionMax = 22;

constexpr std::uint8_t kCompressed = 0x00;
constexpr std::uint8_t kUncompressed = 0x01;
constexpr std::uint8_t kFirstSkippable = 0x80;
constexpr std::uint8_t kStream = 0xff;

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  }
  return value;
}

std::uint32_t masked_checksum(std::string_view raw) {
  const std::uint32_t crc = crc32c(0, raw);
  return (crc >> 15 | crc << 17) + kChecksumMask;
}

DecodeError append(std::string_view raw, BoundedOutput& output) {
  while (!raw.empty()) {
    const std::span<char> room = output.room();
    const std::size_t part = std::min(room.size(), raw.size());
    std::copy_n(raw.data(), part, room.data());
    if (!output.wrote(part)) return DecodeError::too_large;
    raw.remove_prefix(part);
  }
  return DecodeError::none;
}

/// The raw bytes of a data chunk, in `chunk` itself or in `scratch`; empty data() on damage.
std::string_view raw_of_chunk(std::uint8_t type, std::string_view chunk, std::string& scratch) {
  if (chunk.size() < kChecksumBytes) return {};
  const std::uint32_t checksum = little_endian(chunk.substr(0, kChecksumBytes));
  std::string_view raw = chunk.substr(kChecksumBytes);
  if (type == kCompressed) {
    std::size_t length = 0;
    if (!snappy::GetUncompressedLength(raw.data(), raw.size(), &length)) return {};
    if (length > kChunkRawBytesMax) return {};
    scratch.resize(std::max(scratch.size(), length + 1));  // + 1: data() of an empty chunk
    if (!snappy::RawUncompress(raw.data(), raw.size(), scratch.data())) return {};
    raw = std::string_view(scratch).substr(0, length);
  }
  if (raw.size() > kChunkRawBytesMax || masked_checksum(raw) != checksum) return {};
  return raw;
}

}  // namespace

bool is_snappy_framed(std::string_view body) { return body.starts_with(kStreamIdentifier); }

DecodeError decode_snappy_block(std::string_view block, BoundedOutput& output) {
  std::size_t length = 0;
  if (!snappy::GetUncompressedLength(block.data(), block.size(), &length)) {
    return DecodeError::corrupt;
  }
  if (length > output.remaining()) return DecodeError::too_large;
  // A length that the block cannot come to is refused before memory is taken for it.
  if (length > kBlockExpansionMax * block.size()) return DecodeError::corrupt;
  char* const to = output.room_for(length).data();
  if (!snappy::RawUncompress(block.data(), block.size(), to)) return DecodeError::corrupt;
  output.wrote(length);
  return DecodeError::none;
}

DecodeError decode_snappy_framed(std::string_view stream, BoundedOutput& output) {
  if (!stream.empty() && !is_snappy_framed(stream)) return DecodeError::corrupt;
  std::string scratch;
  while (!stream.empty()) {
    if (stream.size() < kChunkHeaderBytes) return DecodeError::corrupt;
    const auto type = static_cast<std::uint8_t>(stream[0]);
    const std::size_t length = little_endian(stream.substr(1, 3));
    if (length > stream.size() - kChunkHeaderBytes) return DecodeError::corrupt;
    const std::string_view whole = stream.substr(0, kChunkHeaderBytes + length);
    stream.remove_prefix(whole.size());
    if (type == kCompressed || type == kUncompressed) {
      const std::string_view raw = raw_of_chunk(type, whole.substr(kChunkHeaderBytes), scratch);
      if (raw.data() == nullptr) return DecodeError::corrupt;
      const DecodeError error = append(raw, output);
      if (error != DecodeError::none) return error;
    } else if (type == kStream) {
      if (whole != kStreamIdentifier) return DecodeError::corrupt;
    } else if (type < kFirstSkippable) {
      return DecodeError::corrupt;
    }
  }
  return DecodeError::none;
}

}  // namespace holdfast
