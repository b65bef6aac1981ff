#include "agent/utf8.h"

#include <cstdint>
#include <cstring>

namespace holdfast {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

std::uint64_t load64(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// The first byte at or after `at` that is not ASCII.
const char* skip_ascii(const char* at, const char* end) {
  while (end - at >= 32) {
    if (((load64(at) | load64(at + 8) | load64(at + 16) | load64(at + 24)) & kHighBits) != 0) break;
    at += 32;
  }
  while (end - at >= 8 && (load64(at) & kHighBits) == 0) at += 8;
  while (at < end && static_cast<unsigned char>(*at) < 0x80) ++at;
  return at;
}

bool continues(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/// Length of the character of several bytes at `at`; 0: there is none.
std::size_t character_length(const char* at, const char* end) {
  const auto* byte = reinterpret_cast<const unsigned char*>(at);
  const auto left = static_cast<std::size_t>(end - at);
  const unsigned char lead = byte[0];
  if (lead >= 0xC2 && lead <= 0xDF) return left >= 2 && continues(byte[1]) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (left < 3 || !continues(byte[1]) || !continues(byte[2])) return 0;
    if (lead == 0xE0 && byte[1] < 0xA0) return 0;  // overlong
    if (lead == 0xED && byte[1] > 0x9F) return 0;  // surrogates
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (left < 4 || !continues(byte[1]) || !continues(byte[2]) || !continues(byte[3])) return 0;
    if (lead == 0xF0 && byte[1] < 0x90) return 0;  // overlong
    if (lead == 0xF4 && byte[1] > 0x8F) return 0;  // above U+10FFFF
    return 4;
  }
  return 0;
}

}  // namespace

bool is_utf8(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while ((at = skip_ascii(at, end)) < end) {
    const std::size_t length = character_length(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    const char* const ascii_end = skip_ascii(at, end);
    out.append(at, ascii_end);
    at = ascii_end;
    if (at == end) break;
    const std::size_t length = character_length(at, end);
    if (length == 0) {
      out.append("\xEF\xBF\xBD");
      ++at;
    } else {
      out.append(at, length);
      at += length;
    }
  }
  return out;
}

}  // namespace holdfast
