// Fixed-width little-endian integers at a place in memory, on any machine.
#pragma once

#include <concepts>
#include <cstddef>

namespace holdfast {

template <std::unsigned_integral T>
void store_le(char* to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

template <std::unsigned_integral T>
T load_le(const char* from) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(from[i])) << (8 * i));
  }
  return value;
}

}  // namespace holdfast
