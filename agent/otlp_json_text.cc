#include "agent/otlp_json_text.h"

#include <charconv>
#include <cstdint>
#include <optional>

namespace holdfast {
namespace {

constexpr std::uint32_t kReplacementCharacter = 0xFFFD;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Passes over one or more digits.
bool pass_digits(std::string_view& text) {
  if (text.empty() || !is_digit(text.front())) return false;
  while (!text.empty() && is_digit(text.front())) text.remove_prefix(1);
  return true;
}

bool pass_any_of(std::string_view& text, std::string_view characters) {
  if (text.empty() || characters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

bool is_high_surrogate(std::uint32_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool is_low_surrogate(std::uint32_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

/// The unit of `\uXXXX` at the beginning of `rest`.
std::optional<std::uint32_t> utf16_unit(std::string_view rest) {
  if (rest.size() < 6 || rest[0] != '\\' || rest[1] != 'u') return std::nullopt;
  std::uint32_t unit = 0;
  const char* end = rest.data() + 6;
  const auto [stop, error] = std::from_chars(rest.data() + 2, end, unit, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return unit;
}

void append_utf8(std::uint32_t code_point, std::string& out) {
  const auto tail = [](std::uint32_t bits) { return static_cast<char>(0x80U | (bits & 0x3FU)); };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += {static_cast<char>(0xC0U | code_point >> 6U), tail(code_point)};
  } else if (code_point < 0x10000) {
    out += {static_cast<char>(0xE0U | code_point >> 12U), tail(code_point >> 6U), tail(code_point)};
  } else {
    out += {static_cast<char>(0xF0U | code_point >> 18U), tail(code_point >> 12U),
            tail(code_point >> 6U), tail(code_point)};
  }
}

/// `rest` begins with `\u`; passes over the escape, or over both halves of a pair.
bool unescape_unicode(std::string_view& rest, std::string& out) {
  const auto unit = utf16_unit(rest);
  if (!unit) return false;
  rest.remove_prefix(6);
  std::uint32_t code_point = *unit;
  if (is_high_surrogate(*unit)) {
    const auto low = utf16_unit(rest);
    if (low && is_low_surrogate(*low)) {
      rest.remove_prefix(6);
      code_point = 0x10000 + ((*unit - 0xD800) << 10U) + (*low - 0xDC00);
    } else {
      code_point = kReplacementCharacter;
    }
  } else if (is_low_surrogate(*unit)) {
    code_point = kReplacementCharacter;
  }
  append_utf8(code_point, out);
  return true;
}

}  // namespace

bool is_json_number(std::string_view text) {
  pass_any_of(text, "-");
  if (!pass_any_of(text, "0") && !pass_digits(text)) return false;
  if (pass_any_of(text, ".") && !pass_digits(text)) return false;
  if (pass_any_of(text, "eE")) {
    pass_any_of(text, "+-");
    if (!pass_digits(text)) return false;
  }
  return text.empty();
}

bool unescape_json(std::string_view inside, std::string& out) {
  constexpr std::string_view kEscapes = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  std::string_view rest = inside;
  while (!rest.empty()) {
    const std::size_t plain = rest.find('\\');
    out.append(rest.substr(0, plain));
    if (plain == std::string_view::npos) return true;
    rest.remove_prefix(plain);
    if (rest.size() < 2) return false;
    if (rest[1] == 'u') {
      if (!unescape_unicode(rest, out)) return false;
      continue;
    }
    const std::size_t escape = kEscapes.find(rest[1]);
    if (escape == std::string_view::npos) return false;
    out += kMeanings[escape];
    rest.remove_prefix(2);
  }
  return true;
}

}  // namespace holdfast
