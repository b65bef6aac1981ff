#include "agent/otlp_json_reader.h"

#include <cstring>

#include "agent/otlp_json_text.h"

namespace holdfast {
namespace {

using otlp::FieldKind;

// Objects and lists inside an unknown field.
constexpr unsigned kUnknownDepthMax = 100;

constexpr std::size_t kTraceIdBytes = 16;
constexpr std::size_t kSpanIdBytes = 8;

/// The value's text up to the next token; of an object or list the bracket alone.
std::string_view token_of(simdjson::ondemand::value& value) {
  std::string_view token = value.raw_json_token();
  while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\t' ||
                            token.back() == '\r')) {
    token.remove_suffix(1);
  }
  return token;
}

/// `key` points behind its opening quote. simdjson's padding allows to read past the document.
bool is_key(const char* key, std::string_view name) {
  static_assert(otlp::kNameLengthMax < simdjson::SIMDJSON_PADDING);
  return std::memcmp(key, name.data(), name.size()) == 0 && key[name.size()] == '"';
}

}  // namespace

OtlpJsonReader::OtlpJsonReader()
    : successor_(otlp::kSlotCount, 0), length_size_(otlp::kSlotCount, 1) {}

bool OtlpJsonReader::read(Object root, const otlp::Message& message) {
  out_.truncate(0);
  error_.clear();
  error_place_ = nullptr;
  return read_message(root, message, 0);
}

void OtlpJsonReader::release_memory() {
  out_.release();
  scratch_ = std::string();
}

bool OtlpJsonReader::read_message(Object object, const otlp::Message& message, unsigned depth) {
  std::uint64_t seen = 0;
  std::uint16_t slot = message.first_slot;
  for (auto item : object) {
    simdjson::ondemand::field pair;
    if (const auto code = std::move(item).get(pair)) return fail_json(code);
    const otlp::Field* field = nullptr;
    if (!find_field(message, pair.key().raw(), slot, field)) return false;
    if (field == nullptr) {
      if (!check_unknown(pair.value(), 0)) return false;
      continue;
    }
    const auto index = static_cast<std::uint16_t>(field - message.fields.data());
    const bool again = (seen >> index & 1U) != 0;
    seen |= std::uint64_t{1} << index;
    slot = static_cast<std::uint16_t>(message.first_slot + 1 + index);
    if (!read_field({message, *field, slot, depth}, pair.value(), again)) return false;
  }
  return true;
}

/// Senders keep one order of fields, so the field that followed last time is tried first.
bool OtlpJsonReader::find_field(const otlp::Message& message, const char* key, std::uint16_t slot,
                                const otlp::Field*& field) {
  const otlp::Field& expected = message.fields[successor_[slot]];
  if (is_key(key, expected.json_name)) {
    field = &expected;
    return true;
  }
  std::string_view name;
  if (!key_text(key, name)) return false;
  for (const otlp::Field& candidate : message.fields) {
    if (candidate.json_name != name && candidate.proto_name != name) continue;
    field = &candidate;
    successor_[slot] = static_cast<std::uint8_t>(field - message.fields.data());
    return true;
  }
  return true;
}

/// `key` points behind its opening quote; the parser has seen the closing one.
bool OtlpJsonReader::key_text(const char* key, std::string_view& text) {
  const char* end = key;
  bool escaped = false;
  for (; *end != '"'; ++end) {
    if (*end != '\\') continue;
    escaped = true;
    ++end;
  }
  text = {key, static_cast<std::size_t>(end - key)};
  if (!escaped) return true;
  scratch_.clear();
  if (!unescape_json(text, scratch_)) return fail(key, "bad escape in a string");
  text = scratch_;
  return true;
}

bool OtlpJsonReader::read_field(const Place& place, Value value, bool again) {
  const std::string_view token = token_of(value);
  if (token == "null") return true;
  if (place.field.repeated) return read_repeated(place, value, token);
  if (place.field.kind == FieldKind::message) return read_submessage(place, value, token);
  // A field that comes again must win even with a default: what was written first is still there.
  return read_scalar(place, value, token, place.field.explicit_presence() || again);
}

