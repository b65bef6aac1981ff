// Checks the bytes of an Export*ServiceRequest as they came, without decoding, copying or
// allocating.
//
// Accepted is what both protobuf's C++ parser (UTF-8 apart) and the Collector's decoder accept, so
// that no upstream refuses what was acknowledged here: nesting, wire types, lengths, depth (100, as
// protobuf), trace and profile ids of 0 or 16 bytes, span ids of 0 or 8. Unknown fields pass. Where
// the two disagree:
//  - A known field with another wire type is an unknown field to protobuf and an error to the
//    Collector: refused with the Collector's message. So are ids of a wrong length.
//  - The Collector's decoder knows no group with fields in it and none that ends its message:
//    refused. It does not compare the field numbers of the two ends of a group: protobuf does.
//  - The Collector takes more than 100 levels, tags and lengths of more than five bytes, and field
//    numbers above 2^29: protobuf refuses or cuts them, so they are refused, with texts of our own.
// Source: protobuf encoding specification; opentelemetry-proto 1.x for the field numbers.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/signal.h"

namespace holdfast {

enum class WalkError : std::uint8_t {
  none,
  truncated,
  bad_varint,         // more than ten bytes
  bad_length,         // negative as 64 bits
  long_length,        // a length of more than five bytes
  long_tag,           // a tag of more than five bytes or 32 bits
  bad_field_number,   // 0 or negative
  bad_wire_type,      // of a known field
  illegal_wire_type,  // 6 or 7 of an unknown field
  bad_group,
  bad_packed_length,
  bad_trace_id,
  bad_span_id,
  bad_profile_id,
  too_deep,
};

struct WalkResult {
  WalkError error = WalkError::none;
  std::uint32_t items = 0;         // spans, data points, log records or samples
  std::uint32_t invalid_utf8 = 0;  // string fields that are not UTF-8: taken, counted
  std::size_t offset = 0;          // where the error was found
  std::uint32_t wire_type = 0;     // of bad_wire_type and illegal_wire_type
  const char* field = "";    // field of bad_wire_type and bad_packed_length, as the Collector names
                             // it: "ResourceSpans"
  std::uint64_t tag = 0;     // of bad_field_number
  std::size_t position = 0;  // of bad_field_number: behind the tag, from its message's start
  std::size_t left_over = 0;  // of bad_packed_length

  bool ok() const { return error == WalkError::none; }
};

WalkResult walk_export_request(Signal signal, std::string_view bytes);

/// The message that the Collector gives for it: "unexpected EOF", "unmarshal: invalid TraceID
/// length", ….
std::string describe(const WalkResult& result);

}  // namespace holdfast
