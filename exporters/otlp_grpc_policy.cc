#include "exporters/otlp_grpc_policy.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "exporters/answer_body.h"
#include "exporters/response_policy.h"
#include "exporters/wire_fields.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

struct Row {
  std::string_view name;
  Outcome outcome;
  bool upstream_down;
  int http_status;
};

constexpr std::array<Row, 17> kRows{{
    {"OK", Outcome::delivered, false, 200},
    {"CANCELLED", Outcome::retry, false, 503},
    {"UNKNOWN", Outcome::retry, false, 500},
    {"INVALID_ARGUMENT", Outcome::rejected, false, 400},
    {"DEADLINE_EXCEEDED", Outcome::retry, true, 504},
    {"NOT_FOUND", Outcome::hold, false, 404},
    {"ALREADY_EXISTS", Outcome::hold, false, 409},
    {"PERMISSION_DENIED", Outcome::hold, false, 403},
    {"RESOURCE_EXHAUSTED", Outcome::hold, false, 429},
    {"FAILED_PRECONDITION", Outcome::hold, false, 409},
    {"ABORTED", Outcome::retry, false, 503},
    {"OUT_OF_RANGE", Outcome::retry, false, 503},
    {"UNIMPLEMENTED", Outcome::hold, false, 404},
    {"INTERNAL", Outcome::retry, false, 500},
    {"UNAVAILABLE", Outcome::retry, true, 503},
    {"DATA_LOSS", Outcome::retry, false, 503},
    {"UNAUTHENTICATED", Outcome::hold, false, 401},
}};
constexpr int kUnknown = 2;
constexpr int kResourceExhausted = 8;
constexpr int kOutOfRange = 11;
constexpr int kInternal = 13;

const Row& row_of(int code) {
  const bool known = code >= 0 && code < static_cast<int>(kRows.size());
  return kRows[static_cast<std::size_t>(known ? code : kUnknown)];
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

bool says_too_large(int code, std::string_view message) {
  if (code == kUnknown) return contains_any(message, {"status: 413", "status code 413"});
  if (code != kResourceExhausted && code != kOutOfRange) return false;
  return contains_any(message, {"larger than max", "exceeds maximum size",
                                "exceeds the maximum configured message size", "too large"});
}

/// google.protobuf.Duration{seconds = 1, nanos = 2}.
std::chrono::milliseconds read_duration(std::string_view bytes) {
  constexpr std::int64_t kMaxSeconds = std::chrono::seconds(kRetryAfterMax).count();
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  for (WireField field; take_field(bytes, field);) {
    if (field.number == 1) seconds = static_cast<std::int64_t>(field.integer);
    if (field.number == 2) nanos = static_cast<std::int32_t>(field.integer);
  }
  const std::int64_t ms = std::clamp<std::int64_t>(seconds, 0, kMaxSeconds) * 1000 +
                          std::max<std::int64_t>(nanos, 0) / 1'000'000;
  return std::min<std::chrono::milliseconds>(std::chrono::milliseconds(ms), kRetryAfterMax);
}

}  // namespace

std::string_view rpc_code_name(int code) { return row_of(code).name; }

std::optional<std::chrono::milliseconds> read_retry_info(std::string_view rpc_status) {
  for (WireField detail; take_field(rpc_status, detail);) {
    if (detail.number != 3) continue;
    std::string_view type;
    std::string_view value;
    for (WireField any; take_field(detail.bytes, any);) {
      if (any.number == 1) type = any.bytes;
      if (any.number == 2) value = any.bytes;
    }
    if (!type.ends_with("/google.rpc.RetryInfo")) continue;
    std::chrono::milliseconds delay{0};
    for (WireField info; take_field(value, info);) {
      if (info.number == 1) delay = read_duration(info.bytes);
    }
    return delay;
  }
  return std::nullopt;
}

SendResult judge_rpc_answer(const RpcAnswer& answer) {
  const int code = answer.code == 0 && !answer.response ? kInternal : answer.code;
  const Row& row = row_of(code);
  SendResult result;
  result.outcome = row.outcome;
  result.upstream_down = row.upstream_down;
  result.status = row.http_status;
  result.rpc_code = row.name;
  result.message = std::string(answer.message.substr(0, kMessageBytesMax));
  if (code == 0) {
    if (auto partial = read_partial_success(AnswerEncoding::protobuf, *answer.response)) {
      result.rejected_items = partial->rejected_items;
      result.message = partial->message.substr(0, kMessageBytesMax);
    }
    return result;
  }
  if (answer.code == 0) result.message = "the upstream said OK without a response";
  if (says_too_large(code, answer.message)) {
    result.outcome = Outcome::too_large;
    result.status = 413;
    return result;
  }
  result.retry_after = read_retry_info(answer.details);
  if (code == kResourceExhausted && result.retry_after) result.outcome = Outcome::retry;
  return result;
}

}  // namespace holdfast