bool OtlpJsonReader::read_repeated(const Place& place, Value value, std::string_view token) {
  if (!token.starts_with('[')) return fail_field(place, token, "expect a list");
  Array array;
  if (const auto code = value.get_array().get(array)) return fail_json(code);
  const FieldKind kind = place.field.kind;
  if (kind != FieldKind::message && !is_text(kind)) return read_packed(place, array);
  for (auto item : array) {
    Value element;
    if (const auto code = item.get(element)) return fail_json(code);
    const std::string_view element_token = token_of(element);
    if (kind != FieldKind::message) {
      if (!read_scalar(place, element, element_token, true)) return false;
    } else if (element_token == "null") {  // an empty message keeps the others in their places
      out_.put_tag(place.field.number, wire::Type::length_delimited);
      out_.put_varint(0);
    } else if (!read_submessage(place, element, element_token)) {
      return false;
    }
  }
  return true;
}

bool OtlpJsonReader::read_packed(const Place& place, Array array) {
  const std::size_t before = out_.size();
  std::uint8_t& length_size = length_size_[place.slot];
  out_.put_tag(place.field.number, wire::Type::length_delimited);
  const std::size_t begin = out_.open(length_size);
  for (auto item : array) {
    Value element;
    if (const auto code = item.get(element)) return fail_json(code);
    const std::string_view token = token_of(element);
    JsonScalar scalar;
    std::uint64_t bits = 0;
    std::string problem;
    if (!take_scalar(element, token, scalar)) return false;
    if (!parse_scalar(place.field, scalar, bits, problem)) return fail_field(place, token, problem);
    write_bits(place.field, bits);
  }
  if (out_.size() == begin) {
    out_.truncate(before);
  } else {
    length_size = static_cast<std::uint8_t>(out_.close(begin, length_size));
  }
  return true;
}

bool OtlpJsonReader::read_submessage(const Place& place, Value value, std::string_view token) {
  if (!token.starts_with('{')) return fail_field(place, token, "expect an object");
  if (place.depth >= otlp::kMessageDepthMax) return fail_field(place, token, "nested too deeply");
  Object object;
  if (const auto code = value.get_object().get(object)) return fail_json(code);
  std::uint8_t& length_size = length_size_[place.slot];
  out_.put_tag(place.field.number, wire::Type::length_delimited);
  const std::size_t gap = length_size;  // submessages of the same kind may change the guess
  const std::size_t begin = out_.open(gap);
  if (!read_message(object, otlp::kMessages[place.field.type], place.depth + 1)) return false;
  length_size = static_cast<std::uint8_t>(out_.close(begin, gap));
  return true;
}

bool OtlpJsonReader::read_scalar(const Place& place, Value value, std::string_view token,
                                 bool write_default) {
  JsonScalar scalar;
  if (!take_scalar(value, token, scalar)) return false;
  if (is_text(place.field.kind)) {
    if (!scalar.quoted) return fail_field(place, token, "expect a string");
    return write_text(place, token, scalar.text, write_default);
  }
  std::uint64_t bits = 0;
  std::string problem;
  if (!parse_scalar(place.field, scalar, bits, problem)) return fail_field(place, token, problem);
  if (bits == 0 && !write_default) return true;
  out_.put_tag(place.field.number, wire_type(place.field.kind));
  write_bits(place.field, bits);
  return true;
}

