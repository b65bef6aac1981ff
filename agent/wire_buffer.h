// Growing memory for wire bytes whose submessage lengths are known only afterwards.
//
// A submessage is written after a gap for its length; when the length needs more or fewer bytes
// than the gap has, the submessage moves. Callers guess the gap from the last submessage of the
// same kind, so that hardly any moves. Owned by the JSON reader; not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "proto/wire.h"

namespace holdfast {

class WireBuffer {
 public:
  std::string_view view() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  void truncate(std::size_t size) { size_ = size; }
  void release() { *this = WireBuffer(); }

  /// Room for `bytes` more at the end; it counts as written by advance_to().
  char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return data_.get() + size_;
  }
  void advance_to(const char* end) { size_ = static_cast<std::size_t>(end - data_.get()); }

  void put_tag(std::uint32_t field, wire::Type type) { put_varint(wire::tag(field, type)); }

  void put_varint(std::uint64_t value) {
    advance_to(wire::put_varint(room(wire::kVarintBytesMax), value));
  }

  template <typename Unsigned>
  void put_fixed(Unsigned value) {
    char* to = room(sizeof value);
    std::memcpy(to, &value, sizeof value);
    advance_to(to + sizeof value);
  }

  void put_bytes(std::string_view bytes) {
    char* to = wire::put_varint(room(wire::kVarintBytesMax + bytes.size()), bytes.size());
    std::memcpy(to, bytes.data(), bytes.size());
    advance_to(to + bytes.size());
  }

  /// Leaves a gap of `length_size` bytes and returns where the submessage begins.
  std::size_t open(std::size_t length_size) {
    advance_to(room(length_size) + length_size);
    return size_;
  }

  /// Ends the submessage that began at `begin`; returns how many bytes its length took.
  std::size_t close(std::size_t begin, std::size_t length_size) {
    const std::size_t length = size_ - begin;
    const std::size_t needed = wire::varint_size(length);
    if (needed != length_size) {
      room(needed);
      char* from = data_.get() + begin;
      std::memmove(from - length_size + needed, from, length);
      size_ = size_ - length_size + needed;
    }
    wire::put_varint(data_.get() + begin - length_size, length);
    return needed;
  }

 private:
  void grow(std::size_t bytes) {
    constexpr std::size_t kCapacityMin = 4096;
    const std::size_t capacity = std::max({capacity_ * 2, size_ + bytes, kCapacityMin});
    auto data = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(data.get(), data_.get(), size_);
    data_ = std::move(data);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace holdfast
