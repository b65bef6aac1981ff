// Wire bytes by hand, for tests. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "agent/wire_walker_tables.h"

namespace holdfast::reference {

inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}
inline std::string tag(std::uint32_t number, std::uint32_t wire_type) {
  return varint(std::uint64_t{number} << 3 | wire_type);
}
inline std::string nest(std::uint32_t number, const std::string& content) {
  return tag(number, wire::kLength) + varint(content.size()) + content;
}
inline std::string fixed64(std::uint32_t number) {
  return tag(number, wire::kFixed64) + std::string(8, '\x05');
}
inline std::string attribute(std::uint32_t number, const std::string& key,
                             const std::string& text) {
  return nest(number, nest(1, key) + nest(2, nest(1, text)));
}
/// A request whose one span, metric or log record is `item`.
inline std::string with_item(const std::string& item) { return nest(1, nest(2, nest(2, item))); }

}  // namespace holdfast::reference
