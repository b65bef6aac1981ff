// JSON scalars to what goes onto the wire, by the rules of OTLP/JSON and protobuf's JSON mapping.
//
// Owned by nobody; the JSON reader calls it. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proto/otlp_tables.h"

namespace holdfast {

struct JsonScalar {
  std::string_view text;  // of a string: what it stands for
  bool quoted = false;
};

/// Numbers, booleans and enums as the bits that the wire holds: int32 extended to 64 bits, sint32
/// in zigzag, a double's own bits. False: `problem` says why.
bool parse_scalar(const otlp::Field& field, JsonScalar scalar, std::uint64_t& bits,
                  std::string& problem);

/// Writes `size` bytes, or none when `text` is empty; returns how many. Nothing: `problem` says
/// why.
std::optional<std::size_t> decode_hex_id(std::string_view text, std::size_t size, char* to,
                                         std::string& problem);

/// Both alphabets, padding optional. `to` has room for 3/4 of the text. Nothing: not base64.
std::optional<std::size_t> decode_base64(std::string_view text, char* to);

}  // namespace holdfast
