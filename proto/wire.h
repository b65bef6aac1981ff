// The protobuf wire format: writing to memory or a string, reading through a cursor.
//
// For code that handles a few known fields (statuses, partial success, tests) and for the JSON
// reader; whole requests are checked by agent/wire_walker.h. Source: protobuf encoding
// specification. Thread safety: pure functions; a Cursor belongs to one thread.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast::wire {

static_assert(std::endian::native == std::endian::little, "fixed fields are copied as they are");

enum class Type : std::uint8_t {
  varint = 0,
  fixed64 = 1,
  length_delimited = 2,
  start_group = 3,
  end_group = 4,
  fixed32 = 5,
};

inline constexpr std::size_t kVarintBytesMax = 10;

constexpr std::uint32_t tag(std::uint32_t field, Type type) {
  return field << 3U | static_cast<std::uint32_t>(type);
}

constexpr std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1U)) + 6) / 7;
}

constexpr std::uint32_t zigzag(std::int32_t value) {
  return (static_cast<std::uint32_t>(value) << 1U) ^ static_cast<std::uint32_t>(value >> 31);
}

/// Writes up to kVarintBytesMax bytes and returns the place behind them.
inline char* put_varint(char* to, std::uint64_t value) {
  while (value >= 0x80U) {
    *to++ = static_cast<char>(value | 0x80U);
    value >>= 7U;
  }
  *to++ = static_cast<char>(value);
  return to;
}

inline void append_varint(std::string& out, std::uint64_t value) {
  char bytes[kVarintBytesMax];
  out.append(bytes, static_cast<std::size_t>(put_varint(bytes, value) - bytes));
}

inline void append_tag(std::string& out, std::uint32_t field, Type type) {
  append_varint(out, tag(field, type));
}

inline void append_fixed32(std::string& out, std::uint32_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline void append_fixed64(std::string& out, std::uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A string, bytes or message field with its tag and length.
inline void append_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  append_tag(out, field, Type::length_delimited);
  append_varint(out, bytes.size());
  out.append(bytes);
}

/// Reads forward over bytes that it does not own. A read that returns false leaves the cursor
/// anywhere: the bytes are not a message.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

  bool read_varint(std::uint64_t& value) {
    value = 0;
    for (std::size_t i = 0; i < rest_.size() && i < kVarintBytesMax; ++i) {
      const auto byte = static_cast<std::uint8_t>(rest_[i]);
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << (7 * i);
      if (byte < 0x80U) {
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  /// False for field number 0, numbers above 2^29-1 and the two unused wire types.
  bool read_tag(std::uint32_t& field, Type& type) {
    std::uint64_t value = 0;
    if (!read_varint(value) || value > 0xFFFFFFFFU || (value & 7U) > 5U) return false;
    field = static_cast<std::uint32_t>(value >> 3U);
    type = static_cast<Type>(value & 7U);
    return field != 0;
  }

  bool read_fixed32(std::uint32_t& value) { return read_raw(&value, sizeof value); }
  bool read_fixed64(std::uint64_t& value) { return read_raw(&value, sizeof value); }

  bool read_bytes(std::string_view& bytes) {
    std::uint64_t length = 0;
    if (!read_varint(length) || length > rest_.size()) return false;
    bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  /// Passes over the value of a field that read_tag() announced; groups are refused.
  bool skip(Type type) {
    std::uint64_t number = 0;
    std::uint32_t half = 0;
    std::string_view bytes;
    switch (type) {
      case Type::varint:
        return read_varint(number);
      case Type::fixed64:
        return read_fixed64(number);
      case Type::length_delimited:
        return read_bytes(bytes);
      case Type::fixed32:
        return read_fixed32(half);
      default:
        return false;
    }
  }

 private:
  bool read_raw(void* to, std::size_t size) {
    if (rest_.size() < size) return false;
    std::memcpy(to, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
};

}  // namespace holdfast::wire
