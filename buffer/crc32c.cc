// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the instruction where the processor has it, else a
// table.
#include <array>
#include <cstring>

#include "buffer/deflate.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace holdfast {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
    table[i] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

std::uint32_t update_by_table(std::uint32_t state, std::string_view bytes) {
  for (const char byte : bytes) {
    state = (state >> 8) ^ kTable[(state ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t update_by_instruction(std::uint32_t state,
                                                                      std::string_view bytes) {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = state;
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; left > 0; ++at, --left) narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(*at));
  return narrow;
}
#endif

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return ~update_by_instruction(~crc, bytes);
#endif
  return ~update_by_table(~crc, bytes);
}

std::uint32_t crc32c_by_table(std::uint32_t crc, std::string_view bytes) {
  return ~update_by_table(~crc, bytes);
}

std::uint32_t crc32c_before(std::uint32_t crc, std::string_view bytes) {
  // One step shifts eight bits out and lets an entry of the table in; the entry is known by its
  // highest byte, which nothing else has touched.
  static const auto kByHighByte = [] {
    std::array<std::uint8_t, 256> index{};
    for (std::uint32_t i = 0; i < 256; ++i) index[kTable[i] >> 24] = static_cast<std::uint8_t>(i);
    return index;
  }();
  std::uint32_t state = ~crc;
  for (std::size_t at = bytes.size(); at > 0; --at) {
    const std::uint32_t index = kByHighByte[state >> 24];
    state = ((state ^ kTable[index]) << 8) | (index ^ static_cast<unsigned char>(bytes[at - 1]));
  }
  return ~state;
}

}  // namespace holdfast
