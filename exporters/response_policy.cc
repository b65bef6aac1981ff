#include "exporters/response_policy.h"

#include <curl/curl.h>

#include <algorithm>
#include <string>

#include "exporters/answer_body.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;

std::string cut(std::string_view text) { return std::string(text.substr(0, kMessageBytesMax)); }

Outcome outcome_of_error(int status) {
  switch (status) {
    case 400:
    case 415:
    case 422:
      return Outcome::rejected;
    case 413:
      return Outcome::too_large;
    case 429:
      return Outcome::retry;
    case 501:
    case 505:
      return Outcome::hold;
    default:
      return status >= 400 && status < 500 ? Outcome::hold : Outcome::retry;
  }
}

bool concerns_all_signals(int status) {
  return status == 502 || status == 503 || status == 504 || status == 511;
}

void judge_success(const UpstreamAnswer& answer, AnswerEncoding encoding, SendResult& result) {
  if (!answer.body.empty() && encoding == AnswerEncoding::other) {
    result.upstream_down = true;
    result.message = "the answer is not OTLP but \"" + cut(answer.content_type) + "\"";
    return;
  }
  result.outcome = Outcome::delivered;
  if (auto partial = read_partial_success(encoding, answer.body)) {
    result.rejected_items = partial->rejected_items;
    result.message = cut(partial->message);
  }
}

}  // namespace

SendResult judge_answer(const UpstreamAnswer& answer, std::int64_t now_unix_s) {
  SendResult result;
  result.status = answer.status;
  const AnswerEncoding encoding = answer_encoding(answer.content_type);
  if (answer.status >= 200 && answer.status < 300) {
    judge_success(answer, encoding, result);
    return result;
  }
  result.outcome = outcome_of_error(answer.status);
  result.upstream_down = concerns_all_signals(answer.status);
  if (answer.status == 429 || answer.status == 503) {
    result.retry_after = parse_retry_after(answer.retry_after, now_unix_s);
  }
  result.message = cut(read_status_message(encoding, answer.body));
  if (result.message.empty() && encoding != AnswerEncoding::protobuf) {
    result.message = cut(answer.body);
  }
  return result;
}

SendResult transport_failure(std::string_view reason) {
  SendResult result;
  result.upstream_down = true;
  result.message = cut(reason);
  return result;
}

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           std::int64_t now_unix_s) {
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
  if (value.empty()) return std::nullopt;
  constexpr std::int64_t kMaxSeconds = std::chrono::seconds(kRetryAfterMax).count();
  const bool digits =
      std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits) {
    std::int64_t seconds = 0;
    for (const char c : value) seconds = std::min(seconds * 10 + (c - '0'), kMaxSeconds);
    return std::chrono::seconds(seconds);
  }
  // Dates begin with the day's name; curl_getdate() would take other notations as well.
  if (value.front() < 'A') return std::nullopt;
  const time_t at = curl_getdate(std::string(value).c_str(), nullptr);
  if (at == -1) return std::nullopt;
  return std::chrono::seconds(std::clamp<std::int64_t>(at - now_unix_s, 0, kMaxSeconds));
}

}  // namespace holdfast
