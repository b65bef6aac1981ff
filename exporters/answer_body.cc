#include "exporters/answer_body.h"

#include <simdjson.h>

#include <algorithm>
#include <array>

#include "exporters/wire_fields.h"

namespace holdfast {
namespace {

PartialSuccess protobuf_partial_success(std::string_view body) {
  PartialSuccess partial;
  for (WireField outer; take_field(body, outer);) {
    if (outer.number != 1) continue;
    for (WireField inner; take_field(outer.bytes, inner);) {
      if (inner.number == 1) partial.rejected_items = inner.integer;
      if (inner.number == 2) partial.message = inner.bytes;
    }
  }
  return partial;
}

/// OTLP/JSON writes 64-bit integers as strings and takes numbers too.
std::uint64_t json_integer(const simdjson::dom::element& value) {
  std::uint64_t number = 0;
  if (value.get(number) == simdjson::SUCCESS) return number;
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS || text.empty() || text.size() > 19) return 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return 0;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return number;
}

PartialSuccess json_partial_success(std::string_view body) {
  static constexpr std::array<const char*, 4> kRejected{"rejectedSpans", "rejectedDataPoints",
                                                        "rejectedLogRecords", "rejectedProfiles"};
  PartialSuccess partial;
  simdjson::dom::parser parser;
  simdjson::dom::element success;
  if (parser.parse(body.data(), body.size())["partialSuccess"].get(success) != simdjson::SUCCESS) {
    return partial;
  }
  for (const char* key : kRejected) {
    simdjson::dom::element count;
    if (success[key].get(count) == simdjson::SUCCESS) partial.rejected_items = json_integer(count);
  }
  std::string_view message;
  if (success["errorMessage"].get(message) == simdjson::SUCCESS) partial.message = message;
  return partial;
}

std::string json_status_message(std::string_view body) {
  simdjson::dom::parser parser;
  std::string_view message;
  if (parser.parse(body.data(), body.size())["message"].get(message) != simdjson::SUCCESS)
    return {};
  return std::string(message);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

AnswerEncoding answer_encoding(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && (content_type.back() == ' ' || content_type.back() == '\t')) {
    content_type.remove_suffix(1);
  }
  if (equals_ignoring_case(content_type, "application/x-protobuf")) return AnswerEncoding::protobuf;
  if (equals_ignoring_case(content_type, "application/json")) return AnswerEncoding::json;
  return AnswerEncoding::other;
}

std::optional<PartialSuccess> read_partial_success(AnswerEncoding encoding, std::string_view body) {
  PartialSuccess partial;
  if (encoding == AnswerEncoding::protobuf) partial = protobuf_partial_success(body);
  if (encoding == AnswerEncoding::json) partial = json_partial_success(body);
  // An int64 that is negative counts nothing.
  if (partial.rejected_items > INT64_MAX) partial.rejected_items = 0;
  if (partial.rejected_items == 0 && partial.message.empty()) return std::nullopt;
  return partial;
}

std::string read_status_message(AnswerEncoding encoding, std::string_view body) {
  if (encoding == AnswerEncoding::json) return json_status_message(body);
  std::string message;
  if (encoding == AnswerEncoding::protobuf) {
    for (WireField field; take_field(body, field);) {
      if (field.number == 2) message = field.bytes;
    }
  }
  return message;
}

}  // namespace holdfast
