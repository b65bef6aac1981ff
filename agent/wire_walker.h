// Checks the bytes of an Export*ServiceRequest as they came, without decoding, copying or
// allocating.
//
// It accepts nothing that protobuf's parser refuses (UTF-8 apart) and refuses nothing that the
// Collector takes: nesting, wire types, lengths, depth (100, as protobuf), trace ids of 0 or 16
// bytes, span ids of 0 or 8. Unknown fields pass. Source: protobuf encoding specification;
// opentelemetry-proto 1.x for the field numbers. Thread safety: pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/signal.h"

namespace holdfast {

enum class WalkError : std::uint8_t {
  none,
  truncated,
  bad_varint,
  bad_tag,
  bad_wire_type,
  bad_trace_id,
  bad_span_id,
  too_deep
};

struct WalkResult {
  WalkError error = WalkError::none;
  std::uint32_t items = 0;         // spans, data points or log records
  std::uint32_t invalid_utf8 = 0;  // string fields that are not UTF-8: taken, counted
  std::size_t offset = 0;          // where the error was found
  std::uint32_t wire_type = 0;     // of bad_wire_type
  const char* field =
      "";  // message field of bad_wire_type, as the Collector names it: "ResourceSpans"

  bool ok() const { return error == WalkError::none; }
};

WalkResult walk_export_request(Signal signal, std::string_view bytes);

/// The message that the Collector gives for it: "unexpected EOF", "unmarshal: invalid TraceID
/// length", ….
std::string describe(const WalkResult& result);

}  // namespace holdfast
