#include "agent/rpc_status.h"

#include <gtest/gtest.h>

#include <utility>

namespace holdfast {
namespace {

using std::chrono::seconds;

TEST(RpcStatus, WireFormIsThatOfGoogleRpcStatus) {
  EXPECT_EQ(encode_rpc_status(kRpcInvalidArgument, "unexpected EOF"),
            std::string("\x08\x03\x12\x0eunexpected EOF"));
  EXPECT_EQ(encode_rpc_status(kRpcOk, ""), "");
}

TEST(RpcStatus, RetryInfoIsPackedIntoAnAny) {
  const std::string info("\x0a\x02\x08\x01");  // RetryInfo{retry_delay{seconds: 1}}
  const std::string type = "type.googleapis.com/google.rpc.RetryInfo";
  const std::string any = "\x0a\x28" + type + "\x12\x04" + info;
  EXPECT_EQ(encode_rpc_status(kRpcUnavailable, "full", seconds(1)),
            "\x08\x0e\x12\x04"
            "full\x1a\x30" +
                any);
}

TEST(RpcStatus, JsonFormLeavesOutDefaultsAndEscapes) {
  EXPECT_EQ(rpc_status_json(kRpcInvalidArgument, "a \"b\"\\\n\x01"),
            R"({"code":3,"message":"a \"b\"\\\n\u0001"})");
  EXPECT_EQ(rpc_status_json(kRpcOk, ""), "{}");
  EXPECT_EQ(rpc_status_json(kRpcUnavailable, "full", seconds(30)),
            R"({"code":14,"message":"full","details":[)"
            R"({"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}]})");
}

TEST(RpcStatus, MessageThatIsNotUtf8BecomesUtf8) {
  EXPECT_EQ(rpc_status_json(kRpcInternal, "x\xFFy\xC3\xA9\xED\xA0\x80"),
            "{\"code\":13,\"message\":\"x\xEF\xBF\xBDy\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF"
            "\xBD\"}");
  EXPECT_EQ(encode_rpc_status(kRpcOk, "\xC0"), "\x12\x03\xEF\xBF\xBD");
}

TEST(RpcStatus, EveryCodeHasTheCollectorsHttpStatus) {
  const std::pair<int, int> table[] = {
      {kRpcOk, 200},
      {kRpcCancelled, 503},
      {kRpcUnknown, 500},
      {kRpcInvalidArgument, 400},
      {kRpcDeadlineExceeded, 503},
      {kRpcNotFound, 500},
      {kRpcAlreadyExists, 500},
      {kRpcPermissionDenied, 403},
      {kRpcResourceExhausted, 429},
      {kRpcFailedPrecondition, 500},
      {kRpcAborted, 503},
      {kRpcOutOfRange, 503},
      {kRpcUnimplemented, 404},
      {kRpcInternal, 500},
      {kRpcUnavailable, 503},
      {kRpcDataLoss, 503},
      {kRpcUnauthenticated, 401},
  };
  for (const auto& [code, http] : table) EXPECT_EQ(http_status_of(code), http) << code;
  EXPECT_EQ(http_status_of(99), 500);
  EXPECT_EQ(http_status_of(-1), 500);
}

}  // namespace
}  // namespace holdfast