/// Strings in the sense of JSON: text, bytes in base64, ids in hex.
bool OtlpJsonReader::write_text(const Place& place, std::string_view token, std::string_view text,
                                bool write_default) {
  if (text.empty() && !write_default) return true;
  const FieldKind kind = place.field.kind;
  out_.put_tag(place.field.number, wire::Type::length_delimited);
  if (kind == FieldKind::string) {
    out_.put_bytes(text);
    return true;
  }
  const std::size_t length_size = wire::varint_size(text.size() / 4 * 3);
  const std::size_t begin = out_.open(length_size);
  char* to = out_.room(text.size());
  std::string problem = "not base64";
  std::optional<std::size_t> size;
  if (kind == FieldKind::bytes) {
    size = decode_base64(text, to);
  } else {
    size = decode_hex_id(text, kind == FieldKind::trace_id ? kTraceIdBytes : kSpanIdBytes, to,
                         problem);
    problem = "parse " + std::string(place.field.proto_name) + ":" + problem;
  }
  if (!size) return fail_field(place, token, problem);
  out_.advance_to(to + *size);
  out_.close(begin, length_size);
  return true;
}

void OtlpJsonReader::write_bits(const otlp::Field& field, std::uint64_t bits) {
  switch (wire_type(field.kind)) {
    case wire::Type::fixed32:
      return out_.put_fixed(static_cast<std::uint32_t>(bits));
    case wire::Type::fixed64:
      return out_.put_fixed(bits);
    default:
      return out_.put_varint(bits);
  }
}

/// The value as text. Strings are consumed here: simdjson would skip `"a":` as if it were a key.
bool OtlpJsonReader::take_scalar(Value& value, std::string_view token, JsonScalar& scalar) {
  if (!token.starts_with('"')) {
    scalar.text = token;
    return true;
  }
  simdjson::ondemand::raw_json_string raw;
  if (const auto code = value.get_raw_json_string().get(raw)) return fail_json(code);
  if (token.size() < 2 || token.back() != '"') return fail(token.data(), "unclosed string");
  scalar.quoted = true;
  scalar.text = token.substr(1, token.size() - 2);
  if (scalar.text.find('\\') == std::string_view::npos) return true;
  scratch_.clear();
  if (!unescape_json(scalar.text, scratch_)) return fail(token.data(), "bad escape in a string");
  scalar.text = scratch_;
  return true;
}

bool OtlpJsonReader::check_unknown(Value value, unsigned depth) {
  const std::string_view token = token_of(value);
  if (token.starts_with('{') || token.starts_with('[')) {
    if (depth >= kUnknownDepthMax) return fail(token.data(), "nested too deeply");
    if (token.front() == '{') return check_unknown_object(value, depth + 1);
    return check_unknown_array(value, depth + 1);
  }
  JsonScalar scalar;
  if (!take_scalar(value, token, scalar)) return false;
  if (scalar.quoted || token == "true" || token == "false" || token == "null" ||
      is_json_number(token)) {
    return true;
  }
  return fail(token.data(), "not a JSON value");
}

bool OtlpJsonReader::check_unknown_object(Value value, unsigned depth) {
  Object object;
  if (const auto code = value.get_object().get(object)) return fail_json(code);
  for (auto item : object) {
    simdjson::ondemand::field pair;
    if (const auto code = std::move(item).get(pair)) return fail_json(code);
    std::string_view key;
    if (!key_text(pair.key().raw(), key)) return false;
    if (!check_unknown(pair.value(), depth)) return false;
  }
  return true;
}

bool OtlpJsonReader::check_unknown_array(Value value, unsigned depth) {
  Array array;
  if (const auto code = value.get_array().get(array)) return fail_json(code);
  for (auto item : array) {
    Value element;
    if (const auto code = item.get(element)) return fail_json(code);
    if (!check_unknown(element, depth)) return false;
  }
  return true;
}

bool OtlpJsonReader::fail(const char* place, std::string message) {
  error_ = std::move(message);
  error_place_ = place;
  return false;
}

bool OtlpJsonReader::fail_json(simdjson::error_code code) {
  return fail(nullptr, simdjson::error_message(code));
}

bool OtlpJsonReader::fail_field(const Place& place, std::string_view token,
                                const std::string& problem) {
  return fail(token.data(), "read" + std::string(place.message.name) + "." +
                                std::string(place.field.json_name) + ": " + problem);
}

}  // namespace holdfast
