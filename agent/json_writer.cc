#include "agent/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "agent/log_text.h"

namespace holdfast {

void JsonWriter::separate() {
  if (!first_) text_ += ',';
  first_ = false;
}

void JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  first_ = true;
}

void JsonWriter::close(char bracket) {
  text_ += bracket;
  first_ = false;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  append_json_string(name, text_);
  text_ += ':';
  first_ = true;
  return *this;
}

void JsonWriter::string(std::string_view value) {
  separate();
  append_json_string(value, text_);
}

void JsonWriter::number(std::uint64_t value) {
  separate();
  text_ += std::to_string(value);
}

void JsonWriter::seconds(double value) {
  std::array<char, 400> digits;  // the longest double in fixed notation has 309 before the point
  if (!std::isfinite(value)) return null();
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                 std::chars_format::fixed, 3);
  separate();
  text_.append(digits.data(), end.ptr);
}

void JsonWriter::boolean(bool value) {
  separate();
  text_ += value ? "true" : "false";
}

void JsonWriter::null() {
  separate();
  text_ += "null";
}

}  // namespace holdfast
