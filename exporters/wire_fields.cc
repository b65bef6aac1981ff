#include "exporters/wire_fields.h"

namespace holdfast {
namespace {

bool take_varint(std::string_view& rest, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool take_bytes(std::string_view& rest, std::uint64_t length, std::string_view& bytes) {
  if (length > rest.size()) return false;
  bytes = rest.substr(0, length);
  rest.remove_prefix(length);
  return true;
}

}  // namespace

bool take_field(std::string_view& rest, WireField& field) {
  std::uint64_t tag = 0;
  if (!take_varint(rest, tag)) return false;
  field = {.number = tag >> 3};
  switch (tag & 7) {
    case 0:
      return take_varint(rest, field.integer);
    case 1:
      return take_bytes(rest, 8, field.bytes);
    case 2: {
      std::uint64_t length = 0;
      return take_varint(rest, length) && take_bytes(rest, length, field.bytes);
    }
    case 5:
      return take_bytes(rest, 4, field.bytes);
    default:
      return false;
  }
}

}  // namespace holdfast
