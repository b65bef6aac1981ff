// What an upstream's answer means: the one table from HTTP status to outcome.
//
//  status                                     outcome    upstream_down
//  2xx, no body or an OTLP content type       delivered
//  2xx, any other body (a login page)         retry      yes
//  400, 415, 422                              rejected
//  413                                        too_large
//  401, 403, 407, 408                         hold
//  404, 405, 501, 505 and every other 4xx     hold
//  429                                        retry
//  500 and every other 5xx                    retry
//  502, 503, 504, 511, no answer              retry      yes
//  1xx, 3xx (redirects are not followed)      retry
//
// `rejected` is for those three that speak of the body alone: they cost the one request its place
// in the queue. 404 or 405 is what a wrong path, a wrong host or a half-made deployment answers to
// everything, and 500 is the server's own fault: read as rejections, they would push the whole
// backlog into quarantine, so the backlog waits instead, and an operator sees why.
// `upstream_down` is what concerns all signals of the exporter; a 404 or 429 may be true for one
// path alone. Retry-After counts on 429 and 503 (OTLP specification, "OTLP/HTTP Throttling").
//
// Thread safety: pure functions. Nothing in an answer is trusted.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "exporters/exporter.h"

namespace holdfast {

struct UpstreamAnswer {
  int status = 0;
  std::string_view content_type;
  std::string_view retry_after;  // value of the header, "" without
  std::string_view body;         // or its beginning
};

/// `now_unix_s` is what a date in Retry-After is measured from.
SendResult judge_answer(const UpstreamAnswer& answer, std::int64_t now_unix_s);

/// No answer, or none that is HTTP.
SendResult transport_failure(std::string_view reason);

/// Seconds or an HTTP date; nothing when it is neither. At most kRetryAfterMax: to ask again once
/// an hour hurts nobody, and a stray year in this header must not hold data until it expires.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                           std::int64_t now_unix_s);
inline constexpr std::chrono::hours kRetryAfterMax{1};

inline constexpr std::size_t kMessageBytesMax = 1024;

}  // namespace holdfast
