// The fields of a protobuf message, one after the other, from bytes that nobody has vouched for.
//
// Source: protobuf encoding specification. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

struct WireField {
  std::uint64_t number = 0;
  std::uint64_t integer = 0;  // of a varint
  std::string_view bytes;     // of everything else
};

/// Takes the next field off `rest`; false at the end and where the bytes make no sense.
bool take_field(std::string_view& rest, WireField& field);

}  // namespace holdfast
