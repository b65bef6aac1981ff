// What an OTLP/gRPC answer means: the one table from gRPC status to outcome. It gives each code the
// meaning that the HTTP status beside it has in response_policy.h.
//
//  code                                        outcome    upstream_down  as HTTP
//  OK, with a message                          delivered                 200
//  OK, without one                             retry                     500
//  INVALID_ARGUMENT                            rejected                  400
//  UNAUTHENTICATED                             hold                      401
//  PERMISSION_DENIED                           hold                      403
//  UNIMPLEMENTED, NOT_FOUND                    hold                      404
//  ALREADY_EXISTS, FAILED_PRECONDITION         hold                      409
//  any that says the message is too large      too_large                 413
//  RESOURCE_EXHAUSTED, with RetryInfo          retry                     429
//  RESOURCE_EXHAUSTED, without                 hold                      429
//  CANCELLED, ABORTED, OUT_OF_RANGE, DATA_LOSS retry                     503
//  UNAVAILABLE                                 retry      yes            503
//  DEADLINE_EXCEEDED                           retry      yes            504
//  INTERNAL, UNKNOWN and unknown numbers       retry                     500
//
// Retryable codes and RetryInfo: OTLP specification 1.x, "OTLP/gRPC Response" and "OTLP/gRPC
// Throttling". What it calls not retryable is dropped by the Collector; here it waits for somebody
// to mend the upstream, for the reasons in response_policy.h. "Too large" has no code: servers say
// RESOURCE_EXHAUSTED (grpc-go, C++, Java, Node, .NET), OUT_OF_RANGE (tonic) or, from a proxy,
// UNKNOWN with HTTP's 413 in the text, so the words are what tells it from a spent quota.
//
// Thread safety: pure functions. Nothing in an answer is trusted.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "exporters/exporter.h"

namespace holdfast {

struct RpcAnswer {
  int code = 0;                              // grpc-status
  std::string_view message;                  // grpc-message
  std::string_view details;                  // grpc-status-details-bin: a google.rpc.Status
  std::optional<std::string_view> response;  // an Export*ServiceResponse; nothing: none came
};

SendResult judge_rpc_answer(const RpcAnswer& answer);

/// "UNAVAILABLE"; "code 42" has no name and is "UNKNOWN".
std::string_view rpc_code_name(int code);

/// The delay of the RetryInfo in a google.rpc.Status, from 0 to kRetryAfterMax; nothing when there
/// is none.
std::optional<std::chrono::milliseconds> read_retry_info(std::string_view rpc_status);

}  // namespace holdfast
