// Is it UTF-8? Made for strings that are ASCII nearly always. Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast {

/// Inline, and without a loop over single bytes: attributes are short.
inline bool is_ascii(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;
  const char* at = text.data();
  std::size_t left = text.size();
  const auto load64 = [](const char* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  };
  if (left >= 8) {
    std::uint64_t bits = load64(at + left - 8);  // overlaps what the loop leaves
    for (; left > 8; at += 8, left -= 8) bits |= load64(at);
    return (bits & kHighBits) == 0;
  }
  if (left >= 4) {
    std::uint32_t first;
    std::uint32_t last;
    std::memcpy(&first, at, sizeof first);
    std::memcpy(&last, at + left - 4, sizeof last);
    return ((first | last) & static_cast<std::uint32_t>(kHighBits)) == 0;
  }
  if (left == 0) return true;
  // One to three bytes: first, middle and last are all of them.
  return ((at[0] | at[left / 2] | at[left - 1]) & 0x80) == 0;
}

/// As protobuf and Go see it: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// `text` with each byte that belongs to no character replaced by U+FFFD.
std::string to_utf8(std::string_view text);

}  // namespace holdfast
