// One JSON object, read with simdjson On-Demand, to the wire bytes of one message.
//
// On-Demand checks only what it is asked for, so everything is asked for: unknown fields are walked
// to the last escape. Numbers and strings are read from the text here, because OTLP/JSON takes more
// forms than simdjson does.
//
// Owned by OtlpJsonParser, which keeps it (and what it learned about the order of fields) between
// requests. Not thread-safe.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/otlp_json_scalar.h"
#include "agent/wire_buffer.h"
#include "proto/otlp_tables.h"

namespace holdfast {

class OtlpJsonReader {
 public:
  OtlpJsonReader();

  /// False: error() says why, error_place() where.
  bool read(simdjson::ondemand::object root, const otlp::Message& message);

  std::string_view wire_bytes() const { return out_.view(); }
  const std::string& error() const { return error_; }
  /// Where in the document the error was found; null: ask the document.
  const char* error_place() const { return error_place_; }

  void release_memory();

 private:
  using Array = simdjson::ondemand::array;
  using Object = simdjson::ondemand::object;
  using Value = simdjson::ondemand::value;

  /// A field on its way: where it stands and how deep its message lies.
  struct Place {
    const otlp::Message& message;
    const otlp::Field& field;
    std::uint16_t slot;
    unsigned depth;
  };

  bool read_message(Object object, const otlp::Message& message, unsigned depth);
  bool read_field(const Place& place, Value value, bool again);
  bool read_repeated(const Place& place, Value value, std::string_view token);
  bool read_packed(const Place& place, Array array);
  bool read_submessage(const Place& place, Value value, std::string_view token);
  bool read_scalar(const Place& place, Value value, std::string_view token, bool write_default);
  bool write_text(const Place& place, std::string_view token, std::string_view text,
                  bool write_default);
  void write_bits(const otlp::Field& field, std::uint64_t bits);
  bool check_unknown(Value value, unsigned depth);
  bool check_unknown_object(Value value, unsigned depth);
  bool check_unknown_array(Value value, unsigned depth);

  bool find_field(const otlp::Message& message, const char* key, std::uint16_t slot,
                  const otlp::Field*& field);
  bool key_text(const char* key, std::string_view& text);
  bool take_scalar(Value& value, std::string_view token, JsonScalar& scalar);

  bool fail(const char* place, std::string message);
  bool fail_json(simdjson::error_code code);
  bool fail_field(const Place& place, std::string_view token, const std::string& problem);

  WireBuffer out_;
  std::string scratch_;                    // an unescaped key or string
  std::vector<std::uint8_t> successor_;    // by slot: the field that followed last time
  std::vector<std::uint8_t> length_size_;  // by slot: bytes that the last length took
  std::string error_;
  const char* error_place_ = nullptr;
};

}  // namespace holdfast
