// Protobuf wire bytes to OTLP/JSON, by the same generated tables as the reader: the inverse of
// agent/otlp_json.h.
//
// Source: OTLP specification, "JSON Protobuf Encoding": lowerCamelCase names, ids in hex, enums as
// integers, 64-bit integers as strings, other bytes in base64; the rest is protobuf's JSON mapping:
// NaN and infinities as strings, defaults left out. Unknown fields are left out, bytes that are not
// UTF-8 become U+FFFD. As protobuf reads a message: the last of several values counts, of a oneof
// the last member, submessages are merged, repeated scalars may be packed or not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "buffer/result.h"
#include "proto/otlp_tables.h"
#include "proto/signal.h"

namespace holdfast {

/// Keeps its memory between calls: one a thread. Not thread-safe.
class OtlpJsonWriter {
 public:
  /// Appends an Export*ServiceRequest as one JSON object without a line break. Any bytes may come
  /// in; submessages go down to protobuf's own limit. On error `out` is as before.
  Status write(Signal signal, std::string_view request, std::string& out);

 private:
  /// One field as it stands in the bytes. Those of the message under way are the last ones of
  /// pieces_.
  struct Piece {
    std::uint16_t field = 0;  // place in its message, or one of the two below
    std::uint32_t number = 0;
    wire::Type type = wire::Type::varint;
    std::uint64_t bits = 0;
    std::string_view bytes;
  };
  static constexpr std::uint16_t kOldScopes = 0xFFFE;
  static constexpr std::uint16_t kDropped = 0xFFFF;
  struct Range {  // of pieces_
    std::size_t first = 0;
    std::size_t last = 0;
  };

  bool write_message(const otlp::Message& message, Range content, unsigned depth);
  bool collect(const otlp::Message& message, std::string_view bytes);
  bool take_value(const otlp::Field& field, Piece piece, wire::Cursor& cursor);
  void settle(const otlp::Message& message, std::size_t from);
  void settle_oneofs(const otlp::Message& message, std::size_t from);
  void settle_old_scopes(const otlp::Message& message, std::size_t from);
  bool write_field(const otlp::Field& field, Range values, bool& first, unsigned depth);
  bool write_repeated(const otlp::Field& field, Range values, unsigned depth);
  bool write_packed(const otlp::Field& field, std::string_view bytes, bool& first);
  void write_key(const otlp::Field& field, bool& first);
  void write_value(const otlp::Field& field, const Piece& piece);
  void write_number(const otlp::Field& field, std::uint64_t bits);

  std::string* out_ = nullptr;
  std::vector<Piece> pieces_;
  const char* problem_ = "";
};

}  // namespace holdfast
