// What the OTLP messages look like, as constant tables: the agent needs no protobuf library to turn
// JSON into wire bytes.
//
// make_tables writes the tables at build time from our .proto files: every message that an
// Export*ServiceRequest can hold, and their enums. Thread safety: constants only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "proto/signal.h"
#include "proto/wire.h"

namespace holdfast::otlp {

/// How a field's value is read from JSON and written to the wire. Only kinds that OTLP uses.
enum class FieldKind : std::uint8_t {
  boolean,
  int32,
  int64,
  uint32,
  uint64,
  sint32,
  fixed32,
  fixed64,
  sfixed64,
  real,  // double
  enumeration,
  string,
  bytes,
  trace_id,  // bytes, 0 or 16; hex in OTLP/JSON; profile ids too
  span_id,   // bytes, 0 or 8; hex in OTLP/JSON
  message,
};

struct Field {
  std::string_view json_name;   // "startTimeUnixNano"
  std::string_view proto_name;  // "start_time_unix_nano"
  std::uint16_t number;
  FieldKind kind;
  bool repeated;       // scalars are packed
  std::uint8_t oneof;  // which of its message's it belongs to, from 1; 0: none; optional is one too
  std::uint8_t type;   // place in kMessages or kEnums, for those kinds

  /// A zero is written too.
  constexpr bool explicit_presence() const { return oneof != 0; }
};

constexpr wire::Type wire_type(FieldKind kind) {
  switch (kind) {
    case FieldKind::fixed32:
      return wire::Type::fixed32;
    case FieldKind::fixed64:
    case FieldKind::sfixed64:
    case FieldKind::real:
      return wire::Type::fixed64;
    case FieldKind::string:
    case FieldKind::bytes:
    case FieldKind::trace_id:
    case FieldKind::span_id:
    case FieldKind::message:
      return wire::Type::length_delimited;
    default:
      return wire::Type::varint;
  }
}

/// Text in JSON, whatever it stands for.
constexpr bool is_text(FieldKind kind) {
  return kind == FieldKind::string || kind == FieldKind::bytes || kind == FieldKind::trace_id ||
         kind == FieldKind::span_id;
}

/// Submessages below a request, as protobuf's parsers count: deeper ones they refuse.
inline constexpr unsigned kMessageDepthMax = 100;

struct Message {
  std::string_view name;          // "Span"
  std::span<const Field> fields;  // at most 64
  std::uint16_t first_slot;       // slots number the messages' starts and all fields through
};

struct EnumValue {
  std::string_view name;
  std::int32_t number;
};

struct Enum {
  std::string_view name;
  std::span<const EnumValue> values;
};

/// Names are shorter than this, so that a reader may compare without looking for the end.
inline constexpr std::size_t kNameLengthMax = 48;

extern const std::span<const Message> kMessages;
extern const std::span<const Enum> kEnums;
extern const std::size_t kSlotCount;

/// Place in kMessages of each signal's Export*ServiceRequest.
extern const std::uint8_t kRequestMessages[kSignalCount];

}  // namespace holdfast::otlp
