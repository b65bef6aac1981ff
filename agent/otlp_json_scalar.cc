#include "agent/otlp_json_scalar.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <type_traits>

#include "agent/otlp_json_text.h"
#include "proto/wire.h"

namespace holdfast {
namespace {

using otlp::FieldKind;

/// `text` is a JSON number. Nothing: too large for a double.
std::optional<double> to_double(std::string_view text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc()) return value;
  value = std::strtod(std::string(text).c_str(), nullptr);  // tells too small from too large
  if (std::isinf(value)) return std::nullopt;
  return value;
}

/// 1.0 and 1e3 are integers too.
template <typename Integer>
std::optional<Integer> integral_double(std::string_view text) {
  if (!is_json_number(text)) return std::nullopt;
  const auto value = to_double(text);
  const double limit = std::ldexp(1.0, std::numeric_limits<Integer>::digits);
  const double lowest = std::is_signed_v<Integer> ? -limit : 0.0;
  if (!value || *value != std::trunc(*value) || *value < lowest || *value >= limit) {
    return std::nullopt;
  }
  return static_cast<Integer>(*value);
}

template <typename Integer>
std::optional<Integer> to_integer(std::string_view text) {
  Integer value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range && stop == end) return std::nullopt;
  if (error != std::errc() || stop != end) return integral_double<Integer>(text);
  const std::string_view digits = text.substr(text.front() == '-' ? 1 : 0);
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  return value;
}

template <typename Integer>
bool integer_bits(JsonScalar scalar, std::uint64_t& bits, std::string& problem) {
  const auto value = to_integer<Integer>(scalar.text);
  if (!value) {
    problem = "not an integer in range: " + std::string(scalar.text.substr(0, 64));
    return false;
  }
  bits = static_cast<std::uint64_t>(*value);  // extends the sign
  return true;
}

bool zigzag_bits(JsonScalar scalar, std::uint64_t& bits, std::string& problem) {
  if (!integer_bits<std::int32_t>(scalar, bits, problem)) return false;
  bits = wire::zigzag(static_cast<std::int32_t>(bits));
  return true;
}

bool real_bits(JsonScalar scalar, std::uint64_t& bits, std::string& problem) {
  std::optional<double> value;
  if (is_json_number(scalar.text)) {
    value = to_double(scalar.text);
  } else if (scalar.quoted && scalar.text == "NaN") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (scalar.quoted && scalar.text == "Infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (scalar.quoted && scalar.text == "-Infinity") {
    value = -std::numeric_limits<double>::infinity();
  }
  if (!value) {
    problem = "not a double in range: " + std::string(scalar.text.substr(0, 64));
    return false;
  }
  bits = std::bit_cast<std::uint64_t>(*value);
  return true;
}

bool boolean_bits(JsonScalar scalar, std::uint64_t& bits, std::string& problem) {
  if (scalar.quoted || (scalar.text != "true" && scalar.text != "false")) {
    problem = "expect true or false";
    return false;
  }
  bits = scalar.text == "true" ? 1 : 0;
  return true;
}

bool enum_bits(const otlp::Enum& type, JsonScalar scalar, std::uint64_t& bits,
               std::string& problem) {
  if (scalar.quoted) {
    for (const otlp::EnumValue& value : type.values) {
      if (value.name != scalar.text) continue;
      bits = static_cast<std::uint64_t>(value.number);
      return true;
    }
  }
  return integer_bits<std::int32_t>(scalar, bits, problem);
}

constexpr std::uint8_t kNotInAlphabet = 0xFF;

constexpr std::array<std::uint8_t, 256> hex_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNotInAlphabet);
  for (std::uint8_t i = 0; i < 10; ++i) values['0' + i] = i;
  for (std::uint8_t i = 0; i < 6; ++i) {
    values['a' + i] = static_cast<std::uint8_t>(10 + i);
    values['A' + i] = static_cast<std::uint8_t>(10 + i);
  }
  return values;
}

constexpr std::array<std::uint8_t, 256> base64_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNotInAlphabet);
  for (std::uint8_t i = 0; i < 26; ++i) {
    values['A' + i] = i;
    values['a' + i] = static_cast<std::uint8_t>(26 + i);
  }
  for (std::uint8_t i = 0; i < 10; ++i) values['0' + i] = static_cast<std::uint8_t>(52 + i);
  values['+'] = values['-'] = 62;
  values['/'] = values['_'] = 63;
  return values;
}

constexpr auto kHexValues = hex_values();
constexpr auto kBase64Values = base64_values();

}  // namespace

bool parse_scalar(const otlp::Field& field, JsonScalar scalar, std::uint64_t& bits,
                  std::string& problem) {
  switch (field.kind) {
    case FieldKind::boolean:
      return boolean_bits(scalar, bits, problem);
    case FieldKind::int32:
      return integer_bits<std::int32_t>(scalar, bits, problem);
    case FieldKind::uint32:
    case FieldKind::fixed32:
      return integer_bits<std::uint32_t>(scalar, bits, problem);
    case FieldKind::int64:
    case FieldKind::sfixed64:
      return integer_bits<std::int64_t>(scalar, bits, problem);
    case FieldKind::uint64:
    case FieldKind::fixed64:
      return integer_bits<std::uint64_t>(scalar, bits, problem);
    case FieldKind::sint32:
      return zigzag_bits(scalar, bits, problem);
    case FieldKind::real:
      return real_bits(scalar, bits, problem);
    case FieldKind::enumeration:
      return enum_bits(otlp::kEnums[field.type], scalar, bits, problem);
    default:
      problem = "not a scalar field";
      return false;
  }
}

std::optional<std::size_t> decode_hex_id(std::string_view text, std::size_t size, char* to,
                                         std::string& problem) {
  if (text.empty()) return 0;
  if (text.size() != 2 * size) {
    problem = "invalid length for ID";
    return std::nullopt;
  }
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint8_t high = kHexValues[static_cast<std::uint8_t>(text[2 * i])];
    const std::uint8_t low = kHexValues[static_cast<std::uint8_t>(text[2 * i + 1])];
    if (high == kNotInAlphabet || low == kNotInAlphabet) {
      problem = "cannot unmarshal ID from string '" + std::string(text) + "': invalid byte";
      return std::nullopt;
    }
    to[i] = static_cast<char>(high << 4U | low);
  }
  return size;
}

std::optional<std::size_t> decode_base64(std::string_view text, char* to) {
  std::string_view digits = text;
  while (digits.size() + 2 > text.size() && digits.ends_with('=')) digits.remove_suffix(1);
  if (digits.size() != text.size() && text.size() % 4 != 0) return std::nullopt;
  if (digits.size() % 4 == 1) return std::nullopt;
  const char* begin = to;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char digit : digits) {
    const std::uint8_t value = kBase64Values[static_cast<std::uint8_t>(digit)];
    if (value == kNotInAlphabet) return std::nullopt;
    bits = bits << 6U | value;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    *to++ = static_cast<char>(bits >> held);
  }
  return static_cast<std::size_t>(to - begin);
}

}  // namespace holdfast
