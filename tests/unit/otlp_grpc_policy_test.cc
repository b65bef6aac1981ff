// Every gRPC status against the table, and details that nobody has vouched for.
#include "exporters/otlp_grpc_policy.h"

#include <gtest/gtest.h>

#include "agent/rpc_status.h"
#include "exporters/response_policy.h"

namespace holdfast {
namespace {

using Outcome = SendResult::Outcome;
using std::chrono::milliseconds;
using std::chrono::seconds;

SendResult judge(int code, std::string_view message = "why", std::string_view details = "") {
  return judge_rpc_answer({.code = code, .message = message, .details = details});
}

TEST(OtlpGrpcPolicy, EachCodeHasTheMeaningOfTheTable) {
  struct Case {
    int code;
    std::string_view name;
    Outcome outcome;
    bool upstream_down;
    int status;
  };
  const Case cases[]{
      {kRpcCancelled, "CANCELLED", Outcome::retry, false, 503},
      {kRpcUnknown, "UNKNOWN", Outcome::retry, false, 500},
      {kRpcInvalidArgument, "INVALID_ARGUMENT", Outcome::rejected, false, 400},
      {kRpcDeadlineExceeded, "DEADLINE_EXCEEDED", Outcome::retry, true, 504},
      {kRpcNotFound, "NOT_FOUND", Outcome::hold, false, 404},
      {kRpcAlreadyExists, "ALREADY_EXISTS", Outcome::hold, false, 409},
      {kRpcPermissionDenied, "PERMISSION_DENIED", Outcome::hold, false, 403},
      {kRpcResourceExhausted, "RESOURCE_EXHAUSTED", Outcome::hold, false, 429},
      {kRpcFailedPrecondition, "FAILED_PRECONDITION", Outcome::hold, false, 409},
      {kRpcAborted, "ABORTED", Outcome::retry, false, 503},
      {kRpcOutOfRange, "OUT_OF_RANGE", Outcome::retry, false, 503},
      {kRpcUnimplemented, "UNIMPLEMENTED", Outcome::hold, false, 404},
      {kRpcInternal, "INTERNAL", Outcome::retry, false, 500},
      {kRpcUnavailable, "UNAVAILABLE", Outcome::retry, true, 503},
      {kRpcDataLoss, "DATA_LOSS", Outcome::retry, false, 503},
      {kRpcUnauthenticated, "UNAUTHENTICATED", Outcome::hold, false, 401},
      {17, "UNKNOWN", Outcome::retry, false, 500},
      {-1, "UNKNOWN", Outcome::retry, false, 500},
  };
  for (const Case& expected : cases) {
    const SendResult result = judge(expected.code);
    EXPECT_EQ(result.outcome, expected.outcome) << expected.code;
    EXPECT_EQ(result.upstream_down, expected.upstream_down) << expected.code;
    EXPECT_EQ(result.status, expected.status) << expected.code;
    EXPECT_EQ(result.rpc_code, expected.name) << expected.code;
    EXPECT_EQ(result.message, "why") << expected.code;
    EXPECT_FALSE(result.retry_after) << expected.code;
  }
}

TEST(OtlpGrpcPolicy, OkNeedsAResponse) {
  EXPECT_EQ(judge_rpc_answer({.code = 0, .response = ""}).outcome, Outcome::delivered);
  const SendResult partial =
      judge_rpc_answer({.code = 0, .response = "\x0A\x06\x08\x05\x12\x02no"});
  EXPECT_EQ(partial.outcome, Outcome::delivered);
  EXPECT_EQ(partial.rejected_items, 5U);
  EXPECT_EQ(partial.message, "no");
  EXPECT_EQ(judge_rpc_answer({.code = 0, .response = "\xFF\xFF"}).outcome, Outcome::delivered);
  const SendResult without = judge(0, "");
  EXPECT_EQ(without.outcome, Outcome::retry);
  EXPECT_EQ(without.status, 500);
  EXPECT_FALSE(without.message.empty());
}

TEST(OtlpGrpcPolicy, ExhaustedIsRetriedWithRetryInfoOnly) {
  const SendResult throttled =
      judge(kRpcResourceExhausted, "busy", encode_rpc_status(8, "busy", seconds(7)));
  EXPECT_EQ(throttled.outcome, Outcome::retry);
  EXPECT_EQ(throttled.retry_after, seconds(7));
  EXPECT_EQ(judge(kRpcResourceExhausted, "busy", encode_rpc_status(8, "busy", seconds(0))).outcome,
            Outcome::retry);
  EXPECT_EQ(judge(kRpcResourceExhausted, "busy", encode_rpc_status(8, "busy")).outcome,
            Outcome::hold);
  EXPECT_EQ(judge(kRpcUnavailable, "", encode_rpc_status(14, "", seconds(3))).retry_after,
            seconds(3));
}

TEST(OtlpGrpcPolicy, TooLargeIsKnownByTheServersWords) {
  for (const char* words : {"grpc: received message larger than max (5000000 vs. 4194304)",
                            "grpc: received message after decompression larger than max 4194304",
                            "Received message larger than max (5000000 vs. 4194304)",
                            "SERVER: Received message larger than max (5000000 vs. 4194304)",
                            "gRPC message exceeds maximum size 4194304: 5000000",
                            "Decompressed gRPC message exceeds maximum size 4194304",
                            "Received message exceeds the maximum configured message size."}) {
    const SendResult result = judge(kRpcResourceExhausted, words);
    EXPECT_EQ(result.outcome, Outcome::too_large) << words;
    EXPECT_EQ(result.status, 413) << words;
  }
  EXPECT_EQ(
      judge(kRpcOutOfRange, "Error, message length too large: found 5 bytes, the limit is: 4 bytes")
          .outcome,
      Outcome::too_large);
  EXPECT_EQ(judge(kRpcUnknown, "Received http2 header with status: 413").outcome,
            Outcome::too_large);
  EXPECT_EQ(judge(kRpcResourceExhausted, "trailing metadata size exceeds limit").outcome,
            Outcome::hold);
  EXPECT_EQ(judge(kRpcUnavailable, "larger than max").outcome, Outcome::retry);
}

TEST(OtlpGrpcPolicy, RetryInfoIsBoundedAndDamageIsNone) {
  EXPECT_EQ(read_retry_info(encode_rpc_status(14, "x", seconds(1))), seconds(1));
  EXPECT_EQ(read_retry_info(encode_rpc_status(14, "x", std::chrono::hours(24 * 365))),
            kRetryAfterMax);
  EXPECT_EQ(read_retry_info(encode_rpc_status(14, "x", seconds(-5))), milliseconds(0));
  const std::string type = "type.googleapis.com/google.rpc.RetryInfo";
  const auto with = [&](const std::string& info) {
    const std::string any = "\x0A\x28" + type + "\x12" + static_cast<char>(info.size()) + info;
    return "\x1A" + std::string(1, static_cast<char>(any.size())) + any;
  };
  EXPECT_EQ(read_retry_info(with("\x0A\x05\x10\x80\xC2\xD7\x2F")), milliseconds(100));  // nanos
  EXPECT_EQ(read_retry_info(with("")), milliseconds(0));
  EXPECT_EQ(read_retry_info(with("\x0A\x7F")), milliseconds(0));
  EXPECT_EQ(read_retry_info(""), std::nullopt);
  EXPECT_EQ(read_retry_info("\x1A\x7F" + type), std::nullopt);
  const std::string whole = encode_rpc_status(14, "x", seconds(1));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto delay = read_retry_info(std::string_view(whole).substr(0, length));
    EXPECT_LE(delay.value_or(seconds(0)), seconds(1)) << length;
  }
}

TEST(OtlpGrpcPolicy, LongMessagesAreCut) {
  EXPECT_EQ(judge(kRpcInternal, std::string(5'000, 'x')).message.size(), kMessageBytesMax);
}

}  // namespace
}  // namespace holdfast
